// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scripts at the stages of an installation.

use super::super::raw::RawHooks;
use super::{Element, Translation, tag};

impl Translation {
    /// `<script stage="…" type="…">`.
    pub(super) fn script(&mut self, element: &Element) {
        const ABOUT: &str = "<script>";
        self.attributes(element, &["stage", "type"]);
        match element.attribute(&["stage"]) {
            Some("installation-start") => self.hook(element, |hooks| &mut hooks.before),
            Some("filesystem-populated") => self.hook(element, |hooks| &mut hooks.populated),
            Some("installation-complete") => {
                self.note(ABOUT, "that of installation-complete runs after a success only");
                self.hook(element, |hooks| &mut hooks.completed);
            }
            _ => {
                let text = "stage is not one of installation-start, filesystem-populated, \
                            installation-complete";
                self.problem(ABOUT, text, "say when it runs, or leave it out");
            }
        }
    }

    /// What older files have for the stage filesystem-populated.
    pub(super) fn post_install_script(&mut self, element: &Element) {
        self.attributes(element, &["type"]);
        self.hook(element, |hooks| &mut hooks.populated);
    }

    fn hook(&mut self, element: &Element, slot: fn(&mut RawHooks) -> &mut Option<String>) {
        let about = tag(&element.name);
        let kind = element.attribute(&["type"]).unwrap_or("url").to_owned();
        let Some(text) = self.text(element) else { return };
        let place = match kind.as_str() {
            "url" => {
                if text.starts_with("file://") {
                    let text = "a file:// address is a path on the medium here";
                    self.note(&about, text);
                }
                text
            }
            "nfs" => match text.split_once(":/") {
                Some((server, path)) if !text.contains("://") => format!("nfs://{server}/{path}"),
                _ => {
                    let text = format!("{text:?} is not of the form SERVER:/FOLDER/FILE");
                    self.problem(&about, text, "write it so, or say type=\"url\"");
                    return;
                }
            },
            other => {
                let text = format!("the type {other:?} is not one of url, nfs");
                self.problem(&about, text, "type=\"url\" takes http, https, nfs, file");
                return;
            }
        };
        // Only a place: a whole script in XML would have lost its line ends.
        if place.starts_with("#!") {
            self.problem(&about, "holds a script and not its place", "name its URL");
        } else if slot(self.raw.hooks.get_or_insert_default()).replace(place).is_some() {
            self.problem(&about, "there are two scripts for one stage", "make one of them");
        }
    }
}
