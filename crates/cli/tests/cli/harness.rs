//! A folder of its own, a stand-in for the upstreams, and the built program run in a clean environment.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use lorakeep_standin::{FileSpec, HfRepo, LoraFamily, Options, Standin};
use serde_json::{Value, json};

/// The longest that anything here may take on a busy machine; nothing waits that long unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// The admin key of the servers here.
pub(crate) const KEY: &str = "al_test_0123456789abcdef";

/// A data folder and the upstreams that it downloads from.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
    pub(crate) standin: Standin,
    environment: Vec<(&'static str, String)>,
}

/// What a run of the program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    folder: String,
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    stderr: Option<std::thread::JoinHandle<String>>,
}

/// How a command finds its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// No server runs: the command opens the data folder itself.
    Local,
    /// A server runs on the data folder.
    Socket,
    /// The server is named, from a machine that knows no data folder.
    Network,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Local, Self::Socket, Self::Network];
}

/// A bench with a server where the way needs one.
pub(crate) struct Reached {
    pub(crate) bench: Bench,
    way: Way,
    server: Option<Server>,
}

impl Reached {
    pub(crate) fn by(way: Way) -> Self {
        let bench = Bench::new();
        let server = (way != Way::Local).then(|| bench.serve());
        Self { bench, way, server }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.bench.command();
        if let (Way::Network, Some(server)) = (self.way, &self.server) {
            command.env("LORAKEEP_DATA_DIR", self.bench.path("elsewhere"));
            command.args(["--server", &server.address, "--key", KEY]);
        }
        command.args(arguments);
        self.bench.finish(command)
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        let standin = Standin::blocking_start(Options::default()).expect("the stand-in starts");
        Self { folder: tempfile::tempdir().expect("a folder"), standin, environment: Vec::new() }
    }

    /// Sets a variable for every run from here on.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.environment.push((name, value.into()));
    }

    /// A path in the folder of this bench.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where a model file is, or would be.
    pub(crate) fn model(&self, path: &str) -> PathBuf {
        self.path("data/models").join(path)
    }

    /// The program with nothing of the outer environment but what every program needs.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lorakeep"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("LORAKEEP_DATA_DIR", self.path("data"))
            .env("LORAKEEP_LISTEN", "127.0.0.1:0")
            .env("API_KEY", KEY)
            .env("LORAKEEP_CIVITAI_URL", self.standin.civitai_url())
            .env("HF_ENDPOINT", self.standin.huggingface_url())
            .env("LORAKEEP_ALLOW_HOSTS", "localhost")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program on the data folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command();
        command.args(arguments);
        self.finish(command)
    }

    /// Runs a command to its end.
    pub(crate) fn finish(&self, mut command: Command) -> Ran {
        let output = command.output().expect("the program runs");
        self.ran(output)
    }

    /// Runs the program with that on its standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        child.stdin.take().expect("piped").write_all(input).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        self.ran(output)
    }

    /// What an ended run said.
    pub(crate) fn ran(&self, output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
            folder: self.folder.path().display().to_string(),
        }
    }

    /// Starts a server and waits until it listens.
    pub(crate) fn serve(&self) -> Server {
        let mut command = self.command();
        command.args(["serve", "--json"]);
        Server::start(command)
    }

    /// Serves a repository with these files and adds them to the catalog, in folder `checkpoints`.
    pub(crate) fn add_files(&self, repo: &str, files: &[FileSpec]) {
        self.serve_files(repo, files);
        let entry = |file: &FileSpec| {
            let name = file.name();
            json!({ "name": name, "file": name, "dest": "checkpoints", "hf_repo": repo, "hf_file": name })
        };
        let entries: Vec<Value> = files.iter().map(entry).collect();
        self.run_with_input(&["import", "-"], json!(entries).to_string().as_bytes()).expect_code(0);
    }

    /// Serves a repository with these files.
    pub(crate) fn serve_files(&self, repo: &str, files: &[FileSpec]) {
        let repo = files.iter().fold(HfRepo::new(repo), |repo, file| repo.file(file.clone()));
        self.standin.add_repo(repo);
    }

    /// Serves `standin/styles` with one small LoRA.
    pub(crate) fn serve_style(&self) -> FileSpec {
        let style = FileSpec::lora("watercolor.safetensors", LoraFamily::Sdxl, 8);
        self.serve_files("standin/styles", std::slice::from_ref(&style));
        style
    }
}

