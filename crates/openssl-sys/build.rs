//! Takes the system's OpenSSL where that spares minutes and costs nothing, and compiles one elsewhere.
//!
//! The system's is taken when it is of version 3 or later, its headers and static libraries are there, and these ask for
//! nothing but the C library: the binary then runs on any machine, as with the other. `OPENSSL_NO_SYSTEM=1` has it compiled in
//! any case, for what is released.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={NO_SYSTEM}");
    let refused = env::var_os(NO_SYSTEM).is_some_and(|value| value != "0");
    match system().filter(|_| !refused) {
        Some(library) => link(&library.folder, &library.include),
        None => compile(),
    }
}

const NO_SYSTEM: &str = "OPENSSL_NO_SYSTEM";
/// Libraries that every C library has.
const OF_LIBC: &[&str] = &["ssl", "crypto", "dl", "pthread"];

struct Library {
    folder: PathBuf,
    include: PathBuf,
}

/// pkg-config answers for this machine; when another is built for, its crate finds nothing.
fn system() -> Option<Library> {
    let found = pkg_config::Config::new()
        .statik(true)
        .atleast_version("3")
        .cargo_metadata(false)
        .env_metadata(true)
        .probe("openssl")
        .ok()?;
    let named = |name| pkg_config::get_variable("openssl", name).map(PathBuf::from);
    let library = Library {
        folder: named("libdir").ok()?,
        include: named("includedir").ok()?,
    };
    let has = |path: PathBuf| path.is_file();
    let fit = found
        .libs
        .iter()
        .all(|name| OF_LIBC.contains(&name.as_str()))
        && has(library.folder.join("libssl.a"))
        && has(library.folder.join("libcrypto.a"))
        && has(library.include.join("openssl/ssl.h"));
    fit.then_some(library)
}

fn compile() {
    let built = openssl_src::Build::new().build();
    // librdkafka's own build script looks below it for headers and libraries.
    if let Some(root) = built.lib_dir().parent() {
        println!("cargo:root={}", root.display());
    }
    link(built.lib_dir(), built.include_dir());
}

fn link(folder: &Path, include: &Path) {
    println!("cargo:rustc-link-search=native={}", folder.display());
    println!("cargo:rustc-link-lib=static=ssl");
    println!("cargo:rustc-link-lib=static=crypto");
    println!("cargo:include={}", include.display());
}
