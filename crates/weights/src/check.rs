//! The one decision before a file is published under a name that a loader may pick up.
//!
//! There is no "unknown" that behaves like clean: what is not understood, could not be read or took too
//! long is denied.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::denial::{Checked, Denial};
use crate::format::{Format, SNIFF_LENGTH, sniff};
use crate::inert::{self, Flaw};
use crate::limits::Limits;
use crate::pickle::NamedTensor;
use crate::read::ReadAt;
use crate::safetensors::{Dtype, Header, Malformed, Tensor};
use crate::torch;

/// What may be done with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is what its name says and loading it runs nothing: publish it.
    Clean,
    /// It may be a program, or nobody can tell: keep it in quarantine.
    Denied {
        /// The rule that it broke, one word with underscores, stable.
        rule: &'static str,
        /// The same for a person, with what to do about it.
        reason: String,
    },
    /// It is broken, or not a model at all: refuse it and keep nothing.
    Malformed {
        /// What it is instead, and what to do about it.
        reason: String,
    },
}

impl Verdict {
    /// Whether the file may be published.
    pub fn is_clean(&self) -> bool {
        *self == Self::Clean
    }

    /// `clean`, `denied` or `malformed`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Denied { .. } => "denied",
            Self::Malformed { .. } => "malformed",
        }
    }

    /// Why it is not clean.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Clean => None,
            Self::Denied { reason, .. } | Self::Malformed { reason } => Some(reason),
        }
    }

    fn denied(rule: &'static str, reason: impl Into<String>) -> Self {
        Self::Denied { rule, reason: reason.into() }
    }

    fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed { reason: reason.into() }
    }
}

/// What a name promises about the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Safetensors,
    Pickle,
    Gguf,
    Onnx,
    Json,
    Text,
    Other,
}

/// Endings and what they promise. A loader of studios opens the pickle ones with `torch.load`.
const CLAIMS: &[(&[&str], Claim)] = &[
    (&["safetensors", "sft"], Claim::Safetensors),
    (&["ckpt", "pt", "pt2", "pth", "bin", "pkl", "pickle", "th"], Claim::Pickle),
    (&["gguf"], Claim::Gguf),
    (&["onnx"], Claim::Onnx),
    (&["json"], Claim::Json),
    (&["txt", "md", "yaml", "yml"], Claim::Text),
];

impl Claim {
    /// Judges the last ending as a careless file system would: without case, trailing dots and spaces,
    /// or what follows a colon.
    fn of(file_name: &str) -> Self {
        let name = file_name.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
        let Some((_, ending)) = name.rsplit_once('.') else { return Self::Other };
        let ending = ending.to_ascii_lowercase();
        CLAIMS
            .iter()
            .find(|(endings, _)| endings.contains(&&*ending))
            .map_or(Self::Other, |(_, claim)| *claim)
    }

    fn text(self) -> &'static str {
        match self {
            Self::Safetensors => "a safetensors file",
            Self::Pickle => "a torch file",
            Self::Gguf => "a GGUF file",
            Self::Onnx => "an ONNX model",
            Self::Json => "a JSON file",
            Self::Text => "a text file",
            Self::Other => "a model file",
        }
    }
}

/// A verdict, and what was read on the way to it.
#[derive(Clone, Debug)]
pub struct Examination {
    /// What the file is by its content.
    pub format: Format,
    /// What may be done with it.
    pub verdict: Verdict,
    /// Names, types and shapes of its tensors, when the file was read as far as that. Those of a torch file
    /// have empty ranges.
    pub contents: Option<Header>,
}

/// Decides about a file of `size` bytes that is to be published as `file_name`.
///
/// Reads by position only, so that the very file that was judged can be published. Errors of reading
/// deny: nothing is known about such a file.
pub fn admit<F: ReadAt + ?Sized>(file: &F, size: u64, file_name: &str) -> Verdict {
    examine(file, size, file_name, Limits::default()).verdict
}

