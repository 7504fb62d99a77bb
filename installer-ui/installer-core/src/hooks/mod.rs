// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scripts of the person who installs, that run at three stages of an unattended installation.

mod load;
mod script;

use std::fmt;

use certificate_pin::Fingerprint;

pub use load::{LoadError, Origin};
pub use script::{BadScript, Script, ScriptSource};

/// When a script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Before anything is written.
    Before,
    /// With everything on the disk but the boot loader.
    Populated,
    /// After the installation is complete.
    Completed,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Self; 3] = [Self::Before, Self::Populated, Self::Completed];

    /// Its key in an answer file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Populated => "populated",
            Self::Completed => "completed",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an answer file says of scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookAnswers {
    /// At most one for each stage, in their order.
    pub scripts: Vec<(Stage, ScriptSource)>,
    /// How many seconds each of them may take.
    pub timeout: u32,
    /// The certificate of the server that has them; none: that of the server that the answers came
    /// from, if it is the same, or what authorities vouch for.
    pub pin: Option<Fingerprint>,
}

impl HookAnswers {
    /// Seconds, unless the answers say otherwise.
    pub const TIMEOUT: u32 = 600;
    /// The longest that can be said, in seconds: a day.
    pub const LONGEST: u32 = 86_400;
}

impl Default for HookAnswers {
    fn default() -> Self {
        Self { scripts: Vec::new(), timeout: Self::TIMEOUT, pin: None }
    }
}

/// Scripts that are here and can be run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// At most one for each stage.
    pub scripts: Vec<Script>,
    /// How many seconds each of them may take.
    pub timeout: u32,
    /// Variables of their environment that are the same at each stage.
    pub env: Vec<(String, String)>,
}

impl Hooks {
    /// That of a stage.
    pub fn script(&self, stage: Stage) -> Option<&Script> {
        self.scripts.iter().find(|script| script.stage == stage)
    }
}
