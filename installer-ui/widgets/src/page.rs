// SPDX-License-Identifier: MIT OR Apache-2.0
//! A whole screen: title, body, message, keys.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use crate::{Body, wrap};

/// Rows between the title and the message.
pub const BODY_ROWS: u16 = 19;

/// What is drawn, for at least 80 columns and 24 rows.
#[derive(Debug)]
pub struct Page<'a> {
    /// Left in the first row.
    pub title: &'a str,
    /// Right in it.
    pub right: &'a str,
    /// Below it.
    pub body: Body,
    /// What the person has to know, in two rows at the most.
    pub message: Option<&'a str>,
    /// What the keys do, in the last row.
    pub keys: &'a str,
}

impl Page<'_> {
    /// Draws it.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        bar(frame, 0, &format!(" {}", self.title), self.right);
        let width = area.width.saturating_sub(4);
        for (row, line) in (2..).zip(self.body.lines.iter().take(usize::from(BODY_ROWS))) {
            frame.render_widget(line, Rect { x: 2, y: row, width, height: 1 }.intersection(area));
        }
        if let Some((x, y)) = self.body.cursor.filter(|(_, y)| *y < BODY_ROWS) {
            frame.set_cursor_position((2 + x, 2 + y));
        }
        if let Some(message) = self.message {
            let bold = Style::new().add_modifier(Modifier::BOLD);
            for (row, text) in (21..23).zip(wrap(&format!("! {message}"), usize::from(width))) {
                let place = Rect { x: 2, y: row, width, height: 1 };
                frame.render_widget(Line::styled(text, bold), place.intersection(area));
            }
        }
        bar(frame, area.height.saturating_sub(1), &format!(" {}", self.keys), "");
    }
}

/// A reversed row, one text at each end.
fn bar(frame: &mut Frame<'_>, row: u16, left: &str, right: &str) {
    let area = frame.area();
    let width = usize::from(area.width);
    let room = width.saturating_sub(left.chars().count());
    let text = format!("{left}{right:>room$}");
    let line = Line::styled(text, Style::new().add_modifier(Modifier::REVERSED));
    let place = Rect { x: 0, y: row, width: area.width, height: 1 };
    frame.render_widget(line, place.intersection(area));
}
