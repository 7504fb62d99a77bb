// SPDX-License-Identifier: MIT OR Apache-2.0
//! What libFuzzer says of a run.

use std::fmt;

/// How far a run came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Inputs that were tried.
    pub runs: u64,
    /// Places of the code that were reached.
    pub coverage: u64,
    /// Inputs that are kept because each reaches something more.
    pub corpus: u64,
}

impl Figures {
    /// Reads libFuzzer's output, of which the last figures count:
    /// `#4711 DONE   cov: 815 ft: 1631 corp: 97/4711b lim: 4096 exec/s: 1570 rss: 60Mb`.
    pub fn of(log: &str) -> Self {
        let mut figures = Self::default();
        for line in log.lines() {
            let mut words = line.split_ascii_whitespace();
            let runs = words.next().and_then(|word| word.strip_prefix('#')?.parse().ok());
            let Some(runs) = runs else { continue };
            figures.runs = runs;
            while let Some(word) = words.next() {
                let number = |text: Option<&str>| text?.split('/').next()?.parse().ok();
                match word {
                    "cov:" => figures.coverage = number(words.next()).unwrap_or(figures.coverage),
                    "corp:" => figures.corpus = number(words.next()).unwrap_or(figures.corpus),
                    _ => {}
                }
            }
        }
        figures
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, coverage, corpus } = self;
        write!(f, "{runs:>9} inputs, {coverage:>6} places reached, {corpus:>5} inputs kept")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_figures_count() {
        let log = "INFO: Running with entropic power schedule (0xFF, 100).\n\
            INFO: seed corpus: files: 3 min: 1b max: 9b total: 15b rss: 55Mb\n\
            #4\tINITED cov: 700 ft: 801 corp: 3/15b exec/s: 0 rss: 56Mb\n\
            #4096\tpulse  cov: 710 ft: 900 corp: 20/99b lim: 43 exec/s: 2048 rss: 57Mb\n\
            #4711\tDONE   cov: 815 ft: 1631 corp: 97/4711b lim: 4096 exec/s: 1570 rss: 60Mb\n\
            Done 4711 runs in 3 second(s)\n";
        assert_eq!(Figures::of(log), Figures { runs: 4711, coverage: 815, corpus: 97 });
        assert_eq!(Figures::of("thread panicked\n# no number"), Figures::default());
    }
}
