//! The only place that prints. Standard output is data: tables, lines or JSON. Standard error is talk: what is being
//! done, warnings, errors. Whatever comes from catalogs and servers is made harmless for terminals first.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, presets,
};
use serde::Serialize;

use crate::args::GlobalArgs;
use crate::failure::{Failure, FailureKind, Result};

/// Cells up to this long do not wrap.
const MAX_WHOLE: usize = 16;

/// How this run prints.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    verbose: u8,
    stdout: Stream,
    stderr: Stream,
}

/// What one of the two streams can show.
#[derive(Debug, Clone, Copy)]
struct Stream {
    is_terminal: bool,
    has_colors: bool,
}

/// What a text means, shown by its colour on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Active,
    Warning,
    Bad,
    Faint,
}

/// One cell of a table.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    text: String,
    tone: Tone,
    is_number: bool,
}

impl Output {
    /// Looks at the flags, at what the streams are, and at `NO_COLOR`.
    pub(crate) fn new(global: &GlobalArgs) -> Self {
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            stdout: Stream::of(&std::io::stdout()),
            stderr: Stream::of(&std::io::stderr()),
        }
    }

    /// Whether data is wanted as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether the log of what runs in this process is wanted.
    pub(crate) fn wants_log(&self) -> bool {
        self.verbose > 1
    }

    /// Whether moving bars can be drawn for someone to see.
    pub(crate) fn has_bars(&self) -> bool {
        self.stderr.is_terminal && !self.quiet
    }

    /// Data as JSON: indented for a person, one line for a program.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<()> {
        let text = if self.stdout.is_terminal {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        let text = text.map_err(|error| Failure::new("cannot write JSON").caused_by(&error))?;
        write_out(&text)
    }

    /// One line of data.
    pub(crate) fn line(text: &str) -> Result<()> {
        write_out(&printable(text))
    }

    /// Bytes of data exactly as they are.
    pub(crate) fn raw(bytes: &[u8]) -> Result<()> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| Failure::from_write(&error))
    }

    /// Rows of data under their headers. Cells wrap on a terminal and stay on one line elsewhere.
    pub(crate) fn table(&self, headers: &[&str], rows: Vec<Vec<Field>>) -> Result<()> {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        if self.stdout.is_terminal {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        } else {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        if self.stdout.has_colors {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        let numbers: Vec<bool> =
            (0..headers.len()).map(|column| rows.iter().any(|row| row[column].is_number)).collect();
        // Where there is too little room, names and texts wrap; numbers, words and ids stay whole.
        let stay_whole: Vec<bool> = (0..headers.len())
            .map(|column| rows.iter().all(|row| row[column].is_number || row[column].text.len() <= MAX_WHOLE))
            .collect();
        table.set_header(headers.iter().zip(&numbers).map(|(header, &is_number)| {
            let cell = Cell::new(header).add_attribute(Attribute::Dim);
            if is_number { cell.set_alignment(CellAlignment::Right) } else { cell }
        }));
        table.add_rows(rows.into_iter().map(|row| row.into_iter().map(Field::cell).collect::<Vec<_>>()));
        for (column, &stays_whole) in table.column_iter_mut().zip(&stay_whole) {
            column.set_padding((0, 2));
            if stays_whole && self.stdout.is_terminal {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        let text: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        write_out(&text.join("\n"))
    }

    /// Talk: what is being done or was done. Silent with `--quiet`.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            write_err(&printable(text));
        }
    }

    /// Talk that only `-v` shows.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose > 0 {
            write_err(&self.toned(&printable(text), Tone::Faint));
        }
    }

    /// Something that the user should know although the command goes on.
    pub(crate) fn warn(&self, text: &str) {
        write_err(&format!("{} {}", self.toned("warning:", Tone::Warning), printable(text)));
    }

    /// Something that did not work although the command goes on.
    pub(crate) fn error(&self, text: &str) {
        write_err(&format!("{} {}", self.toned("error:", Tone::Bad), printable(text)));
    }

    /// What to do about it.
    pub(crate) fn hint(&self, text: &str) {
        write_err(&format!("{} {}", self.toned("hint:", Tone::Active), printable(text)));
    }

    /// Shows a failure and gives the exit code that belongs to it.
    pub(crate) fn report(&self, failure: &Failure) -> ExitCode {
        if failure.kind == FailureKind::OutputClosed {
            return ExitCode::SUCCESS;
        }
        self.error(&failure.message);
        if self.verbose > 0 {
            for cause in &failure.causes {
                write_err(&format!("  caused by: {}", printable(cause)));
            }
        }
        if let Some(hint) = &failure.hint {
            self.hint(hint);
        }
        ExitCode::from(if failure.kind == FailureKind::Usage { 2 } else { 1 })
    }

    /// The admin key that this start made. It is stored as a hash only, so it is shown whatever the flags say.
    pub(crate) fn first_start_key(&self, key: &str) {
        let key_line = self.toned(key, Tone::Good);
        write_err(&format!(
            "\n  This is the first start here. The admin key of this installation is\n\n      {key_line}\n\n  \
             Keep it: it is shown only now. Browsers, other machines and programs log in with it;\n  \
             the command line on this machine needs none. API_KEY sets one of your own.\n"
        ));
    }

    /// A text in the colour of its tone, for standard error.
    pub(crate) fn toned(&self, text: &str, tone: Tone) -> String {
        let code = match tone {
            _ if !self.stderr.has_colors => return text.to_owned(),
            Tone::Plain => return text.to_owned(),
            Tone::Good => "32",
            Tone::Active => "36",
            Tone::Warning => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Asks a yes-or-no question. Without a terminal nobody can answer: wrong usage.
    pub(crate) fn confirm(&self, question: &str) -> Result<bool> {
        if !std::io::stdin().is_terminal() || !self.stderr.is_terminal {
            return Err(Failure::usage(format!("{question} nobody is there to answer"))
                .hint("pass --yes when you are sure"));
        }
        let mut stderr = std::io::stderr().lock();
        write!(stderr, "{} [y/N] ", printable(question))
            .and_then(|()| stderr.flush())
            .map_err(|e| Failure::from_write(&e))?;
        let mut answer = String::new();
        std::io::stdin()
            .read_line(&mut answer)
            .map_err(|error| Failure::new("cannot read the answer").caused_by(&error))?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}

impl Stream {
    fn of(stream: &impl IsTerminal) -> Self {
        let is_terminal = stream.is_terminal();
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { is_terminal, has_colors: is_terminal && !is_set("NO_COLOR") && !is_dumb }
    }
}

impl Field {
    /// Plain text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Plain, is_number: false }
    }

    /// Text aligned to the right.
    pub(crate) fn number(text: impl Into<String>) -> Self {
        Self { is_number: true, ..Self::text(text) }
    }

    /// Text with a meaning.
    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { tone, ..Self::text(text) }
    }

    fn cell(self) -> Cell {
        let cell = Cell::new(printable(&self.text).replace('\n', " "));
        let cell = if self.is_number { cell.set_alignment(CellAlignment::Right) } else { cell };
        match self.tone {
            Tone::Plain => cell,
            Tone::Good => cell.fg(Color::DarkGreen),
            Tone::Active => cell.fg(Color::DarkCyan),
            Tone::Warning => cell.fg(Color::DarkYellow),
            Tone::Bad => cell.fg(Color::DarkRed),
            Tone::Faint => cell.add_attribute(Attribute::Dim),
        }
    }
}

fn write_out(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(|error| Failure::from_write(&error))
}

/// Part of a line of talk.
pub(crate) fn prompt(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Talk has nowhere else to go when standard error is closed, so a failed write is let go.
fn write_err(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// The text with everything escaped that could move the cursor, recolour the terminal or turn the reading direction.
pub(crate) fn printable(text: &str) -> String {
    let is_harmful = |character: char| {
        (character.is_control() && character != '\n')
            || matches!(character, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_harmful) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_harmful(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_is_escaped() {
        assert_eq!(printable("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(printable("x\u{202e}y\r"), "x\\u{202e}y\\r");
        assert_eq!(printable("two\nlines, モデル é"), "two\nlines, モデル é");
    }
}
