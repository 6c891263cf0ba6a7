//! Downloads from the stand-in over sockets: the queue, its controls, refusals, and what a killed process leaves.

mod adding;
mod content;
mod control;
#[path = "../../../../weights/tests/weights/corpus/mod.rs"]
#[expect(dead_code, reason = "the corpus of the scanner's own tests; not all of it is needed here")]
mod corpus;
mod happy;
#[path = "../../../../weights/tests/weights/pickles.rs"]
mod pickles;
mod refusals;
mod replay;
mod restart;
mod secrets;
pub(crate) mod support;
#[path = "../../../../weights/tests/weights/zips.rs"]
mod zips;
