//! The vault: whole bodies as its contract shows them, rights, hostile uploads, cut-off ones.

#[path = "../../../../weights/tests/weights/corpus/mod.rs"]
#[expect(dead_code, reason = "the corpus of the scanner's own tests; not all of it is needed here")]
mod corpus;
mod deletion;
mod evaluation;
mod files;
mod hostile;
mod listing;
#[path = "../../../../weights/tests/weights/pickles.rs"]
mod pickles;
mod quarantine;
mod replay;
mod resumable;
mod rights;
mod uploads;
#[path = "../../../../weights/tests/weights/zips.rs"]
mod zips;
