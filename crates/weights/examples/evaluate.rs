//! Measures one adapter and prints how long it took: `evaluate FILE`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::fs::File;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use lorakeep_weights::Header;
use lorakeep_weights::evaluate::measure;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("name a file: `evaluate FILE`")?;
    let file = File::open(path)?;
    let header = Header::read(&file, file.metadata()?.len())?;
    let start = Instant::now();
    let modules = measure(&header, &file, 2, &AtomicBool::new(false))?;
    let energy: f64 = modules.iter().filter_map(|module| module.frobenius).map(|norm| norm * norm).sum();
    let measured = modules.iter().filter(|module| module.frobenius.is_some()).count();
    println!("{measured} of {} modules measured in {:.3} s", modules.len(), start.elapsed().as_secs_f64());
    println!("frobenius norm of all: {:.6}", energy.sqrt());
    Ok(())
}
