// SPDX-License-Identifier: MIT OR Apache-2.0
//! The TLS certificate: made at the first start, made again with the same key when the host gets an
//! address that it does not name, unless an administrator put another one there.
//!
//! One that was installed is in a file of its own with its key, so that the two always fit; the host's own
//! ones stay beside it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::{Context as _, Result};
use rcgen::{CertificateParams, DnType, KeyPair};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};

use super::certificate::{self, Checked, Facts};

/// Names that every certificate has.
const ALWAYS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What is spoken over TLS, best first: some programs offer the older version alone.
const PROTOCOLS: [&[u8]; 2] = [b"http/1.1", b"http/1.0"];

/// An administrator's key and certificates.
const INSTALLED: &str = "installed.pem";

/// Key and certificate of the host.
#[derive(Debug)]
pub struct Identity {
    folder: PathBuf,
    current: Arc<Current>,
    /// Names in the certificate; none if it is not ours to make again.
    names: Mutex<Option<BTreeSet<String>>>,
}

#[derive(Debug)]
struct Current(RwLock<(Arc<CertifiedKey>, String)>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).0.clone())
    }
}

impl Identity {
    /// Reads `key.pem` and `cert.pem` of a folder, or makes them for these names.
    pub fn open(folder: &Path, names: &[String]) -> Result<Identity> {
        let files = Files { folder };
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let wanted: BTreeSet<String> =
            ALWAYS.iter().map(|name| (*name).to_owned()).chain(names.iter().cloned()).collect();
        let names = if files.path("key.pem").exists() && files.path("cert.pem").exists() {
            files.names()
        } else {
            make_all(&files, &wanted)?;
            Some(wanted.clone())
        };
        let names = names.filter(|_| !files.path(INSTALLED).exists());
        let identity = Identity {
            folder: folder.to_owned(),
            current: Arc::new(Current(RwLock::new(files.load()?))),
            names: Mutex::new(names),
        };
        for name in &wanted {
            identity.cover(name);
        }
        Ok(identity)
    }

    /// Sees to it that the certificate names an address or a host name. A failure is logged: the
    /// old certificate serves on.
    pub fn cover(&self, name: &str) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(names) = names.as_mut() else { return };
        if names.contains(name) {
            return;
        }
        names.insert(name.to_owned());
        let files = Files { folder: &self.folder };
        let made =
            files.key().and_then(|key| make(&files, &key, names)).and_then(|()| files.load());
        match made {
            Ok(loaded) => {
                self.show(loaded);
                tracing::info!(name, "the certificate names one more address");
            }
            Err(error) => {
                names.remove(name);
                tracing::error!(error = format!("{error:#}"), name, "making a certificate");
            }
        }
    }

    /// Shows another certificate from the next connection on; those of before go on.
    pub fn install(&self, checked: &Checked) -> Result<()> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let files = Files { folder: &self.folder };
        files.write(INSTALLED, 0o600, &checked.pem)?;
        *names = None;
        self.show((checked.certified.clone(), checked.leaf.clone()));
        Ok(())
    }

    /// Makes a new key and a certificate for the names that the host had for itself, and shows that.
    pub fn reset(&self) -> Result<()> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let files = Files { folder: &self.folder };
        let own = names.clone().or_else(|| files.names());
        let own = own.unwrap_or_else(|| ALWAYS.iter().map(|name| (*name).to_owned()).collect());
        make_all(&files, &own)?;
        files.remove(INSTALLED)?;
        self.show(files.load()?);
        *names = Some(own);
        Ok(())
    }

    fn show(&self, loaded: (Arc<CertifiedKey>, String)) {
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = loaded;
    }

    /// What the certificate says.
    pub fn facts(&self) -> Option<Facts> {
        let current = self.current.0.read().unwrap_or_else(PoisonError::into_inner);
        certificate::facts(current.0.cert.first()?)
    }

    /// A file of another name beside them.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Files with the key, and with the certificate; it may be one.
    pub fn files(&self) -> (PathBuf, PathBuf) {
        let file = |name: &str| self.folder.join(name);
        match file(INSTALLED).exists() {
            true => (file(INSTALLED), file(INSTALLED)),
            false => (file("key.pem"), file("cert.pem")),
        }
    }

    /// The certificate.
    pub fn certificate_pem(&self) -> String {
        self.current.0.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// How to speak TLS with it.
    pub fn tls(&self) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .unwrap_or_else(|error| unreachable!("ring speaks every version: {error}"));
        let mut config = builder.with_no_client_auth().with_cert_resolver(self.current.clone());
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Arc::new(config)
    }
}

