//! Whose certificates are trusted, and which one is shown.

use crate::settings::Security;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore,
    SignatureScheme,
};
use std::path::Path;
use std::sync::Arc;
use suiro_core::{Error, Result};

/// What a connection needs to know of certificates.
pub(in crate::net) struct Trust(Arc<ClientConfig>);

impl Trust {
    pub(in crate::net) fn new(security: &Security) -> Result<Self> {
        let failed = |error: TlsError| Error::invalid("tls cannot be set up").caused_by(error);
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(roots(security)?);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(failed)?;
        let builder = match security.verify_host {
            true => builder.with_root_certificates(roots),
            false => {
                let verifier = AnyHost::new(roots, provider)?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        let config = match own(security)? {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    let text = "client's key cannot be used, or is not that of its certificate";
                    Error::invalid(text).caused_by(error)
                })?
            }
        };
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

/// Those who may vouch for a broker.
fn roots(security: &Security) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let mut named = Vec::new();
    if let Some(path) = &security.truststore {
        let pem = file("ssl.truststore.location", path)?;
        let found = certificates("ssl.truststore.location", &pem);
        named.extend(found.map_err(|error| error.with("file", path.display()))?);
    }
    if !security.truststore_certificates.is_empty() {
        let pem = security.truststore_certificates.as_bytes();
        named.extend(certificates("ssl.truststore.certificates", pem)?);
    }
    for certificate in &named {
        roots.add(certificate.clone()).map_err(|error| {
            Error::invalid("certificate of an authority cannot be used").caused_by(error)
        })?;
    }
    if named.is_empty() {
        // Some that a system has are too old to be used, and others do as well.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        let text = "system trusts nobody who could vouch for a broker; name a file with \
                    certificates in ssl.truststore.location, or install ca-certificates";
        return Err(Error::invalid(text));
    }
    Ok(roots)
}

type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The client's own certificates and key.
fn own(security: &Security) -> Result<Option<Own>> {
    let (chain, key) = (&security.keystore_certificates, &security.keystore_key);
    if let Some(path) = &security.keystore {
        let name = "ssl.keystore.location";
        let pem = file(name, path)?;
        let named = |error: Error| error.with("file", path.display());
        let chain = certificates(name, &pem).map_err(named)?;
        return Ok(Some((chain, private_key(name, &pem).map_err(named)?)));
    }
    if chain.is_empty() && key.is_empty() {
        return Ok(None);
    }
    let chain = certificates("ssl.keystore.certificate.chain", chain.as_bytes())?;
    Ok(Some((chain, private_key("ssl.keystore.key", key.reveal().as_bytes())?)))
}

fn file(name: &str, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        let error = Error::invalid("file cannot be read; check its path").caused_by(error);
        error.with("name", name).with("file", path.display())
    })
}

fn certificates(name: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let text = "no certificate in the form PEM is there; convert it (openssl, keytool -rfc)";
    let none = || Error::invalid(text).with("name", name);
    let all = all.map_err(|error| none().caused_by(error))?;
    if all.is_empty() { Err(none()) } else { Ok(all) }
}

fn private_key(name: &str, pem: &[u8]) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        let text = "no key in the form PEM without a password is there; convert it (openssl \
                    pkcs8 -topk8 -nocrypt)";
        Error::invalid(text).with("name", name).caused_by(error)
    })
}

/// Asks for a certificate of somebody trusted, and not for whom it is.
#[derive(Debug)]
struct AnyHost(Arc<WebPkiServerVerifier>);

impl AnyHost {
    fn new(roots: Arc<RootCertStore>, provider: Arc<CryptoProvider>) -> Result<Self> {
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        let verifier = verifier.map_err(|error| {
            Error::invalid("certificates of authorities cannot be used").caused_by(error)
        })?;
        Ok(Self(verifier))
    }
}

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let result =
            self.0.verify_server_cert(certificate, intermediates, name, ocsp_response, now);
        match result {
            // The name is looked at last, when all else is well.
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
