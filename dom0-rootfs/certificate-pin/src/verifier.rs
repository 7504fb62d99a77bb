// SPDX-License-Identifier: MIT OR Apache-2.0
//! A verifier for rustls that asks no authority.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use crate::Fingerprint;

/// A server that is not the one that was meant. It is in the [`OtherError`] of the handshake's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the server shows another certificate than the one that it should have: its SHA-256 fingerprint is \
     {shown}, expected was {expected}"
)]
pub struct AnotherCertificate {
    /// Of the certificate that the server has.
    pub shown: Fingerprint,
    /// Of the one that it should have.
    pub expected: Fingerprint,
}

/// Accepts certificates whose key the server really has: any, or a single one. Names and dates in it
/// decide nothing.
#[derive(Debug)]
pub struct Verifier {
    expected: Option<Fingerprint>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// Accepts every certificate; the caller decides on the one that the connection has.
    pub fn any() -> Self {
        Self { expected: None, provider: Arc::new(ring::default_provider()) }
    }

    /// Accepts this certificate only.
    pub fn only(expected: Fingerprint) -> Self {
        Self { expected: Some(expected), ..Self::any() }
    }

    /// The configuration of a client that trusts by this verifier.
    ///
    /// # Errors
    /// The cryptography has no version of TLS in common with rustls.
    pub fn client(self) -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(self.provider.clone());
        let builder = builder.with_safe_default_protocol_versions()?.dangerous();
        Ok(builder.with_custom_certificate_verifier(Arc::new(self)).with_no_client_auth())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(end_entity);
        match self.expected {
            Some(expected) if expected != shown => {
                Err(Error::Other(OtherError(Arc::new(AnotherCertificate { shown, expected }))))
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
