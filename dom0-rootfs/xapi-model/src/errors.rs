// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every code that a message can fail with.

use crate::error::ErrorCode;

macro_rules! errors {
    ($($name:ident [$($param:ident),*] $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub static $name: ErrorCode = ErrorCode {
                name: stringify!($name),
                params: &[$(stringify!($param)),*],
                doc: $doc,
            };
        )*
        /// All of them, by name.
        pub static ALL: &[&ErrorCode] = &[$(&$name),*];
    };
}

errors! {
    BOOTLOADER_FAILED [vm, reason] "What should boot the VM is not there or does not work.";
    CANNOT_ADD_VLAN_TO_BOND_SLAVE [pif] "The interface belongs to a bond; put the VLAN on that.";
    CANNOT_DESTROY_SYSTEM_NETWORK [network] "The network belongs to the host itself.";
    CANNOT_PLUG_BOND_SLAVE [pif] "The interface belongs to a bond, whose network is to be used.";
    CA_CERTIFICATE_EXPIRED [now, not_after] "The certificate's time is over.";
    CA_CERTIFICATE_INVALID [] "This is no certificate, or more than one.";
    CA_CERTIFICATE_NOT_VALID_YET [now, not_before] "The certificate's time has not come.";
    CERTIFICATE_ALREADY_EXISTS [name] "There is a certificate of this name.";
    CERTIFICATE_DOES_NOT_EXIST [name] "There is no certificate of this name.";
    CERTIFICATE_NAME_INVALID [name] "A name has letters, digits, dots, dashes and underscores, and ends with .pem.";
    CHANGE_PASSWORD_REJECTED [msg] "The new password is not taken.";
    DB_UNIQUENESS_CONSTRAINT_VIOLATION [table, field, value] "Another object has this value already.";
    DEVICE_ALREADY_ATTACHED [device] "The device is attached already.";
    DEVICE_ALREADY_DETACHED [device] "The device is detached already.";
    DEVICE_ALREADY_EXISTS [device] "The VM has a device of this number already.";
    DEVICE_DETACH_REJECTED [class, device, message] "The guest does not let go of the device.";
    DEVICE_DETACH_TIMEOUT [class, device] "The guest did not let go of the device in time.";
    DUPLICATE_PIF_DEVICE_NAME [device] "The host has this interface already.";
    DUPLICATE_VM [vm] "A VM with this uuid exists already.";
    EVENTS_LOST [] "Too much happened since the token was given; start again with an empty one.";
    EVENT_FROM_TOKEN_PARSE_FAILURE [token] "The token was not given by this server.";
    EVENT_SUBSCRIPTION_PARSE_FAILURE [subscription] "No class is called so.";
    EXTENSION_PROTOCOL_FAILURE [reason] "What was called or what it answered cannot be understood.";
    FIELD_TYPE_ERROR [field, expected] "A value is not of the type that the field has.";
    GPU_GROUP_CONTAINS_PGPU [pgpus] "Graphics cards belong to the group.";
    HANDLE_INVALID [class, handle] "No object of the class has this reference.";
    HA_CONSTRAINT_VIOLATION_NETWORK_NOT_SHARED [network] "Only one host has the network.";
    HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED [sr] "Only one host can use the SR.";
    HOST_DISABLED [host] "The host takes no new VMs.";
    HOST_IN_USE [host, class, reference] "VMs run on the host.";
    HOST_IS_SLAVE [coordinator_address] "Ask the coordinator, at this address.";
    HOST_NAME_INVALID [reason] "This is no host name.";
    HOST_NOT_DISABLED [] "The host must be disabled first.";
    HOST_NOT_ENOUGH_FREE_MEMORY [needed, available] "The host has not enough free memory, in bytes.";
    IMPORT_ERROR_FAILED_TO_FIND_OBJECT [id] "The archive refers to something that it does not have.";
    IMPORT_ERROR_GENERIC [message] "What is imported cannot be understood; the message says why.";
    IMPORT_ERROR_PREMATURE_EOF [place] "What is imported ends in the middle.";
    IMPORT_ERROR_SOME_CHECKSUMS_FAILED [place] "What is imported was damaged on its way.";
    IMPORT_ERROR_UNEXPECTED_FILE [expected, found] "The archive has another file than should come now.";
    IMPORT_INCOMPATIBLE_VERSION [] "The archive was made by a later version of the format.";
    INTERNAL_ERROR [message] "Something failed that should not; the message says what.";
    INVALID_DEVICE [device] "The VM can have no device of this name.";
    INVALID_NTP_CONFIG [reason] "There would be nobody to ask for the time.";
    INVALID_VALUE [field, value] "The field does not take this value.";
    IS_TUNNEL_ACCESS_PIF [pif] "The interface is the inside of a tunnel.";
    LICENCE_RESTRICTION [feature] "The feature is not available.";
    MAC_DOES_NOT_EXIST [mac] "The host has no network card of this MAC address.";
    MAC_INVALID [mac] "This is no MAC address.";
    MAP_DUPLICATE_KEY [class, field, handle, key] "The map has this key already.";
    MEMORY_CONSTRAINT_VIOLATION [constraint] "Memory limits must be static_min <= dynamic_min <= dynamic_max <= static_max.";
    MEMORY_CONSTRAINT_VIOLATION_ORDER [constraint] "Memory limits are in the wrong order.";
    MESSAGE_METHOD_UNKNOWN [method] "This server does not have this message.";
    MESSAGE_PARAMETER_COUNT_MISMATCH [method, expected, received] "The message takes another number of parameters.";
    NETWORK_ALREADY_CONNECTED [network, pif] "The network has an interface of the host already.";
    NETWORK_CONTAINS_PIF [pifs] "Physical interfaces belong to the network.";
    NETWORK_CONTAINS_VIF [vifs] "VMs' interfaces belong to the network.";
    NOT_ALLOWED_WHEN_NTP_IS_ENABLED [host] "The host asks others for the time.";
    NO_HOSTS_AVAILABLE [] "No host can take the VM.";
    ONLY_PROVISION_TEMPLATE [] "The VM is no template: only those can be provisioned.";
    ONLY_REVERT_SNAPSHOT [] "The VM is no snapshot: only to those a VM can go back.";
    OPERATION_BLOCKED [handle, code] "An administrator blocked this operation on this object.";
    OPERATION_NOT_ALLOWED [reason] "The operation is not allowed now.";
    OPERATION_PARTIALLY_FAILED [operation, vms] "It did not work with these VMs; the log says why.";
    OTHER_OPERATION_IN_PROGRESS [class, object] "Another operation on the object is under way.";
    PBD_EXISTS [sr, host, pbd] "The host is connected to the SR already.";
    PIF_ALREADY_BONDED [pif] "The interface belongs to a bond already.";
    PIF_BOND_NEEDS_MORE_MEMBERS [] "A bond has at least two cards.";
    PIF_CONFIGURATION_ERROR [pif, error] "The interface could not be configured.";
    PIF_DOES_NOT_ALLOW_UNPLUG [pif] "An administrator forbade to unplug the interface.";
    PIF_HAS_NO_NETWORK_CONFIGURATION [pif] "The interface has no way to get an address.";
    PIF_IS_MANAGEMENT_INTERFACE [pif] "The host is managed through this interface.";
    PIF_IS_NOT_PHYSICAL [pif] "The interface is no network card.";
    PIF_IS_PHYSICAL [pif] "The interface is a physical one.";
    PIF_IS_VLAN [pif] "The interface is a VLAN.";
    PIF_TUNNEL_STILL_EXISTS [pif] "The interface carries a tunnel.";
    PIF_VLAN_EXISTS [pif] "The interface has a VLAN of this tag already.";
    PIF_VLAN_STILL_EXISTS [pif] "The interface has a VLAN.";
    POOL_AUTH_NONHOMOGENEOUS [] "Hosts of the pool ask different directories for users.";
    RBAC_PERMISSION_DENIED [permission, message] "The role of the session may not call this message.";
    ROLE_ALREADY_EXISTS [] "The subject has the role already.";
    ROLE_NOT_FOUND [] "The subject does not have the role.";
    SERVER_CERTIFICATE_CHAIN_INVALID [] "These are no certificates, or not of who signed the one before.";
    SERVER_CERTIFICATE_EXPIRED [now, not_after] "The certificate's time is over.";
    SERVER_CERTIFICATE_INVALID [] "This is no certificate, or more than one.";
    SERVER_CERTIFICATE_KEY_ALGORITHM_NOT_SUPPORTED [algorithm] "Keys of this kind cannot be used.";
    SERVER_CERTIFICATE_KEY_INVALID [] "This is no private key, or more than one.";
    SERVER_CERTIFICATE_KEY_MISMATCH [] "The key is not that of the certificate.";
    SERVER_CERTIFICATE_KEY_RSA_LENGTH_NOT_SUPPORTED [length] "RSA keys have 2048 to 4096 bits.";
    SERVER_CERTIFICATE_NOT_VALID_YET [now, not_before] "The certificate's time has not come.";
    SERVER_CERTIFICATE_SIGNATURE_NOT_SUPPORTED [] "The certificate is signed with an old hash.";
    SESSION_AUTHENTICATION_FAILED [login, reason] "Wrong name or password.";
    SESSION_INVALID [handle] "The session does not exist, or no longer.";
    SESSION_NOT_REGISTERED [handle] "event.register was not called in this session.";
    SR_ATTACH_FAILED [sr, reason] "The SR could not be attached.";
    SR_BACKEND_FAILURE [status, output, error] "The storage driver failed.";
    SR_DEVICE_IN_USE [device] "The device is in use.";
    SR_FULL [requested, maximum] "The SR has not enough room, in bytes.";
    SR_HAS_MULTIPLE_PBDS [sr] "Several hosts are connected to the SR.";
    SR_HAS_NO_PBDS [sr] "No host is connected to the SR.";
    SR_HAS_PBD [sr] "A host is still connected to the SR.";
    SR_NOT_ATTACHED [sr] "The SR is not attached.";
    SR_NOT_EMPTY [] "The SR still holds VDIs.";
    SR_OPERATION_NOT_SUPPORTED [sr] "SRs of this type cannot do that.";
    SR_UNKNOWN_DRIVER [driver] "No storage driver has this name.";
    SR_UUID_EXISTS [uuid] "An SR with this uuid exists already.";
    SUBJECT_ALREADY_EXISTS [] "The user or group is a subject already.";
    SUBJECT_CANNOT_BE_RESOLVED [] "There is no such user or group.";
    TASK_CANCELLED [task] "The task was cancelled.";
    TOO_BUSY [] "Too much is under way; try again later.";
    TRANSPORT_PIF_NOT_CONFIGURED [pif] "The interface that should carry the tunnel has no address.";
    USB_GROUP_CONTAINS_PUSB [pusbs] "USB devices belong to the group.";
    USER_IS_NOT_LOCAL_SUPERUSER [msg] "Only root of the host may do that.";
    UUID_INVALID [class, uuid] "No object of the class has this uuid.";
    VALUE_NOT_SUPPORTED [field, value, reason] "The value is not supported.";
    VBD_CDS_MUST_BE_READONLY [] "A CD drive is always read-only.";
    VBD_IS_EMPTY [vbd] "The drive is empty.";
    VBD_NOT_EMPTY [vbd] "The drive is not empty.";
    VBD_NOT_REMOVABLE_MEDIA [vbd] "The medium of this device cannot be changed.";
    VBD_NOT_UNPLUGGABLE [vbd] "The device must stay while its VM runs.";
    VDI_INCOMPATIBLE_TYPE [vdi, type] "VDIs of this type cannot be used so.";
    VDI_IN_USE [vdi, operation] "The VDI is in use.";
    VDI_IO_ERROR [vdi, reason] "Not all contents of the VDI came.";
    VDI_IS_A_PHYSICAL_DEVICE [vdi] "The VDI is a device of the host.";
    VDI_LOCATION_MISSING [sr, location] "No VDI of the SR has this location.";
    VDI_MISSING [sr, vdi] "The VDI is no longer in its SR.";
    VDI_NOT_MANAGED [vdi] "The VDI is managed by its SR alone.";
    VDI_READONLY [vdi] "The VDI is read-only.";
    VDI_TOO_SMALL [vdi, minimum] "The VDI is too small, in bytes.";
    VIF_IN_USE [network, vif] "A VM that runs has an interface in the network.";
    VLAN_TAG_INVALID [vlan] "A VLAN's tag is a number from 1 to 4094.";
    VM_ASSIGNED_TO_SNAPSHOT_SCHEDULE [vm, vmss] "The VM is in a snapshot schedule: take it out first.";
    VM_BAD_POWER_STATE [vm, expected, actual] "The VM is in another power state than the operation needs.";
    VM_BIOS_STRINGS_ALREADY_SET [vm] "What the firmware of the VM says was set before and does not change.";
    VM_CHECKPOINT_RESUME_FAILED [vm] "The VM could not be let run on after its checkpoint.";
    VM_CHECKPOINT_SUSPEND_FAILED [vm, reason] "The VM could not be suspended for its checkpoint.";
    VM_FAILED_SUSPEND_ACKNOWLEDGMENT [vm] "The guest was asked to suspend and did not.";
    VM_HVM_REQUIRED [vm] "The host cannot run hardware-virtualized VMs.";
    VM_IS_PART_OF_AN_APPLIANCE [vm, appliance] "The VM is part of an appliance: take it out first.";
    VM_IS_PROTECTED [vm] "The VM is protected.";
    VM_IS_SNAPSHOT [vm, operation] "The VM is a snapshot.";
    VM_IS_TEMPLATE [vm, operation] "The VM is a template.";
    VM_MEMORY_TARGET_WAIT_TIMEOUT [vm] "The guest did not come to have the memory that it should in time.";
    VM_NO_CRASHDUMP_SR [vm] "There is no SR for the memory of VMs that crash.";
    VM_NO_SUSPEND_SR [vm] "There is no SR for the memory of the VM.";
    VM_OLD_PV_DRIVERS [vm, major, minor] "The guest's drivers are too old.";
    VM_REQUIRES_NETWORK [vm, network] "The VM needs a network that its host has not.";
    VM_REQUIRES_SR [vm, sr] "The VM needs an SR that its host has not.";
    VM_REVERT_FAILED [snapshot, vm] "There is no VM to revert to the snapshot.";
    VM_SHUTDOWN_TIMEOUT [vm, seconds] "The guest did not end in time.";
    XENAPI_MISSING_PLUGIN [name] "The host has no plugin of this name.";
    XENAPI_PLUGIN_FAILURE [name, reason] "The plugin failed, or its answer is none.";
    XENOPS_FAILURE [reason] "The hypervisor refused or failed.";
}
