// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keyboard, terms, and time zone.

use installer_core::answers::{Keymap, RegionalAnswer, TimeZone};
use installer_core::regional::{DEFAULT_KEYMAP, DEFAULT_ZONE, Regional};

use super::keys::sentence;
use super::{Action, Key, Pick, Screen, State};

/// Lines of the terms that a screen shows.
pub const LICENCE_SHOWN: usize = 17;

/// What the three screens know and ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegionalForm {
    /// What there is to choose from.
    pub there: Regional,
    /// Among the keymaps.
    pub keymap: Pick,
    /// The keymap that the machine's keyboard has now.
    applied: Option<String>,
    /// Among the regions.
    pub region: Pick,
    /// Among the cities of the region that was chosen, if that has any.
    pub city: Option<Pick>,
}

impl RegionalForm {
    /// With the defaults selected.
    pub fn new(there: Regional) -> Self {
        let keymap = Pick::at(&there.keymaps, DEFAULT_KEYMAP);
        let region = Pick::at(&there.regions(), DEFAULT_ZONE);
        Self { there, keymap, applied: None, region, city: None }
    }

    /// Names of all keymaps.
    pub fn keymaps(&self) -> Vec<&str> {
        self.there.keymaps.iter().map(String::as_str).collect()
    }

    /// The region that is selected.
    pub fn selected_region(&self) -> Option<&str> {
        self.region.chosen(&self.there.regions())
    }

    /// The cities of that region.
    pub fn cities(&self) -> Vec<&str> {
        self.selected_region().map(|region| self.there.cities(region)).unwrap_or_default()
    }

    fn zone(&self) -> Option<String> {
        let region = self.selected_region()?;
        match &self.city {
            None => Some(region.to_owned()),
            Some(city) => Some(format!("{region}/{}", city.chosen(&self.cities())?)),
        }
    }

    /// What differs from the defaults. Names come from the lists, so they are right.
    pub fn answer(&self) -> RegionalAnswer {
        let keymap = self.keymap.chosen(&self.keymaps()).filter(|name| *name != DEFAULT_KEYMAP);
        let zone = self.zone().filter(|name| name != DEFAULT_ZONE);
        RegionalAnswer {
            keymap: keymap.and_then(|name| name.parse::<Keymap>().ok()),
            zone: zone.and_then(|name| name.parse::<TimeZone>().ok()),
        }
    }
}

impl State {
    pub(super) fn keymap_key(&mut self, key: Key) -> Option<Action> {
        self.message = None;
        let form = &mut self.form.regional;
        let names: Vec<&str> = form.there.keymaps.iter().map(String::as_str).collect();
        match key {
            Key::Esc => self.go(Screen::Choose),
            Key::Enter if names.is_empty() => self.go(Screen::Licence),
            Key::Enter => match form.keymap.chosen(&names) {
                Some(name) if name == form.applied.as_deref().unwrap_or(DEFAULT_KEYMAP) => {
                    self.go(Screen::Licence);
                }
                Some(name) => return name.parse().ok().map(Action::ApplyKeymap),
                None => self.message = Some("No keymap has that in its name.".to_owned()),
            },
            key => form.keymap.on(key, &names),
        }
        None
    }

    /// The keyboard has the keymap now, or the reason why not.
    pub(super) fn keymap_applied(&mut self, result: Result<Keymap, String>) {
        match result {
            Ok(keymap) => {
                self.form.regional.applied = Some(keymap.as_str().to_owned());
                if self.screen == Screen::Keymap {
                    self.go(Screen::Licence);
                }
            }
            Err(error) => self.message = Some(sentence(&error)),
        }
    }

    pub(super) fn licence_key(&mut self, key: Key) {
        let last = self.licence.len().saturating_sub(LICENCE_SHOWN);
        match key {
            Key::Enter => self.go(Screen::Disk),
            Key::Esc => self.go(Screen::Keymap),
            Key::Up => self.scroll = self.scroll.saturating_sub(1),
            Key::Down => self.scroll = (self.scroll + 1).min(last),
            Key::PageUp => self.scroll = self.scroll.saturating_sub(LICENCE_SHOWN),
            Key::PageDown => self.scroll = (self.scroll + LICENCE_SHOWN).min(last),
            Key::Home => self.scroll = 0,
            Key::End => self.scroll = last,
            Key::Char('l') => self.log_open = Some(0),
            _ => {}
        }
    }

    pub(super) fn zone_key(&mut self, key: Key) {
        self.message = None;
        let form = &mut self.form.regional;
        let regions = form.there.regions();
        if let Some(city) = &mut form.city {
            let region = form.region.chosen(&regions).unwrap_or_default();
            let cities = form.there.cities(region);
            match key {
                Key::Esc => form.city = None,
                Key::Enter if city.chosen(&cities).is_some() => self.go(Screen::Password),
                Key::Enter => self.message = Some("No city has that in its name.".to_owned()),
                key => city.on(key, &cities),
            }
            return;
        }
        match key {
            Key::Esc => self.go(Screen::Network),
            Key::Enter if regions.is_empty() => self.go(Screen::Password),
            Key::Enter => match form.region.chosen(&regions) {
                None => self.message = Some("No region has that in its name.".to_owned()),
                Some(region) if form.there.cities(region).is_empty() => self.go(Screen::Password),
                Some(_) => form.city = Some(Pick::default()),
            },
            key => form.region.on(key, &regions),
        }
    }
}
