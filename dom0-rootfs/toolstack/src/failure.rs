// SPDX-License-Identifier: MIT OR Apache-2.0
//! From errors of the seams to codes of the API.

use network::NetworkError;
use storage::StorageError;
use xapi_model::{ApiError, Ref, errors};
use xenops::XenopsError;

/// What a storage driver's error is to a client.
pub fn storage(error: &StorageError, sr: &Ref, vdi: Option<&Ref>) -> ApiError {
    let vdi = vdi.map(Ref::as_str).unwrap_or_default();
    match error {
        StorageError::NoSpace { free, needed } => errors::SR_FULL.with([needed, free]),
        StorageError::DeviceInUse { device, .. } => {
            errors::SR_DEVICE_IN_USE.with([device.display()])
        }
        StorageError::NoSuchVdi(_) => errors::VDI_MISSING.with([sr.as_str(), vdi]),
        StorageError::VdiInUse(_) => errors::VDI_IN_USE.with([vdi, "unknown"]),
        StorageError::Unsupported { .. } => errors::SR_OPERATION_NOT_SUPPORTED.with([sr.as_str()]),
        StorageError::NotAttached(_) => errors::SR_NOT_ATTACHED.with([sr.as_str()]),
        StorageError::Format { asked, .. } => errors::VALUE_NOT_SUPPORTED.with([
            "sm_config:image-format".to_owned(),
            asked.name().to_owned(),
            error.to_string(),
        ]),
        StorageError::Config { key, problem } => {
            errors::INVALID_VALUE.with([format!("device_config:{key}"), problem.clone()])
        }
        other => errors::SR_BACKEND_FAILURE.with(["", "", &chain(other)]),
    }
}

/// What a hypervisor's error is to a client.
pub fn xenops(error: &XenopsError, vm: &Ref) -> ApiError {
    match error {
        XenopsError::NotEnoughMemory { needed_kib, free_kib } => {
            errors::HOST_NOT_ENOUGH_FREE_MEMORY
                .with([needed_kib.saturating_mul(1024), free_kib.saturating_mul(1024)])
        }
        XenopsError::SuspendTimedOut(_) => {
            errors::VM_FAILED_SUSPEND_ACKNOWLEDGMENT.with([vm.as_str()])
        }
        XenopsError::NoHardwareVirtualization { .. } => errors::VM_HVM_REQUIRED.with([vm.as_str()]),
        other => errors::INTERNAL_ERROR.with([chain(other)]),
    }
}

/// What an error of unplugging a device is to a client.
pub fn detach(error: &XenopsError, class: &str, device: &Ref, vm: &Ref) -> ApiError {
    match error {
        XenopsError::DetachRejected { detail, .. } => {
            errors::DEVICE_DETACH_REJECTED.with([class, device.as_str(), detail])
        }
        XenopsError::DetachTimedOut { .. } => {
            errors::DEVICE_DETACH_TIMEOUT.with([class, device.as_str()])
        }
        other => xenops(other, vm),
    }
}

/// What a network error is to a client.
pub fn network(error: &NetworkError) -> ApiError {
    errors::INTERNAL_ERROR.with([chain(error)])
}

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
