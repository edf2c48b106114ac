//! JSON lines in daily files, buffered and never waited for; lines for people on a terminal.
//!
//! A log line is copied into memory under a short lock. One thread writes what has gathered, every
//! 100 ms, at once for an ERROR, and at exit. When the disk cannot follow, lines are lost and counted:
//! logging never slows the relay down.

use super::{LogLevel, Metrics};
use crate::settings::{Console, Telemetry};
use parking_lot::{Condvar, Mutex};
use prometheus::IntCounter;
use std::{
    fmt::{self, Write as _},
    io::{IsTerminal, Write},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, filter_fn},
    layer::Context,
    registry::LookupSpan,
};

/// Lines waiting for the disk, per file; beyond it they are dropped.
const BUFFER_BYTES: usize = 8 << 20;
const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// The log files and their writer threads.
#[derive(Debug)]
pub struct Logs {
    combined: File,
    errors: File,
    lines: [IntCounter; 5],
    node: Arc<str>,
}

#[derive(Debug)]
struct File {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<Waiting>,
    wake: Condvar,
    dropped: IntCounter,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    lines: u64,
    urgent: bool,
    closed: bool,
}

impl Shared {
    fn push(&self, line: &[u8], urgent: bool) {
        let mut waiting = self.state.lock();
        if waiting.bytes.len() + line.len() > BUFFER_BYTES {
            self.dropped.inc();
            return;
        }
        waiting.bytes.extend_from_slice(line);
        waiting.lines += 1;
        if urgent {
            waiting.urgent = true;
            self.wake.notify_one();
        }
    }

    fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_one();
    }

    /// The writer thread.
    fn run(&self, mut file: RollingFileAppender) {
        let mut batch = Vec::new();
        loop {
            let (lines, closed) = {
                let mut waiting = self.state.lock();
                if !waiting.urgent && !waiting.closed {
                    self.wake.wait_for(&mut waiting, FLUSH_EVERY);
                }
                waiting.urgent = false;
                batch.clear();
                std::mem::swap(&mut batch, &mut waiting.bytes);
                (std::mem::take(&mut waiting.lines), waiting.closed)
            };
            if !batch.is_empty() && file.write_all(&batch).and_then(|()| file.flush()).is_err() {
                self.dropped.inc_by(lines);
            }
            if closed {
                return;
            }
        }
    }
}

impl Logs {
    /// Opens both files.
    ///
    /// # Errors
    ///
    /// One line that names the setting, when the directory cannot be written.
    pub(super) fn open(settings: &Telemetry, metrics: &Metrics) -> Result<Self, String> {
        let dir = &settings.log_dir;
        let fail = |e: &dyn fmt::Display| {
            format!(
                "LOG_DIR: {} cannot be written ({e}); for example LOG_DIR=logs",
                dir.display()
            )
        };
        std::fs::create_dir_all(dir).map_err(|e| fail(&e))?;
        let open = |prefix: &str| {
            let file = RollingFileAppender::builder()
                .rotation(Rotation::DAILY)
                .filename_prefix(prefix)
                .filename_suffix("jsonl")
                .max_log_files(settings.log_keep)
                .build(dir)
                .map_err(|e| fail(&e))?;
            let shared = Arc::new(Shared {
                state: Mutex::default(),
                wake: Condvar::new(),
                dropped: metrics.log_lines_dropped.clone(),
            });
            let writer = shared.clone();
            let thread = std::thread::Builder::new()
                .name(format!("log-{prefix}"))
                .spawn(move || writer.run(file))
                .map_err(|e| fail(&e))?;
            Ok::<_, String>(File { shared, thread })
        };
        Ok(Self {
            combined: open("combined")?,
            errors: open("error")?,
            lines: metrics.log_lines.clone(),
            node: settings.node.as_str().into(),
        })
    }

    /// The layers that write: files, and the terminal as set.
    pub(super) fn layers<S>(
        &self,
        settings: &Telemetry,
        level: &LogLevel,
    ) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let lines = JsonLines {
            combined: self.combined.shared.clone(),
            errors: self.errors.shared.clone(),
            counts: self.lines.clone(),
            node: self.node.clone(),
            terminal: settings.console == Console::Json,
        };
        let lines = lines.with_filter(filter(level));
        if settings.console == Console::Pretty {
            let pretty = tracing_subscriber::fmt::layer()
                .compact()
                .with_target(false)
                .with_ansi(std::io::stderr().is_terminal())
                .with_writer(std::io::stderr)
                .with_filter(filter(level));
            return lines.and_then(pretty).boxed();
        }
        lines.boxed()
    }

    /// Writes out what waits and closes the files.
    pub(super) fn shutdown(self) {
        for file in [self.combined, self.errors] {
            file.shared.close();
            // A writer that panicked has nothing left to write.
            let _ = file.thread.join();
        }
    }
}

/// `LOG_LEVEL`, but libraries only from WARN up: some of them log payloads and headers below it, and no
/// setting may let a secret out. Spans are the tracer's.
fn filter<S: Subscriber>(level: &LogLevel) -> impl tracing_subscriber::layer::Filter<S> + use<S> {
    level.filter().and(filter_fn(|meta: &Metadata<'_>| {
        meta.is_event() && (meta.target().starts_with("signalbox") || *meta.level() <= Level::WARN)
    }))
}

