// SPDX-License-Identifier: MIT OR Apache-2.0
//! Network cards of this host, their bridges and addresses.

mod addressing;
mod bonds;
mod bridges;
mod change;
mod management;
mod trial;
mod vlans;

use appliance_model::handover::Management;
use network::{Addresses, Addressing, Bridge, PhysicalNic};
use xapi_model::{ApiError, DateTime, Ref, Value, classes, errors};

pub use addressing::{of_pif as addressing_of, servers};
pub use bonds::{Wanted, bond, properties as bond_properties, unbond};
pub use bridges::needed as bridges_of;
pub use change::change;
pub use management::choose_other as manage_through;
pub use trial::end_trial;
pub use vlans::{separate, tunnel, untunnel, vlan, without_guests};

use crate::failure;
use crate::startup::BOOT;
use crate::store::{Object, Objects, Transaction};
use crate::toolstack::{Context, Toolstack};

/// Makes way for the management interface of a reinstallation, whose settings are not in `/etc` yet.
pub fn forget_management(t: &mut Transaction<'_>, wanted: Option<&Management>) {
    management::forget(t, wanted);
    t.set_note(CONFIGURED, None);
}

/// Note that says that the management interface was configured as the installer wants it.
const CONFIGURED: &str = "management-configured";

/// Name of the note that an administrator unplugged an interface, with the boot during which that was:
/// the host's next start plugs it again.
fn unplugged_note(pif: &Object) -> String {
    format!("unplugged/{}", pif.uuid())
}

/// Whether an administrator unplugged an interface since the host started.
pub fn is_unplugged(objects: &Objects, pif: &Object) -> bool {
    let since = objects.note(&unplugged_note(pif));
    since.is_some() && since == objects.note(BOOT)
}

/// Notes that an interface is plugged, or is not.
pub fn set_unplugged(t: &mut Transaction<'_>, pif: &Ref, unplugged: bool) -> Result<(), ApiError> {
    let note = unplugged_note(t.get("PIF", pif)?);
    let boot = t.objects().note(BOOT).map(str::to_owned);
    t.set_note(&note, boot.filter(|_| unplugged));
    if unplugged {
        t.set(pif, "currently_attached", false);
    }
    Ok(())
}

/// Name of the note that an administrator forgot a card.
fn forgotten_note(mac: &str) -> String {
    format!("forgotten/{}", mac.to_lowercase())
}

/// Notes that a card is forgotten, or is not.
pub fn set_forgotten(t: &mut Transaction<'_>, mac: &str, forgotten: bool) {
    t.set_note(&forgotten_note(mac), forgotten.then(String::new));
}

/// Makes known the card of a MAC address.
pub fn introduce(context: &Context, mac: &str, device: &str) -> Result<Ref, ApiError> {
    let toolstack = &context.toolstack;
    let nics = toolstack.network.physical().map_err(|e| failure::network(&e))?;
    let named = |nic: &&PhysicalNic| device.is_empty() || nic.device == device;
    let nic = nics.iter().filter(named).find(|nic| nic.mac.eq_ignore_ascii_case(mac));
    let nic = nic.ok_or_else(|| errors::MAC_DOES_NOT_EXIST.with([mac]))?;
    let host = toolstack.host();
    change(context, |t| {
        if card_of(t.objects(), nic).is_some() {
            return Err(errors::DUPLICATE_PIF_DEVICE_NAME.with([&nic.device]));
        }
        set_forgotten(t, mac, false);
        record_card(t, &host, nic);
        card_of(t.objects(), nic)
            .map(|pif| pif.reference().clone())
            .ok_or_else(|| errors::MAC_DOES_NOT_EXIST.with([mac]))
    })
}

/// A name of the form `xenbr0` that no bridge has.
fn free_bridge(objects: &Objects, start: &str) -> String {
    let used = |name: &str| objects.all("network").any(|n| n.text("bridge") == name);
    let names = (0..).map(|number| format!("{start}{number}"));
    names.into_iter().find(|name| !used(name)).unwrap_or_default()
}

