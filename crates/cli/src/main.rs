//! `lorakeep`: the binary. Reads the arguments, runs one command, turns what came of it into an exit code.

mod api;
mod args;
mod commands;
mod connection;
mod failure;
mod output;
mod progress;
mod signals;
mod units;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use args::Cli;
use failure::Failure;
use output::Output;

/// A server's memory has peaks (a start, a listing, an inspection); this allocator gives them back by a thread of its own.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long blocking work may go on after the command has ended.
const GRACE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(&cli.global);
    match run(cli, &output) {
        Ok(commands::Ended::Done) => ExitCode::SUCCESS,
        Ok(commands::Ended::Failed) => ExitCode::FAILURE,
        Err(failure) => output.report(&failure),
    }
}

fn run(cli: Cli, output: &Output) -> Result<commands::Ended, Failure> {
    // A second installation in the same process is the only way this fails, and then one is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("cannot start the asynchronous runtime").caused_by(&error))?;
    let ended = runtime.block_on(commands::run(cli, output));
    runtime.shutdown_timeout(GRACE);
    ended
}
