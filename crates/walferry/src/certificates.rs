//! When the certificates end that the configuration names.
//!
//! Owns: which keys name certificates, and the metric of them. Never: looks at what a server shows of itself. Invariant: a file that cannot be read, or
//! is a folder, has no value here; whoever uses it says so.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_cert::{Certificate, der::Decode};

use crate::configuration::Loaded;

/// How often the files are read: they are exchanged by hand or once in weeks.
const EVERY: Duration = Duration::from_secs(600);

/// A file with certificates.
pub(crate) struct Named {
    connector: String,
    key: &'static str,
    path: PathBuf,
}

/// The files that these connectors name.
pub(crate) fn named(loaded: &[Loaded]) -> Vec<Named> {
    let of = |one: &Loaded| {
        let config = &one.pipeline;
        let (source, registry) = (&config.source.connect.tls, &config.registry);
        let property = |name: &str| config.kafka.properties.get(name).map(PathBuf::from);
        let files = [
            ("source.tls.ca", source.ca.clone()),
            ("source.tls.cert", source.cert.clone()),
            ("registry.tls.ca", registry.ca.clone()),
            ("registry.tls.cert", registry.cert.clone()),
            ("ssl.ca.location", property("ssl.ca.location")),
            (
                "ssl.certificate.location",
                property("ssl.certificate.location"),
            ),
        ];
        let connector = config.name.clone();
        files.into_iter().filter_map(move |(key, path)| {
            Some(Named {
                connector: connector.clone(),
                key,
                path: path?,
            })
        })
    };
    loaded.iter().flat_map(of).collect()
}

/// Tells the end of each, again and again.
pub(crate) async fn watch(files: Vec<Named>) {
    while !files.is_empty() {
        for Named {
            connector,
            key,
            path,
        } in &files
        {
            if let Some(end) = end(path, key.ends_with("ca") || key.contains(".ca.")) {
                metrics::gauge!("walferry_certificate_end_timestamp_seconds",
                    "connector" => connector.clone(), "key" => *key)
                .set(end as f64);
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// When what is in the file is of no use any more, as Unix time: of authorities the last one's end, of a chain its first certificate's.
fn end(path: &Path, authorities: bool) -> Option<u64> {
    let certificates = CertificateDer::pem_file_iter(path).ok()?;
    let mut ends = certificates.filter_map(|it| {
        let parsed = Certificate::from_der(&it.ok()?).ok()?;
        let until = parsed.tbs_certificate.validity.not_after;
        Some(until.to_unix_duration().as_secs())
    });
    match authorities {
        true => ends.max(),
        false => ends.next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 2026-01-01 to 2026-06-01, and to 2036-01-01.
    const SHORT: &str = include_str!("certificates/short.pem");
    const LONG: &str = include_str!("certificates/long.pem");

    #[test]
    fn a_chain_ends_with_its_first_certificate_and_authorities_with_their_last() {
        let folder = std::env::temp_dir().join(format!("walferry-ends-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("both.pem");
        std::fs::write(&file, format!("{SHORT}{LONG}")).unwrap();
        assert_eq!(end(&file, false), Some(1_780_272_000));
        assert_eq!(end(&file, true), Some(2_082_758_400));
        std::fs::write(&file, "no certificate").unwrap();
        assert_eq!(end(&file, false), None);
        assert_eq!(end(&folder, true), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
