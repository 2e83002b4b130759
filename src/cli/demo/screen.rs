//! The demo's terminal: lines that scroll, and below them the cameras' states, rewritten in place.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write as _};

use unicode_width::UnicodeWidthStr;

use crate::cli::console::remark;
use crate::event::CameraStatus;
use crate::frame::CameraState;

/// Where the demo writes; without a terminal every line is plain and stays.
pub struct Screen {
    terminal: bool,
    cameras: BTreeMap<String, CameraStatus>,
    /// Lines of the camera table now on the terminal.
    drawn: usize,
    clock: String,
}

impl Screen {
    /// A screen on stderr, so that stdout stays machine-readable; `plain`: nothing is ever rewritten.
    pub fn new(plain: bool) -> Self {
        let terminal = !plain && std::io::stderr().is_terminal();
        Self { terminal, cameras: BTreeMap::new(), drawn: 0, clock: String::new() }
    }

    /// A line that scrolls.
    pub fn line(&mut self, text: &str) {
        self.erase();
        note!("{text}");
        self.draw();
    }

    /// A camera's new state.
    pub fn camera(&mut self, status: CameraStatus) {
        let text = row(&status);
        self.cameras.insert(status.camera.to_string(), status);
        if self.terminal {
            self.erase();
            self.draw();
        } else {
            note!("{text}");
        }
    }

    /// The line under the table: time, counts.
    pub fn clock(&mut self, text: String) {
        if self.terminal && text != self.clock {
            self.clock = text;
            self.erase();
            self.draw();
        }
    }

    /// Leaves the table where it is.
    pub fn close(&mut self) {
        self.drawn = 0;
        self.terminal = false;
    }

    fn erase(&mut self) {
        if self.drawn > 0 {
            // Up to the table's first line, then clear to the end of the screen.
            remark(format_args!("\x1b[{}A\x1b[J", self.drawn));
            self.drawn = 0;
        }
    }

    fn draw(&mut self) {
        if !self.terminal {
            return;
        }
        let mut lines = vec![format!("\x1b[2m{}\x1b[0m", "─".repeat(78))];
        lines.extend(self.cameras.values().map(row));
        lines.push(self.clock.clone());
        note!("{}", lines.join("\n"));
        let _ = std::io::stderr().flush();
        self.drawn = lines.len();
    }
}

/// One camera, one line: mark, id, name, state in both languages, reason.
fn row(status: &CameraStatus) -> String {
    let (mark, zh, en) = match status.state {
        CameraState::Connecting => ("\x1b[33m○\x1b[0m", "连接中", "connecting"),
        CameraState::Online => ("\x1b[32m●\x1b[0m", "在线", "online"),
        CameraState::Stalled => ("\x1b[33m●\x1b[0m", "无画面", "stalled"),
        CameraState::AuthFailed => ("\x1b[31m●\x1b[0m", "密码错误", "auth failed"),
        CameraState::Disabled => ("\x1b[31m○\x1b[0m", "已停用", "disabled"),
    };
    let detail = status.detail.as_deref().unwrap_or_default();
    let id = status.camera.as_str();
    format!("{mark} {}{}{zh} {en}  {detail}", padded(id, 18), padded(&status.name, 24))
}

/// Pads by columns on the screen, not by characters: a Chinese character is two columns wide.
fn padded(text: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(text.width()).max(1);
    format!("{text}{}", " ".repeat(spaces))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_names_line_up() {
        assert_eq!(padded("北门", 6), "北门  ");
        assert_eq!(padded("gate", 6), "gate  ");
        assert_eq!(padded("very long", 4), "very long ");
    }
}
