//! TLS with the server: which certificate is good enough, and what binds a log-in to the connection.
//!
//! Owns the verifier of the modes `require`, `verify-ca` and `verify-full`, and the hash of `tls-server-end-point`.
//! Never: accepts a handshake whose signature does not fit the certificate, in any mode.
//! Invariant: a certificate that is itself in the `ca` file is trusted as it stands (many servers have a self-signed one
//! that calls itself an authority, which rustls would refuse), within its dates and, in `verify-full`, for its names.
//! Source: PostgreSQL documentation, "SSL Support"; RFC 5929, section 4.

use std::{io, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{
        CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
        verify_tls13_signature_with_raw_key,
    },
    server::ParsedCertificate,
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime, pem::PemObject,
};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio_rustls::TlsConnector;
use x509_cert::{
    Certificate,
    der::{Decode, Encode, oid::db::rfc5912 as oid},
};

use crate::{ConnectConfig, Error, TlsConfig, TlsMode, kind::Kind, tls_refusal};

/// The rustls configuration of `tls`; its files are read anew each time.
pub(crate) fn client_config(tls: &TlsConfig) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new(tls, provider.clone())?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::settings(format!("TLS cannot be set up: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    match (&tls.cert, &tls.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(key)) => {
            let chain = certificates("source.tls.cert", cert)?;
            let private = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| unusable("source.tls.key", key, &error.to_string()))?;
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|error| {
                    let reason = format!("with source.tls.key = {:?}: {error}", key.display());
                    unusable("source.tls.cert", cert, &reason)
                })
        }
        _ => Err(Error::settings(
            "source.tls.cert and source.tls.key belong together: one is missing",
        )),
    }
}

/// What opens TLS to the configured host.
pub(crate) fn connector(
    config: &ConnectConfig,
) -> Result<(TlsConnector, ServerName<'static>), Error> {
    let name = ServerName::try_from(config.host.clone()).map_err(|_| {
        Error::settings(format!(
            "host {:?} is neither a name nor an address",
            config.host
        ))
    })?;
    Ok((
        TlsConnector::from(Arc::new(client_config(&config.tls)?)),
        name,
    ))
}

fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates: Vec<_> = read.map_err(|error| unusable(setting, path, &error.to_string()))?;
    if certificates.is_empty() {
        return Err(unusable(
            setting,
            path,
            "no certificate in PEM form is in it",
        ));
    }
    Ok(certificates)
}

fn unusable(setting: &str, path: &Path, reason: &str) -> Error {
    Error::settings(format!(
        "{setting} = {:?} cannot be used: {reason}",
        path.display()
    ))
}

/// Decides about the server's certificate by mode.
#[derive(Debug)]
struct Verifier {
    mode: TlsMode,
    roots: RootCertStore,
    /// The certificates of the `ca` file, byte for byte.
    pinned: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(tls: &TlsConfig, provider: Arc<CryptoProvider>) -> Result<Verifier, Error> {
        let mode = match (tls.mode, &tls.ca) {
            // As in libpq: whoever names an authority wants it to be asked.
            (TlsMode::Require, Some(_)) => TlsMode::VerifyCa,
            (mode @ (TlsMode::VerifyCa | TlsMode::VerifyFull), None) => {
                return Err(Error::settings(format!(
                    "[source.tls] mode = \"{mode}\" needs ca: the PEM file of the authority that signed the server's \
                     certificate (often /etc/ssl/certs/ca-certificates.crt)"
                )));
            }
            (mode, _) => mode,
        };
        let pinned = match &tls.ca {
            Some(path) => certificates("source.tls.ca", path)?,
            None => Vec::new(),
        };
        let mut roots = RootCertStore::empty();
        // A bundle may hold entries that webpki cannot use; the others still count.
        roots.add_parsable_certificates(pinned.iter().cloned());
        Ok(Verifier {
            mode,
            roots,
            pinned,
            provider,
        })
    }

