// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first screen.

use std::time::Duration;

use widgets::{Body, WIDTH};

use super::{cut, size};
use crate::state::{MENU, State};

/// Addresses that are shown.
const ADDRESSES: usize = 2;
/// Rows above the menu, so that it stays where it is.
const ABOVE: usize = 13;

pub(super) fn body(state: &State) -> Body {
    let mut body = Body::default();
    match &state.facts {
        Some(_) => facts(&mut body, state),
        None => body.text("The toolstack has not answered yet."),
    }
    while body.lines.len() < ABOVE {
        body.gap();
    }
    for (index, entry) in MENU.iter().enumerate() {
        body.choice(index == state.menu, entry);
    }
    let lock = if state.unlocked { "Lock this screen" } else { "Log in" };
    body.choice(state.menu == MENU.len(), lock);
    body
}

fn facts(body: &mut Body, state: &State) {
    let Some(facts) = &state.facts else { return };
    let mut line = |label: &str, value: &str| {
        body.text(&cut(&format!("{label:<11}  {value}"), WIDTH));
    };
    let pool = match facts.pool.as_str() {
        "" => String::new(),
        pool => format!(", pool {pool}"),
    };
    line("Host", &format!("{}{pool}", facts.name));
    line("Version", &format!("Xenith {}, Xen {}", facts.version, facts.xen));
    let urls = state.management().map(|interface| interface.urls()).unwrap_or_default();
    for (index, url) in urls.iter().take(ADDRESSES).enumerate() {
        line(if index == 0 { "Manage at" } else { "" }, url);
    }
    if urls.is_empty() {
        let why = match state.management() {
            Some(interface) => format!("{}: {}", interface.device, interface.why_none()),
            None => "no network card is set up for it".to_owned(),
        };
        line("Manage at", &format!("no address: {why}"));
    }
    // Two lines of 16 pairs.
    let half =
        facts.fingerprint.char_indices().nth(48).map_or(facts.fingerprint.len(), |(at, _)| at);
    let (first, second) = facts.fingerprint.split_at(half);
    line("Certificate", first);
    line("  (SHA-256)", second);
    line("CPUs", &facts.cpus);
    let used = facts.memory.saturating_sub(facts.free);
    line("Memory", &format!("{} used, {} free", size(used), size(facts.free)));
    let vms = format!("{} of {} virtual machines run", state.running(), facts.vms.len());
    line("Uptime", &format!("{}; {vms}", span(state.uptime)));
    for (index, alert) in facts.alerts.iter().enumerate() {
        line(if index == 0 { "News (UTC)" } else { "" }, alert);
    }
}

fn span(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    match days {
        0 => format!("{hours}:{minutes:02} h"),
        1 => format!("1 day, {hours}:{minutes:02} h"),
        days => format!("{days} days, {hours}:{minutes:02} h"),
    }
}
