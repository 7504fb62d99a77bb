// SPDX-License-Identifier: MIT OR Apache-2.0
//! The path patterns of profiles: `*` within a name, `**` across names, `{a,b}` for alternatives.

/// A list of patterns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patterns(Vec<String>);

impl Patterns {
    /// Expands the alternatives of every pattern.
    pub(crate) fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Self {
        Self(patterns.into_iter().flat_map(|p| expand(p.as_ref())).collect())
    }

    /// Whether any pattern matches the whole path.
    pub(crate) fn matches(&self, path: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern.as_bytes(), path.as_bytes()))
    }
}

/// `a{b,c}d` as `abd` and `acd`; a brace without its partner stands for itself.
fn expand(pattern: &str) -> Vec<String> {
    let innermost =
        pattern.find('}').and_then(|close| pattern[..close].rfind('{').map(|open| (open, close)));
    let Some((open, close)) = innermost else { return vec![pattern.to_owned()] };
    let (before, after) = (&pattern[..open], &pattern[close + 1..]);
    pattern[open + 1..close]
        .split(',')
        .flat_map(|choice| expand(&format!("{before}{choice}{after}")))
        .collect()
}

fn matches(pattern: &[u8], path: &[u8]) -> bool {
    match pattern {
        [] => path.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=path.len()).any(|from| matches(rest, &path[from..])),
        [b'*', rest @ ..] => {
            let name = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
            (0..=name).any(|from| matches(rest, &path[from..]))
        }
        [first, rest @ ..] => {
            path.split_first().is_some_and(|(p, q)| p == first && matches(rest, q))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_braces_match_as_documented() {
        let yes = [
            ("a/*", "a/b"),
            ("a/**", "a/b/c"),
            ("a/{b,c}/*.ko", "a/c/x.ko"),
            ("{a,b{c,d}}", "bd"),
            ("a/{b,c/**}", "a/c/d/e"),
            ("*", ""),
            ("a*c*", "abcd"),
        ];
        for (pattern, path) in yes {
            assert!(Patterns::new([pattern]).matches(path), "{pattern} {path}");
        }
        let no = [("a/*", "a/b/c"), ("a", "ab"), ("a/{b,c}", "a/d"), ("a/**", "a"), ("a*c", "a/c")];
        for (pattern, path) in no {
            assert!(!Patterns::new([pattern]).matches(path), "{pattern} {path}");
        }
    }

    #[test]
    fn a_lone_brace_is_itself() {
        assert!(Patterns::new(["a}b{"]).matches("a}b{"));
    }
}
