// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines of a screen, with a cursor perhaps.

use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use crate::{Field, wrap};

/// Columns of text; screens are drawn for 80 columns.
pub const WIDTH: usize = 76;
/// Columns of a field.
const FIELD: usize = 50;

/// What is between title and message.
#[derive(Debug, Default)]
pub struct Body {
    /// In their order, from the top.
    pub lines: Vec<Line<'static>>,
    /// Column and row of the cursor.
    pub cursor: Option<(u16, u16)>,
}

impl Body {
    /// One line.
    pub fn text(&mut self, text: &str) {
        self.lines.push(Line::raw(text.to_owned()));
    }

    /// A text in as many lines as it needs.
    pub fn wrapped(&mut self, text: &str) {
        for line in wrap(text, WIDTH) {
            self.text(&line);
        }
    }

    /// One line that stands out.
    pub fn bold(&mut self, text: &str) {
        let style = Style::new().add_modifier(Modifier::BOLD);
        self.lines.push(Line::styled(text.to_owned(), style));
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.text("");
    }

    /// Lines of which only a window of `rows` is shown, from line `first` on at the most; a further
    /// row says what is above and below.
    pub fn window(&mut self, lines: &[String], first: usize, rows: usize) {
        let first = first.min(lines.len().saturating_sub(rows));
        lines.iter().skip(first).take(rows).for_each(|line| self.text(line));
        let below = lines.len().saturating_sub(first + rows);
        match (first, below) {
            (0, 0) => {}
            (_, 0) => self.text("(Up shows the beginning)"),
            (_, 1) => self.text("(one more line: Down)"),
            (_, n) => self.text(&format!("({n} more lines: Down)")),
        }
    }

    /// An entry of a list; the selected one is marked without attributes too.
    pub fn choice(&mut self, selected: bool, text: &str) {
        match selected {
            true => {
                let style = Style::new().add_modifier(Modifier::REVERSED);
                self.lines.push(Line::styled(format!("> {text}"), style));
            }
            false => self.text(&format!("  {text}")),
        }
    }

    /// Something that Left and Right change.
    pub fn toggle(&mut self, focused: bool, label: &str, value: &str) {
        let text = match focused {
            true => format!("> {label:<16} < {value} >"),
            false => format!("  {label:<16}   {value}"),
        };
        let style = match focused {
            true => Style::new().add_modifier(Modifier::BOLD),
            false => Style::new(),
        };
        self.lines.push(Line::styled(text, style));
    }

    /// Something that is typed.
    pub fn field(&mut self, focused: bool, label: &str, field: &Field, masked: bool) {
        let mut shown: Vec<char> = field.text().chars().collect();
        if masked {
            shown.fill('*');
        }
        // The part around the cursor.
        let from = field.cursor().saturating_sub(FIELD - 1);
        let shown: String = shown.into_iter().skip(from).take(FIELD).collect();
        let mark = if focused { '>' } else { ' ' };
        let start = format!("{mark} {label:<16} [");
        if focused {
            let column = start.chars().count() + field.cursor() - from;
            let row = self.lines.len();
            self.cursor = u16::try_from(column).ok().zip(u16::try_from(row).ok());
        }
        self.text(&format!("{start}{shown:FIELD$}]"));
    }
}
