//! What errors of TLS mean here, and what to do about them.

use rustls::{AlertDescription as Alert, CertificateError as Bad, Error as TlsError};
use std::io;
use suiro_core::Error;

/// The error of a socket that carries what a human can do about it.
pub(super) fn refused(error: TlsError) -> io::Error {
    let text = match &error {
        TlsError::InvalidCertificate(bad) => certificate(bad),
        TlsError::NoCertificatesPresented => "broker shows no certificate",
        TlsError::AlertReceived(alert) => match alert {
            Alert::CertificateRequired
            | Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::UnsupportedCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown => {
                "broker wants a certificate of the client that it trusts; name one in \
                 ssl.keystore.location"
            }
            Alert::InternalError | Alert::UserCanceled | Alert::CloseNotify => {
                let text = "broker ends tls; it is tried again";
                return io::Error::other(Error::unavailable(text).caused_by(error));
            }
            _ => "broker refuses tls; check its ssl.enabled.protocols and ssl.cipher.suites",
        },
        TlsError::InvalidMessage(_) => {
            "what answers does not speak tls; name the address of a listener that does, or set \
             security.protocol to PLAINTEXT or SASL_PLAINTEXT"
        }
        TlsError::PeerIncompatible(_) => {
            "broker speaks no version of tls that is spoken here; 1.2 and 1.3 are"
        }
        _ => "tls cannot be agreed on",
    };
    io::Error::other(Error::invalid(text).caused_by(error))
}

fn certificate(bad: &Bad) -> &'static str {
    match bad {
        Bad::UnknownIssuer | Bad::BadSignature => {
            "broker's certificate is of nobody who is trusted; name the certificate of its \
             authority in ssl.truststore.location"
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            "broker's certificate is for another host; use a name that it has in \
             bootstrap.servers and the broker's advertised.listeners"
        }
        Bad::Expired | Bad::ExpiredContext { .. } => {
            "broker's certificate has expired; renew it"
        }
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            "broker's certificate is not valid yet; check the clock of this machine"
        }
        _ => "broker's certificate cannot be accepted",
    }
}
