// SPDX-License-Identifier: MIT OR Apache-2.0
//! Suggests the name that was probably meant.

/// The known name with the fewest edits, if there are few enough to be a slip of the fingers.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    let closest = known.iter().map(|&k| (edits(&name.to_lowercase(), k), k)).min()?;
    (closest.0 <= limit).then_some(closest.1)
}

/// Levenshtein distance.
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
        assert_eq!(nearest("hostnam", &known), Some("hostname"));
        assert_eq!(nearest("Hostname", &known), Some("hostname"));
        assert_eq!(nearest("ssh-key", &known), Some("ssh-keys"));
        assert_eq!(nearest("disc", &known), Some("disk"));
        assert_eq!(nearest("timezone", &known), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