/// Makes a network with a bridge of that name, and an interface in it.
fn record_interface(
    t: &mut Transaction<'_>,
    label: &str,
    bridge: String,
    fields: Vec<(&str, Value)>,
) -> Ref {
    let mtu = fields.iter().find(|(name, _)| *name == "MTU").map(|(_, mtu)| mtu.clone());
    let label = format!("Pool-wide network associated with {label}");
    let mut network = vec![("name_label", label.into()), ("bridge", bridge.into())];
    network.extend(mtu.map(|mtu| ("MTU", mtu)));
    let network = t.create(&classes::NETWORK, network);
    record_interface_in(t, &network, fields)
}

/// Makes an interface in a network.
fn record_interface_in(t: &mut Transaction<'_>, network: &Ref, fields: Vec<(&str, Value)>) -> Ref {
    let metrics = t.create(&classes::PIF_METRICS, vec![("last_updated", DateTime::now().into())]);
    let pif = t.create(&classes::PIF, fields);
    t.set(&pif, "network", network);
    t.set(&pif, "metrics", metrics);
    pif
}

/// Removes an interface.
pub fn remove_interface(t: &mut Transaction<'_>, pif: &Ref) -> Result<(), ApiError> {
    let metrics = t.get("PIF", pif)?.to("metrics");
    t.remove(&metrics);
    t.remove(pif);
    Ok(())
}

/// Makes a PIF and a network for a card. The first bridge is `xenbr0`.
fn record_card(t: &mut Transaction<'_>, host: &Ref, nic: &PhysicalNic) {
    let fields = vec![
        ("device", nic.device.as_str().into()),
        ("MAC", nic.mac.as_str().into()),
        ("MTU", i64::from(nic.mtu).into()),
        ("physical", true.into()),
        ("host", host.into()),
    ];
    let bridge = free_bridge(t.objects(), "xenbr");
    let pif = record_interface(t, &nic.device, bridge, fields);
    management::join(t, &pif);
    record_metrics(t, &pif, nic);
}

fn record_metrics(t: &mut Transaction<'_>, pif: &Ref, nic: &PhysicalNic) {
    let Ok(metrics) = t.get("PIF", pif).map(|pif| pif.to("metrics")) else { return };
    t.set_live(&metrics, "carrier", nic.carrier);
    t.set_live(&metrics, "speed", i64::from(nic.speed_mbit.unwrap_or(0)));
    t.set_live(&metrics, "device_name", nic.driver.as_str());
    t.set_live(&metrics, "pci_bus_path", nic.pci.as_deref().unwrap_or_default());
    let is_card = |device: &&Object| nic.pci.as_deref() == Some(device.text("pci_id"));
    let device = t.objects().all("PCI").find(is_card).map(|device| device.reference().clone());
    t.set(pif, "PCI", device.unwrap_or_else(Ref::null));
}

/// Whether interfaces have a link, and their speeds in Mbit/s.
fn links(objects: &Objects, pifs: &[Ref]) -> Vec<(bool, i64)> {
    let pifs = pifs.iter().filter_map(|pif| objects.find(pif));
    let metrics = pifs.filter_map(|pif| objects.find(&pif.to("metrics")));
    metrics.map(|metrics| (metrics.bool("carrier"), metrics.int("speed"))).collect()
}

/// What interfaces that are no cards have from the cards below them.
fn record_derived_metrics(t: &mut Transaction<'_>) {
    let all = |t: &Transaction<'_>, class: &str| {
        t.objects().all(class).map(|object| object.reference().clone()).collect::<Vec<_>>()
    };
    let metrics = |t: &Transaction<'_>, pif: &Ref| t.objects().find(pif).map(|p| p.to("metrics"));
    for bond in all(t, "Bond") {
        let Ok(object) = t.get("Bond", &bond) else { continue };
        let (master, together) = (object.to("master"), object.text("mode") != "active-backup");
        let links = links(t.objects(), &object.refs("slaves"));
        let up: Vec<i64> = links.iter().filter(|link| link.0).map(|link| link.1).collect();
        let speed = if together { up.iter().sum() } else { up.iter().copied().max().unwrap_or(0) };
        t.set_live(&bond, "links_up", i64::try_from(up.len()).unwrap_or(0));
        if let Some(metrics) = metrics(t, &master) {
            t.set_live(&metrics, "carrier", !up.is_empty());
            t.set_live(&metrics, "speed", speed);
        }
    }
    for vlan in all(t, "VLAN") {
        let Ok(object) = t.get("VLAN", &vlan) else { continue };
        let (tagged, untagged) = (object.to("tagged_PIF"), object.to("untagged_PIF"));
        let Some((carrier, speed)) = links(t.objects(), &[tagged]).first().copied() else {
            continue;
        };
        if let Some(metrics) = metrics(t, &untagged) {
            t.set_live(&metrics, "carrier", carrier);
            t.set_live(&metrics, "speed", speed);
        }
    }
}