/// The same with other limits than the usual ones, and with what was found in the file.
///
/// A panic of a reader denies too: a file that finds a mistake of ours is not published for it.
pub fn examine<F: ReadAt + ?Sized>(file: &F, size: u64, file_name: &str, limits: Limits) -> Examination {
    let judged = catch_unwind(AssertUnwindSafe(|| judge(file, size, file_name, limits)));
    judged.unwrap_or_else(|_| {
        let verdict = Verdict::denied("scanner_panic", "the scan broke off, nothing is known about it");
        Examination { format: Format::Unknown, verdict, contents: None }
    })
}

fn judge<F: ReadAt + ?Sized>(file: &F, size: u64, file_name: &str, limits: Limits) -> Examination {
    let head = match file.head(SNIFF_LENGTH) {
        Ok(head) => head,
        Err(error) => {
            return Examination { format: Format::Unknown, verdict: unreadable(&error), contents: None };
        }
    };
    let claim = Claim::of(file_name);
    let format = sniff(&head, size);
    let (verdict, contents) = match refuse_non_models(format, claim) {
        Some(verdict) => (verdict, None),
        None => judge_model(file, size, format, claim, limits),
    };
    Examination { format, verdict, contents }
}

fn judge_model<F: ReadAt + ?Sized>(
    file: &F,
    size: u64,
    format: Format,
    claim: Claim,
    limits: Limits,
) -> (Verdict, Option<Header>) {
    let verdict = match claim {
        Claim::Safetensors => return admit_safetensors(file, size, format),
        Claim::Pickle => return admit_pickle(file, size, format, limits),
        Claim::Other if format == Format::Safetensors => return admit_safetensors(file, size, format),
        Claim::Gguf if format == Format::Gguf => inert(inert::check_gguf(file, size)),
        Claim::Onnx if !format.is_pickle() => inert(inert::check_onnx(file, size)),
        Claim::Json if !format.is_pickle() => inert(inert::check_json(file, size)),
        Claim::Text if !format.is_pickle() => inert(inert::check_text(file, size)),
        Claim::Gguf | Claim::Onnx | Claim::Json | Claim::Text => mismatch(format, claim),
        Claim::Other => admit_other(file, size, format),
    };
    (verdict, None)
}

/// What is no model whatever its name: pages, texts, archives, nothing.
fn refuse_non_models(format: Format, claim: Claim) -> Option<Verdict> {
    let expected = claim.text();
    let advice = match format {
        Format::Empty => "fetch it again".to_owned(),
        Format::Html => {
            "the address led to a page, perhaps a login; open it in a browser or set a key".to_owned()
        }
        Format::LfsPointer => "fetch the file that it points to, for example with `git lfs pull`".to_owned(),
        Format::Json if !matches!(claim, Claim::Json | Claim::Text | Claim::Other) => {
            "the server answered a message instead of the file; read it and fetch the file again".to_owned()
        }
        Format::Text if !matches!(claim, Claim::Json | Claim::Text | Claim::Other) => {
            "the server answered a message instead of the file; read it and fetch the file again".to_owned()
        }
        Format::Tar | Format::Zip if claim == Claim::Pickle => return None,
        _ if format.is_archive() => "unpack it and take the model file inside".to_owned(),
        _ => return None,
    };
    Some(Verdict::malformed(format!("it is {format} where {expected} should be: {advice}")))
}

fn admit_safetensors<F: ReadAt + ?Sized>(file: &F, size: u64, format: Format) -> (Verdict, Option<Header>) {
    if format.is_pickle() {
        let reason =
            format!("it is {format} under the name of a safetensors file: loading it could run a program");
        return (Verdict::denied("pickle_named_safetensors", reason), None);
    }
    if matches!(format, Format::Gguf) {
        return (Verdict::malformed("it is a GGUF file: rename to .gguf"), None);
    }
    match Header::read(file, size) {
        Ok(header) => (Verdict::Clean, Some(header)),
        Err(Malformed::Read(error)) => (unreadable(&error), None),
        Err(error) => (Verdict::malformed(format!("it is not a valid safetensors file: {error}")), None),
    }
}

