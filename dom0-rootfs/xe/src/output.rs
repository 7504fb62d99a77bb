// SPDX-License-Identifier: MIT OR Apache-2.0
//! What xe prints, in XenServer's layout.

use std::io::Write;

use crate::failure::Failure;

/// Standard output. With `--minimal` only values are collected and printed as one line at the end.
pub(crate) struct Output<'a> {
    out: &'a mut dyn Write,
    minimal: Option<Vec<String>>,
}

/// A record as it is printed: names with their access, and values.
pub(crate) type Row = Vec<(String, String)>;

impl<'a> Output<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, minimal: bool) -> Self {
        Self { out, minimal: minimal.then(Vec::new) }
    }

    /// Records, one below the other; of each the first value with `--minimal`.
    pub(crate) fn records(&mut self, rows: &[Row]) -> Result<(), Failure> {
        if let Some(values) = &mut self.minimal {
            values.extend(rows.iter().filter_map(|row| row.first()).map(|(_, v)| escape(v)));
            return Ok(());
        }
        // Two empty lines follow every record.
        rows.iter().try_for_each(|row| self.write(&format!("{}\n\n", layout(row))))
    }

    /// A value, such as the uuid of a new object.
    pub(crate) fn value(&mut self, value: &str) -> Result<(), Failure> {
        match &mut self.minimal {
            Some(values) => values.push(escape(value)),
            None => self.write(&format!("{value}\n"))?,
        }
        Ok(())
    }

    /// A text as it is.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.write(text)
    }

    /// A remark for a person, left out with `--minimal`.
    pub(crate) fn remark(&mut self, text: &str) -> Result<(), Failure> {
        if self.minimal.is_none() {
            self.write(&format!("{text}\n"))?;
        }
        Ok(())
    }

    /// Where contents go that are printed as they are, and nothing with them.
    pub(crate) fn contents(&mut self) -> &mut dyn Write {
        self.minimal = None;
        self.out
    }

    /// Whether only values are wanted.
    pub(crate) fn is_minimal(&self) -> bool {
        self.minimal.is_some()
    }

    /// Prints what was collected.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        if let Some(values) = self.minimal.take() {
            self.write(&format!("{}\n", values.join(",")))?;
        }
        self.out.flush().map_err(|_| Failure::Closed)
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes()).map_err(|_| Failure::Closed)
    }
}

/// Values of a line are split at commas, so those inside values are marked.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,")
}

/// Names in a column four wider than the widest: the first at its left, the others at its right.
fn layout(row: &Row) -> String {
    let width = 4 + row.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let line = |(at, (name, value)): (usize, &(String, String))| match at {
        0 => format!("{name:<width$}: {value}\n"),
        _ => format!("{name:>width$}: {value}\n"),
    };
    row.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(minimal: bool, rows: &[Row]) -> String {
        let mut out = Vec::new();
        let mut output = Output::new(&mut out, minimal);
        output.records(rows).unwrap();
        output.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    fn rows() -> Vec<Row> {
        let row = |uuid: &str, name: &str| {
            vec![
                ("uuid ( RO)".to_owned(), uuid.to_owned()),
                ("name-label ( RW)".to_owned(), name.to_owned()),
            ]
        };
        vec![row("u-1", "web"), row("u-2", "a, b\\c")]
    }

    #[test]
    fn records_have_a_column_and_two_empty_lines() {
        let expected = concat!(
            "uuid ( RO)          : u-1\n",
            "    name-label ( RW): web\n",
            "\n\n",
            "uuid ( RO)          : u-2\n",
            "    name-label ( RW): a, b\\c\n",
            "\n\n",
        );
        assert_eq!(print(false, &rows()), expected);
    }

    #[test]
    fn minimal_is_one_line_of_first_values() {
        assert_eq!(print(true, &rows()), "u-1,u-2\n");
        let names: Vec<Row> = rows().into_iter().map(|row| row[1..].to_vec()).collect();
        assert_eq!(print(true, &names), "web,a\\, b\\\\c\n");
        assert_eq!(print(true, &[]), "\n");
    }
}
