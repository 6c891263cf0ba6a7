//! Asks one address so many times a second over kept connections, whatever the answers take, and prints how long they took.
//!
//! A request's time counts from the moment at which it was due, so that a server that falls behind cannot hide it. For
//! `scripts/bench`: `paced URL REQUESTS_A_SECOND SECONDS CONNECTIONS [HEADER: VALUE…]` prints one JSON object.

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::io::{BufRead, BufReader, Error, Result, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What is asked, and how often.
struct Plan {
    authority: String,
    request: Vec<u8>,
    rate: u32,
    seconds: u32,
    connections: u32,
}

fn main() -> Result<()> {
    let plan = Plan::read(&std::env::args().skip(1).collect::<Vec<_>>())?;
    // A moment for every connection to stand.
    let start = Instant::now() + Duration::from_millis(200);
    let mut times = std::thread::scope(|scope| {
        let plan = &plan;
        let lanes: Vec<_> =
            (0..plan.connections).map(|lane| scope.spawn(move || plan.run(lane, start))).collect();
        let outcomes =
            lanes.into_iter().map(|lane| lane.join().unwrap_or_else(|_| Err(wrong("a lane panicked"))));
        outcomes.collect::<Result<Vec<_>>>()
    })?
    .concat();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        r#"{{"requests":{},"p50_ms":{:.3},"p99_ms":{:.3},"p999_ms":{:.3},"most_ms":{:.3}}}"#,
        times.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    Ok(())
}

fn wrong(text: &str) -> Error {
    Error::other(text.to_owned())
}

impl Plan {
    fn read(arguments: &[String]) -> Result<Self> {
        let [url, rate, seconds, connections, headers @ ..] = arguments else {
            return Err(wrong("paced URL REQUESTS_A_SECOND SECONDS CONNECTIONS [HEADER: VALUE…]"));
        };
        let rest = url.strip_prefix("http://").ok_or_else(|| wrong("the address must begin with http://"))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let number = |text: &String| text.parse().map_err(|_| wrong("a number is expected"));
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        Ok(Self {
            authority: authority.to_owned(),
            request: request.into_bytes(),
            rate: number(rate)?,
            seconds: number(seconds)?,
            connections: number(connections)?,
        })
    }

    /// The requests of one connection, one after the other, each when it is due.
    fn run(&self, lane: u32, start: Instant) -> Result<Vec<Duration>> {
        let stream = TcpStream::connect(&self.authority)?;
        stream.set_nodelay(true)?;
        let mut reader = BufReader::with_capacity(64 << 10, stream.try_clone()?);
        let (mut writer, mut times, mut body) = (stream, Vec::new(), Vec::new());
        for number in (lane..self.rate * self.seconds).step_by(self.connections as usize) {
            let due = start + Duration::from_secs(1) * number / self.rate;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            writer.write_all(&self.request)?;
            read_answer(&mut reader, &mut body)?;
            times.push(due.elapsed());
        }
        Ok(times)
    }
}

/// Reads one whole answer; anything but 200 is an error.
fn read_answer(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Result<()> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200") {
        return Err(wrong(&format!("the server answered {line}")));
    }
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().map_err(|_| wrong("a length is expected"))?;
            }
            Some(_) => {}
            None => break,
        }
    }
    body.resize(length, 0);
    reader.read_exact(body)
}