/// Makes key and certificate. A start that finds one without the other makes both.
fn make_all(files: &Files<'_>, names: &BTreeSet<String>) -> Result<()> {
    files.remove("cert.pem")?;
    let key = KeyPair::generate().context("making a TLS key")?;
    files.write("key.pem", 0o600, &key.serialize_pem())?;
    make(files, &key, names)
}

fn make(files: &Files<'_>, key: &KeyPair, names: &BTreeSet<String>) -> Result<()> {
    let names: Vec<String> = names.iter().cloned().collect();
    let mut params = CertificateParams::new(names.clone())
        .with_context(|| format!("making a certificate for {}", names.join(", ")))?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Xenith host");
    // The clock may be wrong at the first start, so the span is wide.
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 12, 31);
    let certificate = params.self_signed(key).context("signing a certificate")?;
    files.write("cert.pem", 0o644, &certificate.pem())?;
    files.write("names", 0o644, &names.join("\n"))
}

/// The files of a folder.
struct Files<'a> {
    folder: &'a Path,
}

impl Files<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = self.path(name);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// Writes a file as a whole, so that a crash leaves the old or the new one.
    fn write(&self, name: &str, mode: u32, text: &str) -> Result<()> {
        let (path, new) = (self.path(name), self.path(&format!("{name}.new")));
        let write = || {
            let mut options = fs::OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        write().with_context(|| format!("writing {}", path.display()))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => fs::File::open(self.folder).and_then(|folder| folder.sync_all()),
        }
        .with_context(|| format!("removing {}", path.display()))
    }

    fn key(&self) -> Result<KeyPair> {
        KeyPair::from_pem(&self.read("key.pem")?).context("understanding the TLS key")
    }

    /// Names in the certificate that we made; none if somebody else's is there.
    fn names(&self) -> Option<BTreeSet<String>> {
        let names = self.read("names").ok()?;
        Some(names.lines().map(str::to_owned).collect())
    }

    fn load(&self) -> Result<(Arc<CertifiedKey>, String)> {
        let (key, pem) = match self.path(INSTALLED).exists() {
            true => {
                let pem = self.read(INSTALLED)?;
                (pem.clone(), pem)
            }
            false => (self.read("key.pem")?, self.read("cert.pem")?),
        };
        let chain = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .context("understanding the TLS certificate")?;
        let key =
            PrivateKeyDer::from_pem_slice(key.as_bytes()).context("understanding the TLS key")?;
        let key = ring::sign::any_supported_type(&key).context("using the TLS key")?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().context("comparing TLS key and certificate")?;
        let leaf = certificate::certificates(&pem).and_then(|all| all.into_iter().next());
        let (leaf, _) = leaf.context("understanding the TLS certificate")?;
        Ok((Arc::new(certified), leaf))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_stays_until_an_address_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["host".to_owned()];
        let first = Identity::open(folder.path(), &names).unwrap().certificate_pem();
        let again = Identity::open(folder.path(), &names).unwrap();
        assert_eq!(again.certificate_pem(), first);
        let key = fs::read(folder.path().join("key.pem")).unwrap();
        again.cover("192.0.2.7");
        let covered = again.certificate_pem();
        assert_ne!(covered, first);
        assert_eq!(fs::read(folder.path().join("key.pem")).unwrap(), key);
        again.cover("192.0.2.7");
        assert_eq!(again.certificate_pem(), covered);
        let later = Identity::open(folder.path(), &names).unwrap();
        assert_eq!(later.certificate_pem(), covered);
    }

    #[test]
    fn an_administrators_certificate_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = Identity::open(folder.path(), &[]).unwrap().certificate_pem();
        fs::remove_file(folder.path().join("names")).unwrap();
        let theirs = Identity::open(folder.path(), &["other".to_owned()]).unwrap();
        theirs.cover("192.0.2.7");
        assert_eq!(theirs.certificate_pem(), first);
    }

    #[test]
    fn older_http_is_offered_after_the_newer() {
        let folder = tempfile::tempdir().unwrap();
        let tls = Identity::open(folder.path(), &[]).unwrap().tls();
        assert_eq!(tls.alpn_protocols, [b"http/1.1", b"http/1.0"]);
    }

    #[test]
    fn a_broken_key_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        drop(Identity::open(folder.path(), &[]).unwrap());
        fs::write(folder.path().join("key.pem"), "nonsense").unwrap();
        assert!(Identity::open(folder.path(), &[]).is_err());
    }
}