/// The PIF of a card.
fn card_of<'a>(objects: &'a Objects, nic: &PhysicalNic) -> Option<&'a Object> {
    let mut pifs = objects.all("PIF");
    pifs.find(|pif| pif.bool("physical") && pif.text("MAC").eq_ignore_ascii_case(&nic.mac))
}

/// Makes objects for cards that are new; returns all cards.
fn find_cards(toolstack: &Toolstack) -> Result<Vec<PhysicalNic>, ApiError> {
    let nics = toolstack.network.physical().map_err(|e| failure::network(&e))?;
    let host = toolstack.host();
    toolstack.store.write(|t| {
        for nic in &nics {
            match card_of(t.objects(), nic).map(|pif| pif.reference().clone()) {
                // A card keeps its MAC address, not its name.
                Some(pif) => {
                    t.set(&pif, "device", nic.device.as_str());
                    record_metrics(t, &pif, nic);
                }
                None if t.objects().note(&forgotten_note(&nic.mac)).is_some() => {}
                None => record_card(t, &host, nic),
            }
        }
        record_derived_metrics(t);
        Ok(())
    })?;
    Ok(nics)
}

/// Makes objects and bridges for cards that are new.
pub fn scan(toolstack: &Toolstack) -> Result<(), ApiError> {
    let nics = toolstack.network.physical().map_err(|e| failure::network(&e))?;
    toolstack.store.write(|t| {
        nics.iter().for_each(|nic| set_forgotten(t, &nic.mac, false));
        Ok(())
    })?;
    find_cards(toolstack)?;
    bring_up(toolstack);
    Ok(())
}

/// Makes every bridge: Open vSwitch starts without any. One that fails is logged and shown as detached.
pub fn bring_up(toolstack: &Toolstack) {
    let networks = toolstack.store.read(|objects| {
        // Cards of a bond have no bridge of their own.
        let networks = objects.all("network").filter_map(|network| {
            let bridges = bridges_of(objects, network).ok()?;
            let pifs = network.refs("PIFs");
            let off = |pif: &Ref| objects.find(pif).is_some_and(|pif| is_unplugged(objects, pif));
            (!pifs.iter().any(off)).then_some((bridges, pifs))
        });
        let mut networks = networks.collect::<Vec<_>>();
        // Those below others first.
        networks.sort_by_key(|(bridges, _)| bridges.len());
        networks
    });
    for (bridges, pifs) in networks {
        let Some(Bridge { name, .. }) = bridges.last() else { continue };
        let made = bridges.last().map_or(Ok(()), |bridge| toolstack.network.ensure_bridge(bridge));
        if let Err(error) = &made {
            tracing::error!(error = failure::chain(error), bridge = name, "making a bridge");
        }
        let recorded = toolstack.store.write(|t| {
            for pif in &pifs {
                t.set(pif, "currently_attached", made.is_ok());
            }
            Ok(())
        });
        if let Err(error) = recorded {
            tracing::error!(%error, bridge = name, "recording a bridge");
        }
    }
}

/// Finds new cards, makes the bridges that are missing and gives the management interface its
/// address: whatever was not possible the last time, because udev or Open vSwitch start later than
/// the daemon. Records what addresses and cables there are.
pub fn keep_up(toolstack: &Toolstack, management: Option<&Management>) {
    let found = find_cards(toolstack);
    let chosen = found.and_then(|nics| management::choose(toolstack, &nics, management));
    if let Err(error) = chosen {
        tracing::error!(%error, "looking for network cards");
    }
    let down = toolstack.store.read(|objects| {
        objects.all("PIF").any(|pif| {
            let own = pif.bool("managed") && pif.to("bond_slave_of").is_null();
            own && !pif.bool("currently_attached") && !is_unplugged(objects, pif)
        })
    });
    if down {
        bring_up(toolstack);
    }
    if let Err(error) = configure_management(toolstack, management) {
        tracing::error!(%error, "configuring the management interface");
    }
    refresh(toolstack);
}

