//! Running a helper program with a bound in time: the only place that starts programs, and the only programs that are
//! started. Arguments are fixed by the caller; there is no shell.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often an ended program is looked for.
const GLANCE: Duration = Duration::from_millis(10);
/// The most of its output that is kept, bytes.
const MOST_OUTPUT: u64 = 16 << 20;
/// The most of its complaints that is kept, bytes.
const MOST_WORDS: u64 = 300;

/// Every program that is ever started, found on the `PATH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// Looks for updates of the configured repository.
    Git,
    /// Makes the thumbnail of a video.
    Ffmpeg,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::Ffmpeg => "ffmpeg",
        }
    }

    /// A call of it that reads nothing from us.
    pub(crate) fn call(self) -> Command {
        let mut command = Command::new(self.name());
        command.stdin(Stdio::null());
        command
    }
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) is_success: bool,
    pub(crate) stdout: Vec<u8>,
    /// On one line, cut.
    pub(crate) stderr: String,
}

/// Runs it to its end, or ends it when it takes longer (`TimedOut`). Blocks the thread.
pub(crate) fn run_bounded(mut command: Command, patience: Duration) -> io::Result<Ended> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // Both pipes are emptied while it runs, so that it never waits for us.
    let stdout = child.stdout.take().map(|pipe| std::thread::spawn(move || read_start(pipe, MOST_OUTPUT)));
    let stderr = child.stderr.take().map(|pipe| std::thread::spawn(move || read_start(pipe, MOST_WORDS)));
    let is_success = wait_bounded(&mut child, patience)?;
    let bytes = |reader: Option<std::thread::JoinHandle<Vec<u8>>>| {
        reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
    };
    let (stdout, words) = (bytes(stdout), bytes(stderr));
    let words = String::from_utf8_lossy(&words);
    let stderr = words.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Ok(Ended { is_success, stdout, stderr })
}

/// The first bytes of a pipe; the rest is read and dropped.
fn read_start(mut pipe: impl Read, most: u64) -> Vec<u8> {
    let mut start = Vec::new();
    let kept = pipe.by_ref().take(most).read_to_end(&mut start);
    if kept.is_ok() {
        // A pipe that breaks ends the output.
        drop(io::copy(&mut pipe, &mut io::sink()));
    }
    start
}

fn wait_bounded(child: &mut Child, patience: Duration) -> io::Result<bool> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if began.elapsed() > patience {
            child.kill()?;
            child.wait()?;
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(GLANCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, patience: Duration) -> io::Result<Ended> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run_bounded(command, patience)
    }

    #[test]
    fn output_and_complaints_are_kept_and_a_long_output_does_not_block() {
        let ended =
            shell("head -c 20000000 /dev/zero; echo no >&2; exit 3", Duration::from_secs(20)).unwrap();
        assert_eq!(
            (ended.is_success, ended.stdout.len() as u64, ended.stderr.as_str()),
            (false, MOST_OUTPUT, "no")
        );
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended() {
        let error = shell("exec sleep 60", Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
