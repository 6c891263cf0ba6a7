//! What costs a careless reader its memory or an hour, sent to a server: it answers, and stays small.

#[path = "../../../weights/tests/weights/corpus/mod.rs"]
#[expect(dead_code, reason = "the corpus of the scanner's own tests; not all of it is needed here")]
mod corpus;
#[path = "../../../weights/tests/weights/pickles.rs"]
mod pickles;
#[path = "../../../weights/tests/weights/zips.rs"]
mod zips;

use crate::harness::Bench;
use corpus::{Case, archives, headers, values};

/// The most memory that judging one file may take, beyond what it took before, KiB.
const MOST: u64 = 512 << 10;

/// The costly pickles inside a torch file, crowds of members, and headers without end.
fn costly() -> Vec<Case> {
    let in_a_zip = |hostile: &corpus::Hostile| hostile.cases().into_iter().next().expect("three cases");
    let pickles = values::costly();
    let mut all: Vec<Case> = pickles.iter().map(in_a_zip).collect();
    all.extend(archives::crowds());
    all.extend(headers::all().into_iter().filter(|case| case.bytes.len() > 1 << 20));
    all
}

#[test]
fn what_costs_a_reader_most_is_answered_and_costs_the_server_little() {
    let bench = Bench::new();
    let server = bench.serve();
    let before = server.peak_memory_kib();
    std::fs::create_dir_all(bench.path("mine")).expect("made");
    for (number, case) in costly().into_iter().enumerate() {
        let path = bench.path(&format!("mine/{number}.{}", case.endings[0]));
        std::fs::write(&path, &case.bytes).expect("written");
        let ran = bench.run(&["upload", path.to_str().expect("text")]).expect_code(1);
        assert!(ran.stderr.contains("was not taken"), "{}: {ran}", case.name);
        let grown = server.peak_memory_kib() - before;
        assert!(grown < MOST, "{} took {grown} KiB", case.name);
    }
}
