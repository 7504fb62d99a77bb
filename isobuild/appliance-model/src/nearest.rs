// SPDX-License-Identifier: MIT OR Apache-2.0
//! The known name that a mistyped one probably meant.

/// The nearest of `known` to `given`, whose case does not count, if it is near enough to be meant:
/// one edit, and another for every four letters.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let best = known.into_iter().map(|name| (edits(&given, name), name)).min()?;
    (best.0 <= 1 + given.chars().count() / 4).then_some(best.1)
}

/// How many letters have to be inserted, removed or replaced.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let known = ["hostname", "ssh", "ssh-keys", "disk"];
        for (given, meant) in [
            ("hostnam", Some("hostname")),
            ("Hostname", Some("hostname")),
            ("ssh-key", Some("ssh-keys")),
            ("disc", Some("disk")),
            ("timezone", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, known), meant, "{given}");
        }
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
