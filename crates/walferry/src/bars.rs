//! Progress bars of snapshots, below the log on a terminal.
//!
//! Owns what is drawn on standard error and how a line of the log gets out of its way. Never: draws where no person looks: it is
//! switched on for a terminal and a log of text only.
//! Invariant: between two draws the cursor stands at the beginning of the line below the bars.
//! Start reading at [`Screen::follow`].

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use walferry_pipeline::{Handle, SnapshotStatus, TableState};

/// How often bars are drawn.
const TICK: Duration = Duration::from_millis(250);
/// Tables that are shown at most; the others are counted.
const TABLES_MAX: usize = 10;
/// What a terminal that does not say its width is taken for.
const WIDTH: usize = 80;
/// Cells of a bar.
const CELLS: u64 = 20;

/// The lower end of the terminal. Clones draw on the same.
#[derive(Clone, Default)]
pub(crate) struct Screen {
    /// Lines that are drawn now.
    lines: Arc<Mutex<usize>>,
}

impl Screen {
    /// Draws the snapshots of these connectors, for as long as the process lives.
    pub(crate) async fn follow(self, connectors: Vec<Arc<Handle>>) {
        loop {
            let tables = connectors.iter().flat_map(|it| it.report().snapshot);
            self.draw(&lines(&tables.collect::<Vec<_>>(), width()));
            tokio::time::sleep(TICK).await;
        }
    }

    fn draw(&self, lines: &[String]) {
        let mut drawn = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if *drawn == 0 && lines.is_empty() {
            return;
        }
        let mut text = erased(*drawn);
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        *drawn = lines.len();
        // Who closed standard error does not want to see them.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// Writes a line of the log above the bars; they are drawn again at the next tick.
    pub(crate) fn log(&self, bytes: &[u8]) -> io::Result<()> {
        let mut drawn = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if *drawn > 0 {
            io::stderr().write_all(erased(*drawn).as_bytes())?;
            *drawn = 0;
        }
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }
}

/// Up by so many lines, and everything below is cleared.
fn erased(lines: usize) -> String {
    match lines {
        0 => String::new(),
        lines => format!("\x1b[{lines}A\x1b[J"),
    }
}

fn width() -> usize {
    let told = rustix::termios::tcgetwinsize(io::stderr()).ok();
    let told = told.map(|it| usize::from(it.ws_col));
    told.filter(|width| *width > 0).unwrap_or(WIDTH)
}

/// One line for each table that is not done, none longer than `width`.
fn lines(tables: &[SnapshotStatus], width: usize) -> Vec<String> {
    let open =
        |it: &&SnapshotStatus| !matches!(it.table.state, TableState::Done | TableState::Cancelled);
    let mut open: Vec<&SnapshotStatus> = tables.iter().filter(open).collect();
    // Those that are read first.
    open.sort_by_key(|it| it.table.state != TableState::Running);
    let hidden = open.len().saturating_sub(TABLES_MAX);
    open.truncate(TABLES_MAX);
    let names = open.iter().map(|it| it.table.name.chars().count());
    let name_width = names.max().unwrap_or(0).min(width / 3);
    let mut lines: Vec<String> = open.iter().map(|it| line(it, name_width)).collect();
    if hidden > 0 {
        lines.push(format!("and {hidden} more tables"));
    }
    for line in &mut lines {
        *line = line.chars().take(width.saturating_sub(1)).collect();
    }
    lines
}

fn line(it: &SnapshotStatus, name_width: usize) -> String {
    let table = &it.table;
    let name: String = table.name.chars().take(name_width).collect();
    let whole = table.rows_estimated.max(table.rows).max(1);
    let percent = table.rows.saturating_mul(100) / whole;
    let full = percent * CELLS / 100;
    let bar: String = (0..CELLS)
        .map(|cell| if cell < full { '█' } else { '░' })
        .collect();
    let mut text = format!(
        "{name:name_width$} {bar} {percent:>3} %  {} rows",
        table.rows
    );
    match table.state {
        TableState::Paused => text.push_str("  paused"),
        TableState::Waiting => text.push_str("  waiting"),
        _ => {
            if let Some(rate) = it.rows_per_second {
                text.push_str(&format!("  {rate}/s"));
            }
            if let Some(seconds) = it.seconds_left {
                text.push_str(&format!("  {} left", duration(seconds)));
            }
        }
    }
    text
}

/// Seconds for people: `7 s`, `3:07`, `2:03:07`.
pub(crate) fn duration(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, minutes) => format!("{minutes}:{rest:02}"),
        (hours, minutes) => format!("{hours}:{minutes:02}:{rest:02}"),
    }
}

#[cfg(test)]
mod tests {
    use walferry_pipeline::{SnapshotId, TableProgress};

    use super::*;

    fn table(name: &str, state: TableState, rows: u64, rows_estimated: u64) -> SnapshotStatus {
        SnapshotStatus {
            table: TableProgress {
                name: name.into(),
                id: SnapshotId::Initial,
                rows,
                deletes: 0,
                rows_estimated,
                state,
                reason: None,
                priority: 0,
            },
            rows_per_second: (state == TableState::Running).then_some(1_250),
            seconds_left: (state == TableState::Running).then_some(187),
        }
    }

    #[test]
    fn a_table_has_a_bar_with_rows_rate_and_time_left() {
        let tables = [
            table("public.done", TableState::Done, 5, 5),
            table("public.b", TableState::Waiting, 0, 0),
            table("public.orders", TableState::Running, 600, 1_000),
            table("public.p", TableState::Paused, 30, 20),
        ];
        assert_eq!(
            lines(&tables, 100),
            [
                "public.orders ████████████░░░░░░░░  60 %  600 rows  1250/s  3:07 left",
                "public.b      ░░░░░░░░░░░░░░░░░░░░   0 %  0 rows  waiting",
                "public.p      ████████████████████ 100 %  30 rows  paused",
            ]
        );
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_and_no_more_are_drawn_than_fit() {
        let many: Vec<_> = (0..30)
            .map(|i| {
                table(
                    &format!("public.a_rather_long_name_{i}"),
                    TableState::Running,
                    1,
                    2,
                )
            })
            .collect();
        let lines = lines(&many, 40);
        assert_eq!(lines.len(), TABLES_MAX + 1);
        assert!(
            lines.iter().all(|line| line.chars().count() < 40),
            "{lines:?}"
        );
        assert_eq!(lines[TABLES_MAX], "and 20 more tables");
    }

    #[test]
    fn durations_are_short() {
        for (seconds, text) in [(0, "0 s"), (59, "59 s"), (60, "1:00"), (7_387, "2:03:07")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
