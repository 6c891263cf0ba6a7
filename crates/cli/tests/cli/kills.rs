//! `kill -9` again and again while several files are downloaded: after each, every file is whole or absent; in the end
//! all are here, and the queue has lost none.
//!
//! `LORAKEEP_KILLS` says how often (20); `LORAKEEP_KILL_SEED` repeats a run.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use lorakeep_standin::FileSpec;
use serde_json::Value;

use crate::harness::{Bench, Server, eventually, is_whole, wait_until};

const FILES_A_BATCH: usize = 5;
/// Slow enough that a kill meets downloads at work, fast enough for many kills a minute.
const BYTES_PER_SECOND_AND_CONNECTION: u64 = 3_000_000;

struct Kills {
    bench: Bench,
    random: fastrand::Rng,
    /// Every file so far.
    files: Vec<FileSpec>,
    /// Kills that met bytes in flight.
    in_flight: u32,
}

#[test]
fn random_kills_leave_whole_files_and_lose_nothing_from_the_queue() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let kills = number("LORAKEEP_KILLS").unwrap_or(20) as u32;
    let seed = number("LORAKEEP_KILL_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("LORAKEEP_KILL_SEED={seed}");
    let began = Instant::now();
    let mut run = Kills {
        bench: Bench::new(),
        random: fastrand::Rng::with_seed(seed),
        files: Vec::new(),
        in_flight: 0,
    };
    // Without a token, hundreds of restarts ask more often than Hugging Face allows, and wait as it says.
    run.bench.set("HF_TOKEN", lorakeep_standin::Options::default().huggingface_token);
    run.bench.standin.cap_per_connection(Some(BYTES_PER_SECOND_AND_CONNECTION));
    for round in 0..kills {
        run.keep_the_queue_filled();
        run.kill_once();
        run.expect_whole_or_absent(round);
    }
    run.finish();
    println!(
        "{kills} kills, {} of them with bytes in flight, {} files, {:?}",
        run.in_flight,
        run.files.len(),
        began.elapsed()
    );
    assert!(run.in_flight > kills / 4, "only {} of {kills} kills met a download at work", run.in_flight);
}

impl Kills {
    /// A new batch whenever the one before is here; asking is an acknowledged write, so it must survive what follows.
    fn keep_the_queue_filled(&mut self) {
        if self.files.iter().any(|file| !self.path(file).exists()) {
            return;
        }
        let batch = self.files.len() / FILES_A_BATCH;
        let files: Vec<FileSpec> = (0..FILES_A_BATCH)
            .map(|index| {
                let size = self.random.u64(2_000_000..12_000_000);
                FileSpec::new(format!("file-{batch}-{index}.safetensors"), size)
            })
            .collect();
        self.bench.add_files(&format!("standin/batch-{batch}"), &files);
        let names: Vec<&str> = files.iter().map(FileSpec::name).collect();
        let arguments = [&["download", "--no-wait"][..], &names].concat();
        self.bench.run(&arguments).expect_code(0);
        self.files.extend(files);
    }

    /// Starts a server and kills it: sometimes while it starts, mostly after some more bytes have left the upstream.
    fn kill_once(&mut self) {
        if self.random.u8(..5) == 0 {
            return self.kill_while_it_starts();
        }
        let before = self.served();
        let server = self.bench.serve();
        if self.random.bool() {
            self.expect_nothing_lost();
        }
        let more = self.random.u64(..12_000_000);
        let met = eventually(|| {
            self.served() >= before + more || self.files.iter().all(|file| self.path(file).exists())
        });
        if !met {
            self.give_up(server);
        }
        let moving = self.files.iter().any(|file| self.bench.standin.parallel_now(file.name()) > 0);
        self.in_flight += u32::from(moving);
        server.kill();
    }

    fn kill_while_it_starts(&mut self) {
        let mut command = self.bench.command();
        let mut child =
            command.arg("serve").stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        // The moment is the random part of this test, not a time to wait for something.
        std::thread::sleep(Duration::from_millis(self.random.u64(..120)));
        child.kill().expect("it ran");
        child.wait().expect("it ends");
    }

    /// Nothing moves: says what the queue and the server say.
    fn give_up(&self, mut server: Server) -> ! {
        let queue = self.bench.run(&["queue", "list", "--all", "--json"]);
        server.signal("TERM");
        let (_, log) = server.end();
        let requests = self.bench.standin.requests();
        let last: Vec<_> = requests
            .iter()
            .rev()
            .take(12)
            .map(|seen| (&seen.file, &seen.range, seen.status, seen.bytes_sent))
            .collect();
        panic!("no bytes flow any more\n{queue}\n{log}\nlast requests, newest first: {last:#?}");
    }

    fn expect_whole_or_absent(&self, round: u32) {
        for file in &self.files {
            let path = self.path(file);
            assert!(
                !path.exists() || is_whole(&path, file),
                "after kill {round}, `{}` is neither",
                path.display()
            );
        }
    }

    /// Every file ever asked for has a job, and none of them gave up.
    fn expect_nothing_lost(&self) {
        let queue = self.bench.run(&["queue", "list", "--all", "--json"]).expect_code(0).json();
        let jobs = queue["items"].as_array().expect("items");
        for file in &self.files {
            let job = jobs.iter().find(|job| job["file"] == file.name());
            let state = job.and_then(|job| job["state"].as_str());
            assert!(
                matches!(state, Some("queued" | "downloading" | "retrying" | "verifying" | "done")),
                "{}: {job:?}",
                file.name()
            );
        }
    }

    /// Lets it end in peace: all files are here, verified, and no part is left.
    fn finish(&mut self) {
        self.bench.standin.cap_per_connection(None);
        let mut server: Server = self.bench.serve();
        wait_until("every download ends", || {
            let open = self.bench.run(&["queue", "--json"]).expect_code(0).json();
            open["total"] == 0
        });
        self.expect_nothing_lost();
        let list: Value = self.bench.run(&["list", "--json"]).expect_code(0).json();
        for entry in list["items"].as_array().expect("items") {
            assert_eq!(
                (&entry["status"], &entry["verification"]),
                (&"present".into(), &"verified".into()),
                "{entry}"
            );
        }
        server.signal("TERM");
        assert_eq!(server.end().0, Some(0));
        // What a kill between publishing and tidying left behind goes at the next start.
        let mut server = self.bench.serve();
        server.signal("TERM");
        assert_eq!(server.end().0, Some(0));
        for file in &self.files {
            assert!(is_whole(&self.path(file), file), "{}", file.name());
        }
        assert_eq!(
            files_below(self.bench.model(".lorakeep")),
            Vec::<PathBuf>::new(),
            "no part is left behind"
        );
    }

    fn served(&self) -> u64 {
        self.files.iter().map(|file| self.bench.standin.bytes_served(file.name())).sum()
    }

    fn path(&self, file: &FileSpec) -> PathBuf {
        self.bench.model("checkpoints").join(file.name())
    }
}

fn files_below(folder: PathBuf) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files_below(path) } else { vec![path] }).collect()
}