    fn verify_chain(
        &self,
        leaf: &CertificateDer<'_>,
        parsed: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        if self
            .pinned
            .iter()
            .any(|pinned| pinned.as_ref() == leaf.as_ref())
        {
            return verify_dates(leaf, now);
        }
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            parsed,
            &self.roots,
            intermediates,
            now,
            algorithms,
        )
    }
}

fn public_key(leaf: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
    let certificate = Certificate::from_der(leaf).ok()?;
    let key = certificate.tbs_certificate.subject_public_key_info;
    Some(SubjectPublicKeyInfoDer::from(key.to_der().ok()?))
}

fn verify_dates(leaf: &CertificateDer<'_>, now: UnixTime) -> Result<(), rustls::Error> {
    let certificate = Certificate::from_der(leaf).map_err(|_| CertificateError::BadEncoding)?;
    let validity = certificate.tbs_certificate.validity;
    let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
    if now.as_secs() < seconds(validity.not_before) {
        return Err(CertificateError::NotValidYet.into());
    }
    if now.as_secs() > seconds(validity.not_after) {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if matches!(self.mode, TlsMode::VerifyCa | TlsMode::VerifyFull) {
            let parsed = ParsedCertificate::try_from(leaf)?;
            self.verify_chain(leaf, &parsed, intermediates, now)?;
            if self.mode == TlsMode::VerifyFull {
                verify_server_name(&parsed, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, leaf, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let verified = verify_tls13_signature(message, leaf, signature, algorithms);
        match (&verified, self.mode) {
            // A certificate of X.509 version 1, as `openssl x509 -req` makes it, is not for rustls, but its key is.
            (Err(rustls::Error::InvalidCertificate(_)), TlsMode::Require) => {
                let key = public_key(leaf).ok_or(CertificateError::BadEncoding)?;
                verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
            }
            _ => verified,
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// What binds a SCRAM log-in to the connection.
pub(crate) enum ServerEndPoint {
    /// The hash of the server's certificate.
    Hash(Vec<u8>),
    /// The certificate's signature algorithm has no hash of its own (Ed25519), so the binding is not defined.
    Undefined,
}

/// RFC 5929: the hash of the signature algorithm, but SHA-256 for MD5 and SHA-1.
pub(crate) fn server_end_point(leaf: &CertificateDer<'_>) -> ServerEndPoint {
    let Ok(certificate) = Certificate::from_der(leaf) else {
        return ServerEndPoint::Undefined;
    };
    let hash = match certificate.signature_algorithm.oid {
        oid::MD_5_WITH_RSA_ENCRYPTION
        | oid::SHA_1_WITH_RSA_ENCRYPTION
        | oid::SHA_256_WITH_RSA_ENCRYPTION
        | oid::ECDSA_WITH_SHA_256 => Sha256::digest(leaf).to_vec(),
        oid::SHA_384_WITH_RSA_ENCRYPTION | oid::ECDSA_WITH_SHA_384 => Sha384::digest(leaf).to_vec(),
        oid::SHA_512_WITH_RSA_ENCRYPTION | oid::ECDSA_WITH_SHA_512 => Sha512::digest(leaf).to_vec(),
        _ => return ServerEndPoint::Undefined,
    };
    ServerEndPoint::Hash(hash)
}

/// The server has no TLS.
pub(crate) fn switched_off(doing: &str) -> Error {
    let remedy = "set ssl = on there, or [source.tls] mode = \"disable\"";
    Error::new(
        Kind::Tls,
        format!("{doing}: the server has TLS switched off; {remedy}"),
    )
}

/// A handshake that failed.
pub(crate) fn refused(doing: &str, config: &ConnectConfig, error: io::Error) -> Error {
    match tls_refusal::explain(&error, &config.host) {
        Some(why) => Error::new(Kind::Tls, format!("{doing}: {why}")).because(error),
        None => Error::lost(doing, error),
    }
}
