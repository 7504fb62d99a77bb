// SPDX-License-Identifier: MIT OR Apache-2.0
//! Authorities that administrators trust, and the objects of all certificates.
//!
//! Each authority is a file. Connections that the host makes to others over TLS trust these alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use xapi_model::{ApiError, DateTime, Ref, Value, classes, errors};

use crate::server::certificate::{self, AUTHORITY, Facts};
use crate::store::Transaction;
use crate::toolstack::Toolstack;

/// Longest name, in bytes.
const LONGEST_NAME: usize = 128;

/// Authorities, one file each.
#[derive(Debug)]
pub struct Authorities {
    folder: PathBuf,
    changing: Mutex<()>,
}

impl Authorities {
    /// Those in a folder, which is made when it is needed.
    pub fn new(folder: PathBuf) -> Authorities {
        Authorities { folder, changing: Mutex::default() }
    }

    /// Trusts one, under this name.
    pub fn install(&self, name: &str, text: &str) -> Result<(), ApiError> {
        self.check(name)?;
        let (pem, _) = certificate::current(text, DateTime::now(), &AUTHORITY)?;
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.folder.join(name);
        if path.exists() {
            return Err(errors::CERTIFICATE_ALREADY_EXISTS.with([name]));
        }
        let new = self.folder.join(format!("{name}.new"));
        let written = fs::create_dir_all(&self.folder)
            .and_then(|()| fs::write(&new, pem))
            .and_then(|()| fs::File::open(&new)?.sync_all())
            .and_then(|()| fs::rename(&new, &path))
            .and_then(|()| fs::File::open(&self.folder)?.sync_all());
        written
            .with_context(|| format!("writing {}", path.display()))
            .map_err(|error| errors::INTERNAL_ERROR.with([format!("{error:#}")]))
    }

    /// Trusts one no longer; tells whether it was there.
    pub fn uninstall(&self, name: &str) -> Result<bool, ApiError> {
        self.check(name)?;
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        match fs::remove_file(self.folder.join(name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(errors::INTERNAL_ERROR.with([format!("removing {name}: {error}")])),
        }
    }

    /// All of them by name, as PEM. A file that is no certificate is logged and left out.
    pub fn all(&self) -> Result<BTreeMap<String, String>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(BTreeMap::new());
            }
            entries => entries.with_context(|| format!("reading {}", self.folder.display()))?,
        };
        let mut all = BTreeMap::new();
        for entry in entries {
            let path = entry.context("reading a folder")?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if self.check(name).is_err() {
                continue;
            }
            let text = fs::read_to_string(&path);
            let text = text.with_context(|| format!("reading {}", path.display()))?;
            match certificate::certificates(&text).as_deref() {
                Some([(pem, _)]) => drop(all.insert(name.to_owned(), pem.clone())),
                _ => tracing::error!(name, "an authority's file has no certificate"),
            }
        }
        Ok(all)
    }

    /// As on XenServer: letters, digits, dots, dashes and underscores, and `.pem` at the end.
    fn check(&self, name: &str) -> Result<(), ApiError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let good = name.len() <= LONGEST_NAME
            && !name.starts_with('.')
            && name.ends_with(".pem")
            && name.bytes().all(allowed);
        match good {
            true => Ok(()),
            false => Err(errors::CERTIFICATE_NAME_INVALID.with([name])),
        }
    }
}

/// Makes the objects say which certificates there are. Looks at files, so not to be called for each call.
pub fn record(toolstack: &Toolstack) -> Result<(), ApiError> {
    let failed = |error: anyhow::Error| errors::INTERNAL_ERROR.with([format!("{error:#}")]);
    let mut wanted: Vec<(&'static str, String, Facts)> = Vec::new();
    for (name, pem) in toolstack.authorities.all().map_err(failed)? {
        let all = certificate::certificates(&pem).unwrap_or_default();
        let facts = all.first().and_then(|(_, der)| certificate::facts(der));
        wanted.extend(facts.map(|facts| ("ca", name, facts)));
    }
    wanted.extend(toolstack.identity.facts().map(|facts| ("host", String::new(), facts)));
    let host = toolstack.host();
    let key = |kind: &str, name: &str, sha256: &str| format!("{kind}/{name}/{sha256}");
    let known = |objects: &crate::store::Objects| {
        let all = objects.all("Certificate").map(|one| {
            let fields = ["type", "name", "fingerprint_sha256"].map(|field| one.text(field));
            (key(fields[0], fields[1], fields[2]), one.reference().clone())
        });
        all.collect::<BTreeMap<String, Ref>>()
    };
    let before = toolstack.store.read(known);
    let same = before.len() == wanted.len()
        && wanted
            .iter()
            .all(|(kind, name, facts)| before.contains_key(&key(kind, name, &facts.sha256)));
    if same {
        return Ok(());
    }
    toolstack.store.write(|t| {
        let mut gone = known(t.objects());
        for (kind, name, facts) in &wanted {
            if gone.remove(&key(kind, name, &facts.sha256)).is_none() {
                make(t, kind, name, &host, facts);
            }
        }
        gone.values().for_each(|reference| t.remove(reference));
        Ok(())
    })
}

fn make(t: &mut Transaction<'_>, kind: &'static str, name: &str, host: &Ref, facts: &Facts) {
    let host = if kind == "host" { host.clone() } else { Ref::null() };
    let fields = vec![
        ("name", name.into()),
        ("type", Value::Enum(kind)),
        ("host", host.into()),
        ("not_before", facts.not_before.into()),
        ("not_after", facts.not_after.into()),
        ("fingerprint", facts.sha256.as_str().into()),
        ("fingerprint_sha256", facts.sha256.as_str().into()),
        ("fingerprint_sha1", facts.sha1.as_str().into()),
    ];
    t.create(&classes::CERTIFICATE, fields);
}
