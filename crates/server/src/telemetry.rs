//! Logs of the process: text on a terminal, JSON otherwise, always one line a record.
//!
//! `LORAKEEP_LOG_FORMAT` (`text`, `json`) chooses the form, `LORAKEEP_LOG` (else `RUST_LOG`) the filter.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Ours from `info`, everybody else's from `warn`.
const DEFAULT_FILTER: &str = "warn,lorakeep=info,lorakeep_registry=info,lorakeep_server=info,lorakeep_transfer=info,lorakeep_weights=info";

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

impl LogFormat {
    /// What `LORAKEEP_LOG_FORMAT` says, else text on a terminal and JSON otherwise.
    pub fn from_environment() -> Self {
        match std::env::var("LORAKEEP_LOG_FORMAT").as_deref() {
            Ok("text") => Self::Text,
            Ok("json") => Self::Json,
            _ if io::stderr().is_terminal() => Self::Text,
            _ => Self::Json,
        }
    }
}

/// Sends log records to stderr from now on, panics included.
pub fn init(format: LogFormat) {
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter()).with_writer(OneLine(io::stderr)).with_ansi(false);
    // An error says that a subscriber is in place already: a test's, or an embedding program's.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
        }
    };
    log_panics();
}

/// A panic is a record like any other; the default would print lines of its own.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("no text");
        let location = panic.location().map(ToString::to_string);
        tracing::error!(panic = text, location, "a task panicked");
    }));
}

fn filter() -> EnvFilter {
    let wanted = ["LORAKEEP_LOG", "RUST_LOG"].into_iter().find_map(|name| std::env::var(name).ok());
    EnvFilter::new(wanted.as_deref().filter(|text| !text.trim().is_empty()).unwrap_or(DEFAULT_FILTER))
}

/// A writer in which a record stays one line whatever its texts hold.
#[derive(Debug, Clone, Copy)]
struct OneLine<M>(M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for OneLine<M> {
    type Writer = OneLineWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLineWriter(self.0.make_writer())
    }
}

struct OneLineWriter<W>(W);

impl<W: Write> Write for OneLineWriter<W> {
    /// The formatter hands over one whole record at a time.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.0.write_all(&escaped(record))?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The record with every control character (and every other character that ends or turns a line) spelled out.
fn escaped(record: &[u8]) -> Cow<'_, [u8]> {
    let (line, end) = record.strip_suffix(b"\n").map_or((record, ""), |line| (line, "\n"));
    // Nearly every record is plain, and goes out as it is.
    if line.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(record);
    }
    let text = String::from_utf8_lossy(line);
    let mut spelled = String::with_capacity(text.len() + end.len());
    for character in text.chars() {
        if is_unprintable(character) {
            // Writing to a string does not fail.
            let _ = write!(spelled, "{}", character.escape_default());
        } else {
            spelled.push(character);
        }
    }
    Cow::Owned((spelled + end).into_bytes())
}

fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines_of(format: LogFormat) -> String {
        let memory = Memory::default();
        let sink = memory.clone();
        let builder = tracing_subscriber::fmt().with_ansi(false).with_writer(OneLine(move || sink.clone()));
        let hostile = "a\r\nINFO forged\u{1b}[2J\u{85}\u{2028}\u{202e}z";
        let log = || tracing::info!(name = hostile, "hello {hostile}");
        match format {
            LogFormat::Text => tracing::subscriber::with_default(builder.finish(), log),
            LogFormat::Json => tracing::subscriber::with_default(builder.json().finish(), log),
        }
        let bytes = memory.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_record_is_one_line_whatever_it_holds() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = lines_of(format);
            let line = text.strip_suffix('\n').expect("it ends");
            assert!(!line.chars().any(is_unprintable), "{line:?}");
            assert!(line.contains("forged"));
        }
    }
}
