//! The connector of a history: started, killed, stopped, asked for snapshots, its tables read again.
//!
//! Owns: when what of it happens, by the history's choices. Never: judgement; an end of its own is an error, unless it refuses what
//! it should refuse.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::Rng;
use rand::rngs::StdRng;

use super::menu::{Kind, Menu, Snapshot};
use super::writer::Writer;
use walferry_testkit::process::{Settings, Walferry, http};

/// How long a start may take.
const READY: Duration = Duration::from_secs(120);
/// How long a resync may take.
const RESYNCED: Duration = Duration::from_secs(120);
/// Of the admin server.
pub(super) const TOKEN: &str = "history";

/// What happened to the connector.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// How often it was killed.
    pub kills: u32,
    /// How often it was stopped in order.
    pub stops: u32,
    /// Snapshots that were asked for.
    pub asked: u32,
    /// Runs of `walferry resync`.
    pub resyncs: u32,
    /// What it refused, and rightly.
    pub refusals: Vec<String>,
}

/// The connector, which is up or down.
pub(super) struct Runs<'a> {
    settings: &'a Settings,
    folder: &'a Path,
    menu: Menu,
    pub(super) connector: Option<Walferry>,
    /// Transactions for which it stays down.
    rest: u32,
    /// Whether it has streamed, so that there is something to read again.
    streamed: bool,
    pub(super) counts: Counts,
}

