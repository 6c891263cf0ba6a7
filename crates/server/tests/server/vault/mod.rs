//! The vault: whole bodies as its contract shows them, rights, hostile uploads, cut-off ones.

mod deletion;
mod evaluation;
mod files;
mod hostile;
mod listing;
#[path = "../../../../weights/tests/weights/pickles.rs"]
#[expect(dead_code, reason = "the builder of the scanner's own tests; not all of it is needed here")]
mod pickles;
mod quarantine;
mod resumable;
mod rights;
mod uploads;
#[path = "../../../../weights/tests/weights/zips.rs"]
#[expect(dead_code, reason = "the builder of the scanner's own tests; not all of it is needed here")]
mod zips;