fn admit_pickle<F: ReadAt + ?Sized>(
    file: &F,
    size: u64,
    format: Format,
    limits: Limits,
) -> (Verdict, Option<Header>) {
    let verdict = match format {
        Format::TorchZip | Format::Zip => return scanned(torch::scan_zip(file, size, limits)),
        Format::TorchLegacy => return scanned(torch::scan_legacy(file, size, limits)),
        Format::Safetensors => Verdict::denied(
            "safetensors_named_pickle",
            "it is a safetensors file under the name of a torch file: rename to .safetensors",
        ),
        Format::Gguf => Verdict::denied("gguf_named_pickle", "it is a GGUF file: rename to .gguf"),
        Format::BarePickle => Verdict::denied(
            "bare_pickle",
            "it is a bare pickle, which can run a program: save it again with torch.save or as safetensors",
        ),
        Format::Tar => Verdict::denied(
            "torch_tar",
            "it is a tar archive as torch before 0.1.10 wrote, which can run a program",
        ),
        Format::Npy => Verdict::denied("npy", "it is a NumPy array, which can hold a pickle"),
        _ => Verdict::denied("unrecognised", format!("it is {format}, not a torch file")),
    };
    (verdict, None)
}

fn scanned(result: Checked<Vec<NamedTensor>>) -> (Verdict, Option<Header>) {
    match result {
        Ok(tensors) => (Verdict::Clean, Some(contents(tensors))),
        Err(Denial { rule, reason }) => (Verdict::Denied { rule, reason }, None),
    }
}

/// The tensors of a torch file in the words of a safetensors header.
fn contents(tensors: Vec<NamedTensor>) -> Header {
    let tensor = |tensor: NamedTensor| Tensor {
        name: tensor.name.into(),
        dtype: Dtype::from_name(tensor.dtype).unwrap_or(Dtype::U8),
        shape: tensor.shape.into(),
        range: 0..0,
    };
    Header { tensors: tensors.into_iter().map(tensor).collect(), ..Header::default() }
}

/// A name that promises nothing: only content that is known to be inert passes.
fn admit_other<F: ReadAt + ?Sized>(file: &F, size: u64, format: Format) -> Verdict {
    match format {
        Format::Gguf => inert(inert::check_gguf(file, size)),
        Format::Onnx => inert(inert::check_onnx(file, size)),
        Format::Json => inert(inert::check_json(file, size)),
        Format::Text => inert(inert::check_text(file, size)),
        _ => Verdict::denied("unrecognised", format!("it is {format} under a name that no model has")),
    }
}

fn mismatch(format: Format, claim: Claim) -> Verdict {
    let reason = format!("it is {format} under the name of {}", claim.text());
    if format.is_pickle() {
        return Verdict::denied("pickle_misnamed", reason);
    }
    Verdict::malformed(reason)
}

fn inert(result: Result<(), Flaw>) -> Verdict {
    match result {
        Ok(()) => Verdict::Clean,
        Err(Flaw::Wrong(reason)) => Verdict::malformed(reason),
        Err(Flaw::Read(error)) => unreadable(&error),
    }
}

