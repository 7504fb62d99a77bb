// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest's memory on its way to and from an image.

use std::fs;
use std::io::{self, Seek as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use uuid::Uuid;

use super::ffi::{Ctx, Saved};
use super::real::{connect, host, in_store, list};
use crate::error::XenopsError;
use crate::hypervisor::{DomId, ShutdownReason};
use crate::image;
use crate::onlooker::Onlooker;

/// Writes a guest to the image at `path`; on failure the guest runs on.
pub(super) fn save(
    ctx: &mut Ctx,
    domain: DomId,
    path: &Path,
    onlooker: &dyn Onlooker,
) -> Result<(), XenopsError> {
    let doing = format!("suspending domain {} to {}", domain.0, path.display());
    let io = |error: io::Error| XenopsError::failed(doing.clone(), error);
    let mut image = fs::File::options().read(true).write(true).open(path).map_err(io)?;
    image::begin(&image).map_err(io)?;
    image.seek(io::SeekFrom::Start(image::LENGTH as u64)).map_err(io)?;
    let failed = |detail: String| XenopsError::failed(doing.clone(), detail);
    let found = list(ctx)?.into_iter().find(|info| info.id == domain);
    let vm = found.ok_or(XenopsError::NoSuchDomain(domain))?.uuid;
    let xen = host(ctx)?.xen_version;
    let mut wanted = || is_wanted(&image, onlooker);
    let saved = match ctx.suspend(domain.0, image.as_fd(), &mut wanted) {
        Ok(Saved::Whole) => image::finish(&image, &image::Header { vm, xen }).map_err(io),
        Ok(Saved::TimedOut) => Err(XenopsError::SuspendTimedOut(domain)),
        Ok(Saved::Stopped) => {
            if let Err(error) = take_back(domain) {
                tracing::warn!(%error, "a guest may still suspend, and is let run on then");
            }
            Err(XenopsError::Stopped { doing: doing.clone() })
        }
        Err(detail) => Err(failed(detail)),
    };
    if saved.is_err()
        && let Err(error) = resume(ctx, domain)
    {
        tracing::error!(%error, "a guest that could not be suspended does not run on");
    }
    saved
}

/// Takes back what a guest was asked for and has not heard yet; one that has heard it clears it by itself
/// (`control/shutdown` in `docs/misc/xenstore-paths.pandoc` of Xen).
fn take_back(domain: DomId) -> Result<(), XenopsError> {
    let request = format!("/local/domain/{}/control/shutdown", domain.0);
    let mut store = connect()?;
    match store.read(&request).map_err(in_store)?.as_deref() {
        Some("suspend") => store.write_all(&[(request, String::new())]).map_err(in_store),
        _ => Ok(()),
    }
}

/// The image at `path` of a VM, at its stream.
pub(super) fn open(path: &Path, vm: Uuid) -> Result<fs::File, XenopsError> {
    let doing = format!("opening the suspend image {}", path.display());
    let io = |error: io::Error| XenopsError::failed(doing.clone(), error);
    let mut image = fs::File::open(path).map_err(io)?;
    image::check(&image, path, vm)?;
    image.seek(io::SeekFrom::Start(image::LENGTH as u64)).map_err(io)?;
    Ok(image)
}

/// Tells an onlooker how far an image is read or written, and asks whether that is to go on.
pub(super) fn is_wanted(mut image: &fs::File, onlooker: &dyn Onlooker) -> bool {
    // libxl's helper has the same open file, so this is its position.
    if let Ok(position) = image.stream_position() {
        onlooker.moved(position.saturating_sub(image::LENGTH as u64));
    }
    !onlooker.stop()
}

/// Lets a domain that is suspended run on; others are left as they are.
pub(super) fn resume(ctx: &mut Ctx, domain: DomId) -> Result<(), XenopsError> {
    let found = list(ctx)?.into_iter().find(|info| info.id == domain);
    match found.ok_or(XenopsError::NoSuchDomain(domain))?.shutdown {
        Some(ShutdownReason::Suspend) => ctx
            .resume(domain.0)
            .map_err(|detail| XenopsError::failed(format!("resuming domain {}", domain.0), detail)),
        _ => Ok(()),
    }
}
