//! The whole corpus: every file gets the verdict that it is built for.

use std::collections::HashSet;

use lorakeep_weights::{Verdict, admit};

use crate::corpus::{Case, Expected, all, wrappers};

/// What is wrong with the verdict of one file under one of its endings.
fn fault(case: &Case, ending: &str) -> Option<String> {
    let verdict = admit(&case.bytes[..], case.bytes.len() as u64, &format!("model.{ending}"));
    let is_right = match (case.expected, &verdict) {
        (Expected::Clean, Verdict::Clean) | (Expected::Malformed, Verdict::Malformed { .. }) => true,
        (Expected::Denied(None), Verdict::Denied { rule, .. }) => *rule != "scanner_panic",
        (Expected::Denied(Some(expected)), Verdict::Denied { rule, .. }) => expected == *rule,
        _ => false,
    };
    (!is_right).then(|| format!("{} as {ending} should be {:?} and is {verdict:?}", case.name, case.expected))
}

#[test]
fn every_file_gets_the_verdict_that_it_is_built_for() {
    let all = all();
    let under_each = |case: &Case| -> Vec<String> {
        case.endings.iter().filter_map(|ending| fault(case, ending)).collect()
    };
    let faults: Vec<String> = all.iter().flat_map(under_each).collect();
    assert!(faults.is_empty(), "{} of the corpus:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn wrappers_and_other_containers_are_never_clean() {
    // Two of them are right under another name than the one they are tried under.
    let is_right_elsewhere = |case: &Case| {
        ["safetensors as a torch file", "a clean torch file named safetensors"]
            .iter()
            .any(|what| case.name.ends_with(what))
    };
    // What holds no program may lie under a name that promises no model.
    let is_inert = |case: &Case| ["a message", "GGUF"].iter().any(|what| case.name.contains(what));
    for case in wrappers::all().into_iter().filter(|case| !is_right_elsewhere(case)) {
        let names = ["m.pt", "m.ckpt", "m.bin", "m.safetensors", "M.PT", "m.pt.safetensors", "m.onnx"];
        for name in names.into_iter().chain((!is_inert(&case)).then_some("m")) {
            let verdict = admit(&case.bytes[..], case.bytes.len() as u64, name);
            assert!(!verdict.is_clean(), "{} as {name}", case.name);
        }
    }
}

#[test]
fn the_corpus_is_wide_and_no_case_hides_another() {
    let all = all();
    let mut names = HashSet::new();
    for case in &all {
        assert!(names.insert(case.name.as_str()), "{} stands there twice", case.name);
    }
    let count =
        |is_wanted: fn(&Expected) -> bool| all.iter().filter(|case| is_wanted(&case.expected)).count();
    let denied = count(|expected| matches!(expected, Expected::Denied(_)));
    let malformed = count(|expected| *expected == Expected::Malformed);
    let clean = count(|expected| *expected == Expected::Clean);
    assert!(
        denied > 1000 && malformed > 90 && clean > 30,
        "{denied} denied, {malformed} malformed, {clean} clean"
    );
}
