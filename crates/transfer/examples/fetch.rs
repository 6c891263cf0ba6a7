//! Fetches one file and prints what it cost: `fetch URL FILE [SHA256|- [CONNECTIONS [ENOUGH_MIB_PER_CONNECTION]]]`.
//!
//! Loopback and `localhost` are allowed, so that it can be measured against a local server.
#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use std::path::PathBuf;
use std::sync::Arc;

use lorakeep_transfer::{Engine, EngineOptions, Expected, HostPolicy, Open, Request, Silent};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: fetch URL FILE [SHA256|- [CONNECTIONS [ENOUGH_MIB_PER_CONNECTION]]]";
    let url = arguments.next().ok_or(usage)?.parse()?;
    let destination = PathBuf::from(arguments.next().ok_or(usage)?);
    let sha256 = arguments.next().filter(|text| text != "-").map(|text| text.parse()).transpose()?;
    let mut options = EngineOptions {
        hosts: HostPolicy::public_only().allow_host("localhost")?,
        ..EngineOptions::default()
    };
    if let Some(connections) = arguments.next() {
        options.connections_per_file = connections.parse()?;
    }
    if let Some(enough) = arguments.next() {
        options.enough_per_connection = enough.parse::<u64>()? << 20;
    }
    let request = Request {
        url,
        credential: None,
        part: destination.with_extension("part"),
        destination,
        expected: Expected { size: None, sha256 },
        replace: true,
        gate: Arc::new(Open),
    };
    let fetched = Engine::new(options)?.fetch(request, Arc::new(Silent), CancellationToken::new()).await?;
    let (user, system) = processor_seconds();
    let seconds = fetched.elapsed.as_secs_f64();
    println!(
        "{} bytes in {seconds:.3} s: {:.0} MB/s, user {user:.2} s, system {system:.2} s, sha-256 {} ({})",
        fetched.size,
        fetched.size as f64 / 1e6 / seconds,
        fetched.sha256,
        if fetched.verified { "verified" } else { "not verified" },
    );
    Ok(())
}

/// User and system time of this process so far, from `/proc/self/stat` in ticks of a hundredth.
fn processor_seconds() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = status.rsplit(')').next().unwrap_or_default();
    let ticks = |at| after_name.split_whitespace().nth(at).and_then(|field: &str| field.parse::<f64>().ok());
    (ticks(11).unwrap_or_default() / 100.0, ticks(12).unwrap_or_default() / 100.0)
}
