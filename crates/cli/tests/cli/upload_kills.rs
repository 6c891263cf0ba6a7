//! `kill -9` of the server again and again while files are uploaded, as forms and in pieces: after each, every file is
//! whole or absent; in the end every upload in pieces is here, and no part is left.
//!
//! `LORAKEEP_KILLS` says how often (20); `LORAKEEP_KILL_SEED` repeats a run.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lorakeep_standin::FileSpec;

use crate::harness::{Bench, PATIENCE, Server, is_whole, wait_until};

struct Kills {
    bench: Bench,
    random: fastrand::Rng,
    token: String,
    /// Files whose upload was asked for, with their folder below `loras/`.
    asked: Vec<(&'static str, FileSpec)>,
    /// Files whose upload was answered with 200.
    acknowledged: Vec<String>,
    /// The upload in pieces that goes on through the kills.
    pieces: Option<Child>,
    /// Kills that met an upload at work.
    at_work: u32,
}

#[test]
fn random_kills_during_uploads_leave_whole_files_and_no_part() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let kills = number("LORAKEEP_KILLS").unwrap_or(20) as u32;
    let seed = number("LORAKEEP_KILL_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("LORAKEEP_KILL_SEED={seed}");
    let mut bench = Bench::new();
    bench.set("LORAKEEP_JWT_SECRET", "a-secret-for-tests-only-0123456789");
    let token = bench.run(&["token", "create", "--role", "admin", "--ttl", "1d", "--quiet"]).expect_code(0);
    let mut run = Kills {
        token: token.stdout.trim().to_owned(),
        bench,
        random: fastrand::Rng::with_seed(seed),
        asked: Vec::new(),
        acknowledged: Vec::new(),
        pieces: None,
        at_work: 0,
    };
    for round in 0..kills {
        let server = run.bench.serve();
        run.keep_an_upload_in_pieces_going();
        run.upload_a_form_and_kill(server, round);
        run.expect_whole_or_absent(round);
    }
    run.finish();
    assert!(run.at_work > kills / 4, "only {} of {kills} kills met an upload at work", run.at_work);
}

impl Kills {
    /// A new file of that folder on this machine.
    fn file(&mut self, folder: &'static str) -> FileSpec {
        let name = format!("{folder}-{}.safetensors", self.asked.len());
        let file = FileSpec::new(name, self.random.u64(4_000_000..24_000_000));
        let path = self.local(&file);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("made");
        std::fs::write(path, file.bytes()).expect("written");
        self.asked.push((folder, file.clone()));
        file
    }

    /// The command goes on by itself whenever a server is back.
    fn keep_an_upload_in_pieces_going(&mut self) {
        if let Some(child) = &mut self.pieces
            && child.try_wait().expect("it can be asked").is_none()
        {
            return;
        }
        self.end_pieces();
        let file = self.file("styles");
        let mut command = self.bench.command();
        command.arg("upload").arg(self.local(&file)).args(["--entity-type", "styles"]);
        let said = std::fs::File::create(self.bench.path("pieces.log")).expect("made");
        command.stdout(Stdio::null()).stderr(said);
        let mut child = command.spawn().expect("it starts");
        // A command that never reached a server has nothing to go on with.
        wait_until("the upload begins", || {
            self.parts("resumable").count() > 0 || child.try_wait().expect("it can be asked").is_some()
        });
        self.pieces = Some(child);
    }

    fn end_pieces(&mut self) {
        if let Some(mut child) = self.pieces.take() {
            let status = child.wait().expect("it ends");
            let said = std::fs::read_to_string(self.bench.path("pieces.log")).expect("written");
            assert!(status.success(), "an upload in pieces was given up: {status}: {said}");
            let (folder, file) =
                self.asked.iter().rev().find(|(folder, _)| *folder == "styles").expect("asked");
            self.acknowledged.push(format!("{folder}/{}", file.name()));
        }
    }