/// One JSON object a line: `ts, level, target, message`, the event's fields, `node, version`.
struct JsonLines {
    combined: Arc<Shared>,
    errors: Arc<Shared>,
    counts: [IntCounter; 5],
    node: Arc<str>,
    terminal: bool,
}

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let meta = event.metadata();
        let level = *meta.level();
        let place = match level {
            Level::ERROR => 0,
            Level::WARN => 1,
            Level::INFO => 2,
            Level::DEBUG => 3,
            Level::TRACE => 4,
        };
        if let Some(count) = self.counts.get(place) {
            count.inc();
        }
        let mut line = Line(String::with_capacity(512));
        line.0.push_str("{\"ts\":\"");
        let now = OffsetDateTime::now_utc();
        line.0.push_str(&now.format(&Rfc3339).unwrap_or_default());
        line.0.push_str("\",\"level\":\"");
        line.0.push_str(level.as_str());
        line.0.push('"');
        line.text("target", meta.target());
        event.record(&mut line);
        line.text("node", &self.node);
        line.text("version", env!("CARGO_PKG_VERSION"));
        line.0.push_str("}\n");

        let urgent = level == Level::ERROR;
        self.combined.push(line.0.as_bytes(), urgent);
        if urgent {
            self.errors.push(line.0.as_bytes(), true);
        }
        if self.terminal {
            // A closed terminal is no reason to stop.
            let _ = std::io::stderr().write_all(line.0.as_bytes());
        }
    }
}

/// Writes fields as JSON members.
struct Line(String);

impl Line {
    fn key(&mut self, name: &str) {
        self.0.push_str(",\"");
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    fn text(&mut self, name: &str, value: &str) {
        self.key(name);
        self.0.push('"');
        let plain = |b: u8| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\';
        if value.bytes().all(plain) {
            self.0.push_str(value);
            self.0.push('"');
            return;
        }
        for c in value.chars() {
            match c {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                // Control characters, C1 and the bidirectional ones too: a log is read on terminals.
                c if c.is_control()
                    || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
                {
                    let _ = write!(self.0, "\\u{:04x}", u32::from(c));
                }
                c => self.0.push(c),
            }
        }
        self.0.push('"');
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), &format!("{value:?}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.key(field.name());
        let _ = write!(self.0, "{value}");
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.key(field.name());
        let _ = write!(self.0, "{value}");
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.key(field.name());
        let _ = write!(self.0, "{value}");
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.key(field.name());
        if value.is_finite() {
            let _ = write!(self.0, "{value}");
        } else {
            self.0.push_str("null");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Env, Settings};
    use tracing_subscriber::layer::SubscriberExt;

    fn logged(level: &str, write: impl FnOnce()) -> (Vec<serde_json::Value>, String) {
        let dir = std::env::temp_dir().join(format!("signalbox-logs-{:x}", rand::random::<u64>()));
        let env = Env::from_pairs([
            ("LOG_DIR", dir.to_str().unwrap()),
            ("LOG_LEVEL", level),
            ("LOG_CONSOLE", "off"),
            ("NODE_NAME", "n1"),
        ]);
        let settings = Settings::read(&env).unwrap().telemetry;
        let metrics = Metrics::new();
        let logs = Logs::open(&settings, &metrics).unwrap();
        let level = LogLevel::new(&settings.log_level, metrics.log_level_raised.clone());
        let subscriber = tracing_subscriber::registry().with(logs.layers(&settings, &level));
        tracing::subscriber::with_default(subscriber, write);
        logs.shutdown();
        let read = |prefix: &str| -> String {
            let files = std::fs::read_dir(&dir).unwrap().map(|f| f.unwrap().path());
            let mine =
                files.filter(|p| p.file_name().unwrap().to_str().unwrap().starts_with(prefix));
            mine.map(|p| std::fs::read_to_string(p).unwrap()).collect()
        };
        let combined = read("combined");
        let errors = read("error");
        std::fs::remove_dir_all(&dir).unwrap();
        let lines = combined.lines().map(|l| serde_json::from_str(l).unwrap());
        (lines.collect(), errors)
    }

    #[test]
    fn lines_are_json_and_errors_are_kept_apart_as_well() {
        let (lines, errors) = logged("info", || {
            tracing::info!(target: "signalbox", trace_id = "abc", seq = 7_u64, "It happened.");
            tracing::error!(target: "signalbox", error_id = "e1", "It failed.");
        });

        assert_eq!(lines[0]["message"], "It happened.");
        assert_eq!(lines[0]["trace_id"], "abc");
        assert_eq!(lines[0]["seq"], 7);
        assert_eq!(lines[0]["node"], "n1");
        assert_eq!(lines.len(), 2);
        assert_eq!(errors.lines().count(), 1);
        assert!(errors.contains("It failed."));
    }

    #[test]
    fn what_clients_write_cannot_forge_a_line_or_colour_a_terminal() {
        let evil = "x\"}\n{\"level\":\"ERROR\"}\u{1b}[31m\u{9b}\u{202e}\0";
        let (lines, _) = logged("info", || {
            tracing::info!(target: "signalbox", value = evil, "Line.");
        });

        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["value"], evil);
    }

    #[test]
    fn libraries_are_capped_at_warnings_whatever_the_level_says() {
        let (lines, _) = logged("trace,hyper=trace", || {
            tracing::trace!(target: "hyper::proto", "authorization: Bearer secret");
            tracing::debug!(target: "socketioxide", "packet");
            tracing::warn!(target: "hyper", "odd");
            tracing::trace!(target: "signalbox::x", "ours");
        });

        let messages: Vec<_> = lines.iter().map(|l| l["message"].clone()).collect();
        assert_eq!(messages, ["odd", "ours"]);
    }
}