impl<'a> Runs<'a> {
    /// Starts it and waits until it follows what is written from now on.
    pub(super) fn begin(
        settings: &'a Settings,
        folder: &'a Path,
        menu: &Menu,
        writer: &mut Writer,
    ) -> Result<Runs<'a>> {
        let mut first = Walferry::start(settings, folder)?;
        match menu.snapshot {
            // Else a kill begins it anew, with all that was written meanwhile.
            Snapshot::Consistent | Snapshot::Beside => {
                first.wait_status("some rows", READY, |status| {
                    let tables = status["snapshot"].as_array().map_or(&[][..], Vec::as_slice);
                    tables.iter().any(|it| it["rows"].as_u64() > Some(0))
                });
            }
            Snapshot::Never | Snapshot::Asked => {
                first.wait_log("slot created", READY);
            }
        }
        let mut runs = Runs {
            settings,
            folder,
            menu: menu.clone(),
            connector: Some(first),
            rest: 0,
            streamed: false,
            counts: Counts::default(),
        };
        if matches!(menu.snapshot, Snapshot::Never | Snapshot::Asked) {
            runs.up()?;
        }
        if menu.snapshot == Snapshot::Asked {
            for compared in writer.compared("") {
                // Rows without a key are told again only in a topic that is emptied.
                if compared.key.is_empty() {
                    writer.note_read_again(&compared.table)?;
                }
                runs.ask(&compared.table)?;
            }
        }
        Ok(runs)
    }

    /// Now and then it is ended, and after a few transactions started again.
    pub(super) fn step(&mut self, writer: &mut Writer, random: &mut StdRng) -> Result<()> {
        self.refused(writer)?;
        if self.connector.is_none() {
            self.rest = self.rest.saturating_sub(1);
            if self.rest > 0 {
                return Ok(());
            }
            if self.menu.has(Kind::Resync) && self.streamed && random.random_ratio(1, 3) {
                self.resync(writer, random)?;
            }
            return self.start();
        }
        // The writer is faster than the connector; sometimes it lets it come up.
        std::thread::sleep(Duration::from_millis(random.random_range(0..60)));
        if self.menu.has(Kind::Asked)
            && random.random_ratio(1, 10)
            && let Some(table) = writer.any_table(random)
        {
            writer.note(&format!("-- a snapshot of {table} is asked for"));
            self.ask(&table)?;
        }
        if !random.random_ratio(1, self.menu.restart_every.max(1)) {
            return Ok(());
        }
        let kill = random.random_ratio(2, 3);
        self.rest = random.random_range(0..12);
        writer.note(match kill {
            true => "-- the connector is killed",
            false => "-- the connector is stopped",
        });
        self.end(kill)?;
        if self.rest == 0 { self.start() } else { Ok(()) }
    }

    fn end(&mut self, kill: bool) -> Result<()> {
        let Some(connector) = &mut self.connector else {
            return Ok(());
        };
        self.streamed |= connector
            .status()
            .is_ok_and(|it| it["state"] == "streaming");
        if kill {
            connector.kill9();
            self.counts.kills += 1;
            self.connector = None;
            return Ok(());
        }
        self.counts.stops += 1;
        self.stop()
    }

    fn start(&mut self) -> Result<()> {
        self.connector = Some(Walferry::start(self.settings, self.folder)?);
        Ok(())
    }

    /// Asks for a snapshot of a table. What cannot be read now is refused with its reason.
    fn ask(&mut self, table: &str) -> Result<()> {
        let Some(connector) = &self.connector else {
            return Ok(());
        };
        let url = format!("{}/snapshots", connector.admin_url());
        let body = format!("{{\"tables\": [\"{table}\"]}}");
        let token = format!("Bearer {TOKEN}");
        let headers = [("Authorization", token.as_str())];
        // In its start it has no admin server, or none that knows the tables.
        let answer = http::request("POST", &url, &body, &headers, Duration::from_secs(20));
        self.counts.asked += u32::from(answer.is_ok_and(|it| it.status == 201));
        Ok(())
    }

    /// Reads a table again while the connector is down; some of these are killed.
    fn resync(&mut self, writer: &mut Writer, random: &mut StdRng) -> Result<()> {
        let Some(table) = writer.any_table(random) else {
            return Ok(());
        };
        writer.note(&format!("-- {table} is read again by walferry resync"));
        writer.note_read_again(&table)?;
        let path = self.settings.write(self.folder)?;
        let arguments = ["resync", "-c", &path.to_string_lossy(), &table];
        let mut resync = Walferry::start_with(&arguments, self.settings, self.folder)?;
        self.counts.resyncs += 1;
        let killed = random.random_ratio(1, 4);
        let patience = match killed {
            true => Duration::from_millis(random.random_range(0..3_000)),
            false => RESYNCED,
        };
        let ends = |resync: &mut Walferry| {
            let begun = Instant::now();
            while resync.exited().is_none() && begun.elapsed() < patience {
                std::thread::sleep(Duration::from_millis(20));
            }
            resync.exited()
        };
        let mut end = ends(&mut resync);
        // A table whose rows a policy hides is waited for, also when it is another one's snapshot that goes on.
        if end.is_none() && !killed && !writer.secured().is_empty() {
            writer.unsecure()?;
            end = ends(&mut resync);
        }
        match end {
            None if killed => resync.kill9(),
            None => anyhow::bail!("resync of {table} has no end\n{}", resync.log_tail()),
            Some(status) if !status.success() => {
                let tail = resync.log_tail();
                let last = tail.lines().last().unwrap_or_default().to_owned();
                ensure!(
                    status.code().is_some_and(|code| code == 1 || code == 3) && !last.is_empty(),
                    "resync of {table} ended with {status}\n{tail}"
                );
                self.counts.refusals.push(last);
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// An end of its own is an error, unless it refuses to read through a policy, which is then taken away.
    pub(super) fn refused(&mut self, writer: &mut Writer) -> Result<()> {
        let Some(connector) = &mut self.connector else {
            return Ok(());
        };
        let Some(status) = connector.exited() else {
            return Ok(());
        };
        let tail = connector.log_tail();
        let about_security = tail.contains("row security") || tail.contains("BYPASSRLS");
        ensure!(
            about_security && !writer.secured().is_empty(),
            "walferry ended by itself ({status})\n{tail}"
        );
        self.counts
            .refusals
            .push("row security hides rows".to_owned());
        writer.unsecure()?;
        self.start()
    }

    /// Starts it if it is down, and waits until it streams.
    pub(super) fn up(&mut self) -> Result<()> {
        if self.connector.is_none() {
            self.start()?;
        }
        let begun = Instant::now();
        while let Some(connector) = &mut self.connector {
            if connector
                .status()
                .is_ok_and(|it| it["state"] == "streaming")
            {
                self.streamed = true;
                return Ok(());
            }
            let ended = connector.exited();
            ensure!(
                ended.is_none(),
                "walferry ended by itself ({ended:?})\n{}",
                connector.log_tail()
            );
            ensure!(
                begun.elapsed() < READY,
                "it does not stream within {READY:?}\n{}",
                connector.log_tail()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    pub(super) fn stop(&mut self) -> Result<()> {
        if let Some(mut connector) = self.connector.take() {
            connector.sigterm();
            let code = connector.wait_exit(READY);
            // A signal that comes before the program listens for it ends it as a kill does.
            ensure!(
                matches!(code, Some(0) | None),
                "SIGTERM ended it with {code:?}\n{}",
                connector.log_tail()
            );
        }
        Ok(())
    }

    /// Whether the rows from before the start come when somebody asks for them, and only then.
    pub(super) fn are_rows_asked_for(&self) -> bool {
        self.menu.snapshot == Snapshot::Asked
    }

    /// Its log of all runs.
    pub(super) fn log(&self) -> Result<String> {
        let path = self.folder.join(format!("{}.log", self.settings.name()));
        std::fs::read_to_string(&path).with_context(|| format!("no log {}", path.display()))
    }
}
