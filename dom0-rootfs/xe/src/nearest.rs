// SPDX-License-Identifier: MIT OR Apache-2.0
//! The known name that a mistyped one probably meant.

/// The nearest of `known` to `given`, if any is near enough to be meant.
pub(crate) fn nearest<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let given = given.to_lowercase();
    let best =
        known.into_iter().map(|name| (distance(&given, &name.to_lowercase()), name)).min()?;
    (best.0 <= 1 + given.len() / 4).then_some(best.1)
}

/// How many letters have to be inserted, removed, replaced or swapped with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut cost = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                let swapped: &Vec<usize> = &before;
                cost = cost.min(swapped[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger() {
        let known = ["vm-list", "vm-start", "vdi-list", "vm-param-list"];
        for (given, meant) in [
            ("vm-lsit", Some("vm-list")),
            ("vmlist", Some("vm-list")),
            ("VM-Start", Some("vm-start")),
            ("vm-parm-list", Some("vm-param-list")),
            ("frobnicate", None),
        ] {
            assert_eq!(nearest(given, known), meant, "{given}");
        }
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