fn unreadable(error: &std::io::Error) -> Verdict {
    Verdict::denied("unreadable", format!("the file cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(bytes: &[u8], name: &str) -> Verdict {
        admit(bytes, bytes.len() as u64, name)
    }

    fn rule(verdict: &Verdict) -> &str {
        match verdict {
            Verdict::Denied { rule, .. } => rule,
            other => panic!("not denied: {other:?}"),
        }
    }

    fn safetensors() -> Vec<u8> {
        let header = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), b"x"].concat()
    }

    #[test]
    fn safetensors_is_clean_under_its_own_name_only() {
        assert_eq!(judge(&safetensors(), "a.safetensors"), Verdict::Clean);
        assert_eq!(judge(&safetensors(), "A.SFT"), Verdict::Clean);
        for name in ["a.ckpt", "a.PT", "a.pth", "a.bin", "a.safetensors.pt", "a.pt ", "a.pt.", "a.pt::$DATA"]
        {
            let verdict = judge(&safetensors(), name);
            assert_eq!(rule(&verdict), "safetensors_named_pickle", "{name}");
            assert!(verdict.reason().unwrap().contains("rename to .safetensors"));
        }
    }

    #[test]
    fn a_pickle_is_never_clean_under_another_name() {
        for name in ["a.safetensors", "a.pt.safetensors", "a.gguf", "a.onnx", "a.json", "a.txt", "a", "a.exe"]
        {
            for bytes in [&b"\x80\x02}q\0."[..], b"cos\nsystem\n(S'id'\ntR.", b"\x93NUMPY\x01\0"] {
                assert!(matches!(judge(bytes, name), Verdict::Denied { .. }), "{name}");
            }
        }
    }

    #[test]
    fn what_is_no_model_is_named_for_what_it_is() {
        let cases: [(&[u8], &str); 8] = [
            (b"<!doctype html><title>Sign in</title>", "an HTML page"),
            (b"{\"error\":\"Unauthorized\"}", "a JSON text"),
            (b"Entry not found", "a plain text"),
            (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
            (b"", "an empty file"),
            (b"7z\xbc\xaf\x27\x1crest", "a 7z archive"),
            (b"\x1f\x8b\x08rest", "a gzip archive"),
            (b"Rar!\x1a\x07\0rest", "a RAR archive"),
        ];
        for (bytes, what) in cases {
            for name in ["a.safetensors", "a.ckpt"] {
                let Verdict::Malformed { reason } = judge(bytes, name) else { panic!("{what} as {name}") };
                assert!(reason.contains(what) && reason.contains(": "), "{reason}");
            }
        }
    }

    #[test]
    fn inert_formats_are_clean_under_their_names() {
        let mut gguf = b"GGUF\x03\0\0\0".to_vec();
        gguf.resize(64, 0);
        assert_eq!(judge(&gguf, "a.gguf"), Verdict::Clean);
        assert_eq!(rule(&judge(&gguf, "a.bin")), "gguf_named_pickle");
        assert!(matches!(judge(&gguf, "a.safetensors"), Verdict::Malformed { .. }));
        assert_eq!(judge(b"\x08\x08\x12\x04test\x3a\x02\x0a\x00", "a.onnx"), Verdict::Clean);
        assert_eq!(judge(b"{\"model_type\": \"t5\"}", "config.json"), Verdict::Clean);
        assert_eq!(judge(b"a b\nc d\n", "merges.txt"), Verdict::Clean);
        assert_eq!(judge(b"model:\n  target: x\n", "v1-inference.yaml"), Verdict::Clean);
        assert!(matches!(judge(b"<html></html>", "config.json"), Verdict::Malformed { .. }));
        assert!(matches!(judge(b"not json", "config.json"), Verdict::Malformed { .. }));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_denied() {
        struct Broken;
        impl ReadAt for Broken {
            fn read_at(&self, _: &mut [u8], _: u64) -> std::io::Result<usize> {
                Err(std::io::Error::other("disk on fire"))
            }
        }
        assert_eq!(rule(&admit(&Broken, 10, "a.safetensors")), "unreadable");
    }

    #[test]
    fn a_reader_that_panics_denies() {
        struct Panics;
        impl ReadAt for Panics {
            fn read_at(&self, _: &mut [u8], _: u64) -> std::io::Result<usize> {
                panic!("on purpose")
            }
        }
        assert_eq!(rule(&admit(&Panics, 10, "a.pt")), "scanner_panic");
    }

    #[test]
    fn a_file_that_shrinks_while_it_is_read_is_denied() {
        let bytes = safetensors();
        let cut = &bytes[..20];
        assert_eq!(rule(&admit(cut, bytes.len() as u64, "a.safetensors")), "unreadable");
    }
}
