// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is drawn: a net for each class that others refer to.

use crate::groups;
use crate::references;

/// All references to one class.
#[derive(Debug)]
pub(super) struct Net {
    /// The class that is referred to.
    pub(super) target: &'static str,
    /// Classes that refer to it, and by which fields.
    pub(super) sources: Vec<(&'static str, Vec<&'static str>)>,
}

/// A piece of a net, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// A horizontal line.
    Across { y: i32, from: i32, to: i32 },
    /// A vertical line.
    Down { x: i32, from: i32, to: i32 },
    /// A dot where lines of one net meet.
    Joint { x: i32, y: i32 },
    /// The point of the arrow at the target.
    Arrow { x: i32, y: i32 },
}

/// Every net, in the order of the groups.
pub(super) fn all() -> Vec<Net> {
    let references = references::all();
    let classes = || groups::ALL.iter().flat_map(|group| group.classes).copied();
    let net = |target: &'static str| {
        let sources: Vec<_> = classes()
            .filter(|source| *source != target)
            .filter_map(|source| Some((source, references.get(source)?.get(target)?.clone())))
            .collect();
        Net { target, sources }
    };
    classes().map(net).filter(|net| !net.sources.is_empty()).collect()
}

/// Whether a class has references to its own objects.
pub(super) fn refers_to_itself(class: &str) -> bool {
    references::all().get(class).is_some_and(|to| to.contains_key(class))
}
