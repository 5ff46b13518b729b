//! What lies in `deploy` to run Walferry with: held against the schemas and the judges of those who read it, and run where that can be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use walferry_stack::{SYSTEMD_TOOLS, ensure, python_package};
use walferry_testkit::process::{Walferry, binary};

use crate::place::{Place, READY};
use crate::records::read;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs a command that has to end well; what it said.
fn runs(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

fn python(package: &str, version: &str) -> Command {
    let mut command = Command::new("python3");
    let module = package.replace('-', "_");
    command.args(["-m", &module]).current_dir(root());
    command.env("PYTHONPATH", python_package(package, version).unwrap());
    command
}

#[test]
fn the_compose_file_and_the_manifests_are_what_their_schemas_say() {
    let compose = ["--builtin-schema", "vendor.compose-spec"];
    runs(
        python("check-jsonschema", "0.39.0")
            .args(compose)
            .arg("docker-compose.yml"),
    );
    let said = runs(
        python("kubernetes-validate", "1.37.0")
            .arg("--strict")
            .arg("deploy/kubernetes/walferry.yaml"),
    );
    assert_eq!(said.matches(" passed ").count(), 7, "{said}");
    // Each file that a service mounts is there.
    let text = fs::read_to_string(root().join("docker-compose.yml")).unwrap();
    let mounts = text.split("./deploy/").skip(1);
    let mounts: Vec<&str> = mounts.filter_map(|it| it.split(':').next()).collect();
    assert!(mounts.len() >= 6, "{mounts:?}");
    for mount in mounts {
        assert!(root().join("deploy").join(mount).exists(), "{mount}");
    }
}

#[test]
fn the_chart_renders_what_kubernetes_takes_and_refuses_wrong_values() {
    let folder = std::env::temp_dir().join(format!("walferry-chart-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let helm = python_package("helm-python-sdk", "0.2.2").unwrap();
    runs(
        Command::new("python3")
            .arg(root().join("integration-tests/ring/deployment/chart.py"))
            .arg(root().join("deploy/helm/walferry"))
            .arg(&folder)
            .env("PYTHONPATH", helm),
    );
    let rendered = fs::read_dir(&folder).unwrap().flatten();
    let files: Vec<PathBuf> = rendered.map(|it| it.path()).collect();
    // Those of the Prometheus operator are none of Kubernetes' own.
    let own = |it: &&PathBuf| {
        let name = it.to_string_lossy();
        !name.contains("servicemonitor") && !name.contains("prometheusrule")
    };
    let own: Vec<&PathBuf> = files.iter().filter(own).collect();
    assert_eq!((files.len(), own.len()), (14, 12), "{files:?}");
    runs(
        python("kubernetes-validate", "1.37.0")
            .arg("--strict")
            .args(own),
    );
    fs::remove_dir_all(&folder).unwrap();
}

/// The statements of a script for pgbench, with its variable set.
fn script(name: &str) -> String {
    let text = fs::read_to_string(root().join("deploy/compose").join(name)).unwrap();
    let lines = text.lines().filter(|it| !it.starts_with("\\set "));
    let text: Vec<&str> = lines.collect();
    text.join("\n").replace(":price", "4200")
}

#[test]
fn the_shop_of_the_compose_file_arrives_by_its_own_configuration() {
    let place = Place::shared("compose");
    for _ in 0..2 {
        place.sql(&script("shop.sql"));
    }
    place.sql(&script("order.sql"));
    // The file as it is; the environment says where the servers of the test are.
    let mut settings = place.all();
    for (name, value) in [
        ("NAME", &place.name),
        ("SOURCE__URL", &place.url),
        ("KAFKA__BROKERS", &place.brokers),
        ("KAFKA__TOPIC_PREFIX", &place.name),
        ("REGISTRY__URL", &place.registry),
    ] {
        settings.env(&format!("WALFERRY_{name}"), value);
    }
    let listen = settings.admin_url().replace("http://", "");
    settings.env("WALFERRY_ADMIN__LISTEN", &listen);
    let file = root().join("deploy/compose/walferry.toml");
    let arguments = ["run", "-c", file.to_str().unwrap()];
    let mut walferry = Walferry::start_with(&arguments, &settings, &place.folder).unwrap();
    walferry.wait_ready(READY);
    place.sql(&script("ship.sql"));
    place.sql(&script("forget.sql"));
    place.drain(&script("order.sql"));
    // One that was there and is shipped, and one more.
    assert_eq!(read(&place, "public.orders").len(), 3);
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}

#[test]
fn the_image_holds_what_the_binary_needs() {
    let folder = std::env::temp_dir().join(format!("walferry-image-{}", std::process::id()));
    let script = root().join("deploy/container/image.sh");
    runs(
        Command::new("sh")
            .arg(&script)
            .arg(binary().unwrap())
            .arg(&folder),
    );
    let linked = runs(Command::new("ldd").arg(binary().unwrap()));
    let libraries = linked.split_whitespace().filter(|it| it.starts_with('/'));
    for library in libraries {
        assert!(folder.join(&library[1..]).is_file(), "{library}: {linked}");
    }
    let authorities = fs::metadata(folder.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    assert!(authorities.len() > 0);
    // Only root may call a folder the root.
    if rustix::process::geteuid().is_root() {
        let said = runs(
            Command::new("chroot")
                .args(["--userspec=65532:65532".as_ref(), folder.as_os_str()])
                .args(["/usr/bin/walferry", "explain", "WF0003"]),
        );
        assert!(said.contains("WF0003"), "{said}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_unit_is_valid_and_locked_down() {
    ensure(SYSTEMD_TOOLS).unwrap();
    let folder = std::env::temp_dir().join(format!("walferry-unit-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let unit = fs::read_to_string(root().join("deploy/systemd/walferry@.service")).unwrap();
    // It is not installed here.
    let binary = binary().unwrap();
    let unit = unit.replace("/usr/bin/walferry", &binary.to_string_lossy());
    let file = folder.join("walferry@shop.service");
    fs::write(&file, &unit).unwrap();
    let analyze = |arguments: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        runs(command.args(arguments).arg(&file))
    };
    analyze(&["verify"]);
    // In tenths: 1.1 of 10, where 0 is best.
    analyze(&["security", "--offline=yes", "--no-pager", "--threshold=11"]);
    for line in [
        "RestartPreventExitStatus=2 3 4",
        "Restart=on-failure",
        "NoNewPrivileges=yes",
    ] {
        assert!(unit.lines().any(|it| it == line), "{line}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
