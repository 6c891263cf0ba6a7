//! Files as torch writes them: all of them are clean.

use lorakeep_weights::{Limits, Verdict, admit, examine};

use crate::corpus::{Expected, TORCH, all, benign};

fn assert_clean(bytes: &[u8], endings: &[&str], what: &str) {
    for ending in endings {
        let verdict = admit(bytes, bytes.len() as u64, &format!("model.{ending}"));
        assert_eq!(verdict, Verdict::Clean, "{what} as {ending}");
    }
}

#[test]
fn every_benign_file_is_clean() {
    let benign: Vec<_> = all().into_iter().filter(|case| case.expected == Expected::Clean).collect();
    assert!(benign.len() > 30, "{}", benign.len());
    for case in &benign {
        assert_clean(&case.bytes, case.endings, &case.name);
    }
}

#[test]
fn every_layout_that_zip_writers_choose_is_clean() {
    for (what, bytes) in benign::layouts() {
        assert_clean(&bytes, TORCH, what);
    }
}

#[test]
fn files_from_before_torch_1_6_are_clean() {
    for (what, bytes) in benign::before_torch_1_6() {
        assert_clean(&bytes, TORCH, what);
    }
}

#[test]
fn large_archives_are_clean() {
    assert_clean(&benign::large(), &["pt"], "20,000 tensors");
}

#[test]
fn the_tensors_of_a_torch_file_are_known_by_name() {
    let bytes = benign::layouts().swap_remove(0).1;
    let found = examine(&bytes, bytes.len() as u64, "model.pt", Limits::default());
    let contents = found.contents.expect("a clean file was read");
    let names: Vec<&str> = contents.tensors.iter().map(|tensor| &*tensor.name).collect();
    assert_eq!(names, ["weight", "bias"]);
    assert_eq!((*contents.tensors[0].shape).to_vec(), [2, 3]);
    assert_eq!(contents.tensors[1].dtype.name(), "F16");
}
