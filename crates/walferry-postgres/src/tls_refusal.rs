//! Why TLS was refused, in words that name the setting which decides.
//!
//! Owns these words and no more: a text from an error of rustls, or `None` when it was not TLS.

use std::io;

use rustls::{AlertDescription, CertificateError};

/// With TLS 1.3 a refused client certificate comes to light only after the handshake, as an alert in place of the answer.
pub(crate) fn alert(error: &io::Error) -> Option<String> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(explain_alert(*alert)),
        _ => None,
    }
}

/// Why TLS refused, and which setting decides; `None` when it was not TLS.
pub(crate) fn explain(error: &io::Error, host: &str) -> Option<String> {
    let reason = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match reason {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => {
                "the server's certificate is not signed by an authority of source.tls.ca; give the authority's \
                 certificate there, or the server's own when it is self-signed"
                    .to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!(
                    "the server's certificate is not for {host} (only its subjectAltName counts); connect by a name it \
                     has, or use mode = \"verify-ca\""
                )
            }
            CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                "the server's certificate is self-signed and calls itself an authority (CA:TRUE); put exactly this \
                 certificate into source.tls.ca, or use mode = \"require\" without ca"
                    .to_owned()
            }
            CertificateError::Other(other) if other.to_string().contains("UnsupportedCertVersion") => {
                "the server's certificate is of X.509 version 1; make one with a subjectAltName, or use mode = \"require\" \
                 without ca"
                    .to_owned()
            }
            other => format!("the server's certificate is refused: {other}"),
        },
        rustls::Error::AlertReceived(alert) => explain_alert(*alert),
        other => other.to_string(),
    })
}

/// `CertificateRequired` as people say it.
fn words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    for (at, c) in name.char_indices() {
        if c.is_uppercase() && at > 0 {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

fn explain_alert(alert: AlertDescription) -> String {
    let why = words(&format!("{alert:?}"));
    format!(
        "the server refused TLS: {why}; when it asks for a client certificate, set source.tls.cert and source.tls.key to \
         one that its ssl_ca_file has signed"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_told_in_words() {
        let told = explain_alert(AlertDescription::CertificateRequired);
        assert!(told.contains("TLS: certificate required;"), "{told}");
    }
}
