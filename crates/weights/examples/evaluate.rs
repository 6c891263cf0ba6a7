//! Evaluates one adapter and prints its report as JSON, and how long it took: `evaluate FILE`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example prints")]

use std::error::Error;
use std::fs::File;
use std::time::Instant;

use lorakeep_weights::evaluate::{Control, Detail, Options, evaluate};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("name a file: `evaluate FILE`")?;
    let file = File::open(path)?;
    let start = Instant::now();
    let options = Options { detail: Detail::Summary, ..Options::default() };
    let report = evaluate(&file, file.metadata()?.len(), &options, &Control::unwatched())?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    eprintln!("{} modules in {:.3} s", report.modules.len(), start.elapsed().as_secs_f64());
    Ok(())
}