impl Server {
    /// The most memory that it ever had resident, KiB.
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Starts `lorakeep serve --json` and reads its address.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the server starts");
        let mut stderr = child.stderr.take().expect("piped");
        let stderr = std::thread::spawn(move || {
            let mut text = Vec::new();
            stderr.read_to_end(&mut text).expect("readable");
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
        let mut server = Self { child, address: String::new(), stderr: Some(stderr) };
        let Ok(said) = serde_json::from_str::<Value>(&line) else {
            panic!("the server did not say where it listens: {line:?}\n{}", server.end().1);
        };
        said["addresses"][0].as_str().expect("an address").clone_into(&mut server.address);
        server
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Sends SIGKILL and waits.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it ran");
        self.child.wait().expect("it ends");
    }

    /// Waits for its end: exit code and what it said.
    pub(crate) fn end(&mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("it ends");
        let stderr = self.stderr.take().expect("asked once").join().expect("readable");
        (status.code(), stderr)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a server that has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that a test has started.
pub(crate) fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &process.to_string()]).status().expect("kill runs");
    assert!(status.success(), "SIG{name} to {process}");
}

/// Polls until `done`; fails when it takes too long.
#[track_caller]
pub(crate) fn wait_until(what: &str, done: impl FnMut() -> bool) {
    assert!(eventually(done), "{what}: not within {PATIENCE:?}");
}

/// Polls until `done`; `false` when it takes too long.
pub(crate) fn eventually(mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Whether the file on disk has exactly the bytes that were served.
pub(crate) fn is_whole(path: &Path, file: &FileSpec) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes == file.bytes())
}

impl Ran {
    /// Fails with everything that was said when the exit code is another one.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl fmt::Display for Ran {
    /// All three, with the folder of the test taken out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or("killed".to_owned(), |code| code.to_string());
        let text = format!("exit code: {code}\n--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr);
        f.write_str(&text.replace(&self.folder, "[FOLDER]"))
    }
}

/// Compares what a run said with the stored snapshot; what differs between runs is filtered out.
macro_rules! assert_said {
    ($name:expr, $ran:expr) => {{
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.set_snapshot_path("snapshots");
        for (pattern, replacement) in crate::harness::FILTERS {
            settings.add_filter(pattern, *replacement);
        }
        settings.bind(|| insta::assert_snapshot!($name, $ran.to_string()));
    }};
}
pub(crate) use assert_said;

/// What differs between two runs that do the same.
pub(crate) const FILTERS: &[(&str, &str)] = &[
    (r"http://(127\.0\.0\.1|localhost):\d+", "http://[HOST]"),
    // How many steps of a download are seen is a matter of its speed.
    (r"(?m)^(queued|downloading|retrying|verifying) .*\n", ""),
    (r"\b[0-9a-f]{32}\b", "[ID]"),
    (r"(restore |\n)[0-9a-f]{8}\b", "$1[ID]"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "[ID]"),
    (r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?Z)?", "[TIME]"),
    (r"\d+(\.\d+)? [kMGT]?B/s", "[SPEED]"),
    (r"in \d+(\.\d)? s", "in [DURATION]"),
    (r"\(\d+ ms\)", "([DURATION])"),
    (r"\d+(\.\d+)? [kMGT]?B free", "[SIZE] free"),
    (r"lorakeep \d+\.\d+\.\d+", "lorakeep [VERSION]"),
    (r"by process \d+", "by process [ID]"),
];