/// Whether the management interface is in its bridge.
pub fn management_is_up(toolstack: &Toolstack) -> bool {
    toolstack.store.read(|objects| {
        objects.all("PIF").any(|pif| pif.bool("management") && pif.bool("currently_attached"))
    })
}

/// Gives the management interface its address, once, and other interfaces theirs that are from before a
/// reinstallation; from then on the host's network keeps them.
fn configure_management(
    toolstack: &Toolstack,
    management: Option<&Management>,
) -> Result<(), ApiError> {
    let interfaces = toolstack.store.read(|objects| {
        if objects.note(CONFIGURED).is_some() {
            return Vec::new();
        }
        let wanted = objects.all("PIF").filter_map(|pif| {
            let addressing = match pif.bool("management") {
                true => addressing::of_handover(management),
                false => Some(addressing_of(pif)).filter(|it| *it != Addressing::default())?,
            };
            let bridge = objects.find(&pif.to("network"))?.text("bridge").to_owned();
            Some((pif.bool("management"), bridge, addressing))
        });
        wanted.collect()
    });
    if !interfaces.iter().any(|(management, ..)| *management) {
        return Ok(());
    }
    for (_, bridge, addressing) in &interfaces {
        let configured = toolstack.network.configure_address(bridge, addressing);
        configured.map_err(|e| failure::network(&e))?;
    }
    toolstack.store.write(|t| {
        t.set_note(CONFIGURED, Some("yes".into()));
        Ok(())
    })
}

/// Gives an interface other addresses.
pub fn reconfigure(context: &Context, pif: &Ref, addressing: &Addressing) -> Result<(), ApiError> {
    change(context, |t| {
        t.get("PIF", pif)?;
        for (name, value) in addressing::fields(addressing) {
            t.set(pif, name, value);
        }
        Ok(())
    })
}

/// Records the addresses that interfaces have now.
pub fn refresh(toolstack: &Toolstack) {
    let pifs = toolstack.store.read(|objects| {
        let asked = |pif: &&Object| {
            let modes = ["ip_configuration_mode", "ipv6_configuration_mode"];
            modes.iter().any(|mode| pif.text(mode) != "None") || pif.bool("management")
        };
        let pifs = objects.all("PIF").filter(asked).filter_map(|pif| {
            let bridge = objects.find(&pif.to("network"))?.text("bridge").to_owned();
            Some((pif.reference().clone(), bridge))
        });
        pifs.collect::<Vec<_>>()
    });
    for (pif, bridge) in pifs {
        match toolstack.network.addresses(&bridge) {
            Err(error) => {
                tracing::warn!(error = failure::chain(&error), bridge, "asking for addresses");
            }
            Ok(now) => record_addresses(toolstack, &pif, &now),
        }
    }
}

fn record_addresses(toolstack: &Toolstack, pif: &Ref, now: &Addresses) {
    let host = toolstack.host();
    let recorded = toolstack.store.write(|t| {
        let object = t.get("PIF", pif)?;
        let management = object.bool("management");
        let ipv6_first = object.text("primary_address_type") == "IPv6";
        for (name, value) in addressing::found(object, now) {
            t.set(pif, name, value);
        }
        if management {
            let ipv6 = now.ipv6.first();
            let first = now.ipv4.as_ref().filter(|_| !ipv6_first).or(ipv6).or(now.ipv4.as_ref());
            t.set(&host, "address", first.map_or("", |status| status.address.as_str()));
        }
        Ok(management)
    });
    match recorded {
        Err(error) => tracing::warn!(%error, %pif, "recording addresses"),
        Ok(false) => {}
        Ok(true) => {
            let addresses = now.ipv4.iter().chain(&now.ipv6);
            let addresses: Vec<&str> = addresses.map(|status| status.address.as_str()).collect();
            addresses.iter().for_each(|address| toolstack.identity.cover(address));
            toolstack.prompt.show(&addresses);
        }
    }
}
