// SPDX-License-Identifier: MIT OR Apache-2.0
//! The terminal.

use std::io::{Stdout, stdout};

use anyhow::{Context as _, Result};
use crossterm::cursor::Show;
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

/// Every screen is made for this; a serial line does not tell its size.
const SMALLEST: (u16, u16) = (80, 24);

/// The terminal while it shows screens.
#[derive(Debug)]
pub struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    /// Takes the terminal that this program runs on.
    pub fn open() -> Result<Self> {
        enable_raw_mode().context("switching the terminal to single keys")?;
        execute!(stdout(), EnterAlternateScreen).context("clearing the terminal")?;
        let viewport = Viewport::Fixed(size());
        let backend = CrosstermBackend::new(stdout());
        let terminal = Terminal::with_options(backend, TerminalOptions { viewport });
        let mut screen = Self(terminal.context("opening the terminal")?);
        screen.fit()?;
        Ok(screen)
    }

    /// Takes the terminal's present size and draws everything anew.
    pub fn fit(&mut self) -> Result<()> {
        self.0.resize(size()).context("clearing the terminal")
    }

    /// Shows what `draw` makes.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<()> {
        self.0.draw(draw).context("drawing")?;
        Ok(())
    }

    /// Gives the terminal back, as it was before.
    pub fn close(&mut self) -> Result<()> {
        execute!(stdout(), LeaveAlternateScreen, Show).context("clearing the terminal")?;
        disable_raw_mode().context("switching the terminal back to lines")
    }
}

fn size() -> Rect {
    let told = rustix::termios::tcgetwinsize(rustix::stdio::stdin());
    let (columns, rows) = match told {
        Ok(told) if told.ws_col > 0 && told.ws_row > 0 => (told.ws_col, told.ws_row),
        _ => SMALLEST,
    };
    Rect::new(0, 0, columns, rows)
}