    /// Kills after some bytes of the form have reached the disk, or while it is judged and placed.
    fn upload_a_form_and_kill(&mut self, server: Server, round: u32) {
        let file = self.file("product");
        let upload = self.send_form(&server.address, &file);
        let enough = self.random.u64(..file.size() * 5 / 4);
        let deadline = Instant::now() + PATIENCE;
        while !upload.is_finished() && self.part_bytes() < enough.min(file.size()) {
            assert!(Instant::now() < deadline, "round {round}: nothing moves");
            std::thread::sleep(Duration::from_micros(200));
        }
        if enough > file.size() {
            // The moment after the last byte is the random part of this test, not a time to wait for something.
            std::thread::sleep(Duration::from_micros(self.random.u64(..60_000)));
        }
        self.at_work += u32::from(!upload.is_finished());
        server.kill();
        if upload.join().expect("no panic") {
            self.acknowledged.push(format!("product/{}", file.name()));
        }
    }

    /// Sends a form; answers whether it was acknowledged.
    fn send_form(&self, address: &str, file: &FileSpec) -> JoinHandle<bool> {
        let head = format!(
            "--B\r\nContent-Disposition: form-data; name=\"entity_type\"\r\n\r\nproduct\r\n--B\r\n\
             Content-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\n\r\n",
            file.name()
        );
        let body = [head.as_bytes(), &file.bytes(), b"\r\n--B--\r\n"].concat();
        let host = address.trim_start_matches("http://").to_owned();
        let request = format!(
            "POST /api/v1/admin/lora/upload HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: multipart/form-data; boundary=B\r\nContent-Length: {}\r\n\r\n",
            self.token,
            body.len()
        );
        std::thread::spawn(move || {
            let send = || -> std::io::Result<bool> {
                let mut stream = TcpStream::connect(host)?;
                stream.write_all(request.as_bytes())?;
                stream.write_all(&body)?;
                let mut line = String::new();
                BufReader::new(stream).read_line(&mut line)?;
                Ok(line.starts_with("HTTP/1.1 200"))
            };
            send().unwrap_or(false)
        })
    }

    /// Bytes of forms that are on their way.
    fn part_bytes(&self) -> u64 {
        self.parts("upload").filter_map(|item| item.metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    /// Parts with that ending.
    fn parts(&self, ending: &'static str) -> impl Iterator<Item = std::fs::DirEntry> + use<> {
        let parts = std::fs::read_dir(self.bench.model(".lorakeep/parts")).into_iter().flatten().flatten();
        parts.filter(move |item| item.path().extension().is_some_and(|own| own == ending))
    }

    fn expect_whole_or_absent(&self, round: u32) {
        for (folder, file) in &self.asked {
            let path = self.bench.model("loras").join(folder).join(file.name());
            let is_acknowledged = self.acknowledged.contains(&format!("{folder}/{}", file.name()));
            let is_right = is_whole(&path, file) || (!path.exists() && !is_acknowledged);
            assert!(is_right, "after kill {round}, `{}` is neither whole nor absent", path.display());
        }
    }

    /// Lets the upload in pieces end; every file has its entry, and nothing else is left.
    fn finish(&mut self) {
        let mut server = self.bench.serve();
        self.end_pieces();
        self.expect_whole_or_absent(u32::MAX);
        let list = self.bench.run(&["list", "--catalog", "loras", "--json"]).expect_code(0).json();
        let mut listed: Vec<&str> = list["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|entry| entry["file"].as_str().expect("text"))
            .collect();
        let mut present: Vec<&str> = self
            .asked
            .iter()
            .filter(|(folder, file)| self.bench.model("loras").join(folder).join(file.name()).exists())
            .map(|(_, file)| file.name())
            .collect();
        listed.sort_unstable();
        present.sort_unstable();
        assert_eq!(listed, present);
        server.signal("TERM");
        assert_eq!(server.end().0, Some(0));
        assert_eq!(
            files_below(self.bench.model(".lorakeep")),
            Vec::<PathBuf>::new(),
            "no part is left behind"
        );
    }

    fn local(&self, file: &FileSpec) -> PathBuf {
        self.bench.path("mine").join(file.name())
    }
}

fn files_below(folder: PathBuf) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files_below(path) } else { vec![path] }).collect()
}
