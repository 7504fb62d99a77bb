// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever step of a start fails, nothing is left behind and the next start works.

use crate::common::{Served, Wire};
use network::NetworkError;
use storage::StorageError;
use xapi_model::Ref;
use xenops::{Call, Hypervisor, XenopsError};

#[test]
fn every_step_unwinds() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let vm = made.vm.as_str();
    let storage_error =
        || StorageError::Failed { doing: "testing".into(), detail: "broken".into() };
    let network_error =
        || NetworkError::Failed { doing: "testing".into(), detail: "broken".into() };
    let xen_error = || XenopsError::Failed { doing: "testing".into(), detail: "broken".into() };
    type Fault<'a> = Box<dyn Fn() + 'a>;
    let faults: [(&str, Fault<'_>); 5] = [
        ("activating", Box::new(|| served.storage.faults().once("vdi_activate", storage_error()))),
        ("bridge", Box::new(|| served.network.fail_once("ensure_bridge", network_error()))),
        ("building", Box::new(|| served.hypervisor.fail(Call::Create, 1, xen_error()))),
        ("plugging", Box::new(|| served.network.fail_once("plug", network_error()))),
        ("unpausing", Box::new(|| served.hypervisor.fail(Call::Unpause, 1, xen_error()))),
    ];
    for (step, fault) in faults {
        fault();
        let error = client.err("VM.start", vec![vm.into(), false.into(), false.into()]);
        assert!(error.args.iter().any(|arg| arg.contains("broken")), "{step}: {error}");
        let record = client.record("VM", vm);
        assert_eq!(record["power_state"].text(), "Halted", "{step}");
        assert_eq!(record["domid"].text(), "-1", "{step}");
        assert!(record["current_operations"].as_map().unwrap().is_empty(), "{step}");
        assert!(record["consoles"].as_set().unwrap().is_empty(), "{step}");
        let attached = client.ok("VBD.get_currently_attached", vec![made.vbd.as_str().into()]);
        assert_eq!(attached, false.into(), "{step}");
        assert_eq!(served.hypervisor.domains().unwrap().len(), 1, "{step}: only Dom0 is left");
        assert!(served.network.ports().is_empty(), "{step}");
        assert!(!served.toolstack.activations.in_use(&Ref::new(&made.vdi)), "{step}");
        // Also by the driver's own account.
        client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
        client.ok("VM.hard_shutdown", vec![vm.into()]);
    }
}

#[test]
fn a_stop_that_fails_can_be_repeated() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let vm = made.vm.as_str();
    client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
    let broken = XenopsError::Failed { doing: "testing".into(), detail: "broken".into() };
    served.hypervisor.fail(Call::Destroy, 1, broken);
    client.err("VM.hard_shutdown", vec![vm.into()]);
    assert_eq!(client.state(vm), "Running");
    let broken = StorageError::Failed { doing: "testing".into(), detail: "broken".into() };
    served.storage.faults().once("vdi_deactivate", broken);
    client.err("VM.hard_shutdown", vec![vm.into()]);
    // The domain is gone already: the watcher tidies up by itself, unless the client is quicker.
    let again = client.call("VM.hard_shutdown", vec![vm.into()]);
    assert!(again.is_ok() || again.unwrap_err().code == "VM_BAD_POWER_STATE");
    crate::common::eventually("it is halted", || client.state(vm) == "Halted");
    client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
}

#[test]
fn copies_that_fail_leave_no_disks() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let vdis = || client.ok("VDI.get_all", vec![]).as_set().unwrap().len();
    let broken = || StorageError::Failed { doing: "testing".into(), detail: "broken".into() };
    for (message, call) in
        [("VM.clone", "vdi_clone"), ("VM.snapshot", "vdi_clone"), ("VM.copy", "vdi_activate")]
    {
        served.storage.faults().once(call, broken());
        let mut params = vec![made.vm.as_str().into(), "copy".into()];
        if message == "VM.copy" {
            params.push(Ref::NULL.into());
        }
        client.err(message, params);
        assert_eq!(vdis(), 1, "{message}");
        assert!(
            client.ok("VM.get_by_name_label", vec!["copy".into()]).as_set().unwrap().is_empty()
        );
    }
    served.storage.faults().once("vdi_create", StorageError::NoSpace { free: 1, needed: 2 });
    let error =
        client.err("VM.copy", vec![made.vm.as_str().into(), "copy".into(), Ref::NULL.into()]);
    assert_eq!(error.description(), ["SR_FULL", "2", "1"], "requested, then available");
}
