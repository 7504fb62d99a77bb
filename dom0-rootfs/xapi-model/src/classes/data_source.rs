// SPDX-License-Identifier: MIT OR Apache-2.0
//! `data_source`: no objects, only records that other messages answer.

use super::prelude::*;

/// A figure of a host or VM.
pub static DATA_SOURCE: Class = class(
    "data_source",
    "A figure that a host or VM can be asked for.",
    &[
        ro("name_label", STRING, "Name, to ask for it by."),
        ro("name_description", STRING, "What the figure means."),
        ro("enabled", Bool, "It is recorded over time."),
        ro("standard", Bool, "It is recorded without having been asked for."),
        ro("units", STRING, "Unit of the figure."),
        ro("min", Float, "The least it can be."),
        ro("max", Float, "The most it can be."),
        ro("value", Float, "What it is now; 0 as long as that is not known."),
    ],
    &[],
)
.transient()
.unlisted();
