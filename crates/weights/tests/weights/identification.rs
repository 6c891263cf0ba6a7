//! The labelled headers: what each file is, said by the tables alone.
//!
//! `data/labelled_headers.txt` holds one file after another: a line `==path kind base variant trainer
//! algorithm rank`, lines `@key value` of its metadata, and lines `name type shape numbers`, in which each
//! `#` of the name stands for the numbers of one axis. Most are built from the trainers' naming rules, so
//! passing them shows consistency with those rules and not accuracy in the field.

#![expect(clippy::unwrap_used, reason = "the data is ours, and a broken line of it should end the test")]

use std::io;

use lorakeep_weights::identify::{Identity, identify_header};
use lorakeep_weights::safetensors::{Dtype, Tensor};
use lorakeep_weights::{Header, ReadAt};
use proptest::prelude::*;

const HEADERS: &str = include_str!("data/labelled_headers.txt");

/// A file of which only the header is there; the rest reads as zeros.
struct Hollow {
    head: Vec<u8>,
    size: u64,
}

impl ReadAt for Hollow {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.size.saturating_sub(offset).min(buffer.len() as u64) as usize;
        buffer[..left].fill(0);
        self.head.read_at(&mut buffer[..left], offset)?;
        Ok(left)
    }
}

struct Labelled {
    path: &'static str,
    kind: &'static str,
    base: &'static str,
    variant: &'static str,
    algorithm: &'static str,
    rank: &'static str,
    header: Header,
}

fn numbers(axis: &str) -> Vec<u64> {
    let part = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        first.parse::<u64>().unwrap()..=last.parse().unwrap()
    };
    axis.split(',').flat_map(part).collect()
}

/// All names of one line: every combination of the axes' numbers.
fn names(template: &str, axes: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut axes = axes.split(' ');
    for piece in template.split_inclusive('#') {
        let Some(text) = piece.strip_suffix('#') else {
            for name in &mut names {
                name.push_str(piece);
            }
            continue;
        };
        let choices = numbers(axes.next().unwrap());
        names =
            names.iter().flat_map(|name| choices.iter().map(move |n| format!("{name}{text}{n}"))).collect();
    }
    names
}

fn width(dtype: &str) -> u64 {
    Dtype::from_name(dtype).unwrap().bits() / 8
}

fn header(lines: &[&str]) -> Header {
    let mut entries = serde_json::Map::new();
    let mut metadata = serde_json::Map::new();
    let mut end = 0;
    for line in lines {
        if let Some((key, value)) = line.strip_prefix('@').and_then(|line| line.split_once('\t')) {
            metadata.insert(key.to_owned(), serde_json::from_str(value).unwrap());
            continue;
        }
        let fields: Vec<&str> = line.split('\t').collect();
        let shape: Vec<u64> =
            fields[2].split(',').filter(|side| !side.is_empty()).map(|side| side.parse().unwrap()).collect();
        let length = shape.iter().product::<u64>() * width(fields[1]);
        for name in names(fields[0], fields.get(3).unwrap_or(&"")) {
            let entry =
                serde_json::json!({"dtype": fields[1], "shape": shape, "data_offsets": [end, end + length]});
            entries.insert(name, entry);
            end += length;
        }
    }
    if !metadata.is_empty() {
        entries.insert("__metadata__".to_owned(), metadata.into());
    }
    let text = serde_json::to_vec(&entries).unwrap();
    let head = [&(text.len() as u64).to_le_bytes()[..], &text].concat();
    let size = head.len() as u64 + end;
    Header::read(&Hollow { head, size }, size).unwrap()
}

fn labelled() -> Vec<Labelled> {
    let files = HEADERS.split("==").skip(1);
    files
        .map(|file| {
            let mut lines = file.lines();
            let label: Vec<&str> = lines.next().unwrap().split('\t').collect();
            let [path, kind, base, variant, _, algorithm, rank] = label[..] else { panic!("{label:?}") };
            Labelled {
                path,
                kind,
                base,
                variant,
                algorithm,
                rank,
                header: header(&lines.collect::<Vec<_>>()),
            }
        })
        .collect()
}

/// The family of a label; SD 3.5 is written in two ways there, and text encoders explain themselves.
fn expected_base(file: &Labelled) -> String {
    let base = file.base.split(" (").next().unwrap();
    if base == "sd3" && file.variant.starts_with("3.5") { "sd3.5".to_owned() } else { base.to_owned() }
}

fn candidates_have(identity: &Identity, base: &str) -> bool {
    identity.candidates.iter().any(|candidate| candidate.split(' ').next() == Some(base))
}

fn base_is_right(file: &Labelled, identity: &Identity) -> bool {
    let expected = expected_base(file);
    let one = |base: &str| identity.base_model == Some(base) || candidates_have(identity, base);
    if let Some(set) = expected.strip_prefix("ambiguous: ") {
        return identity.base_model.is_none()
            && set
                .split(" or ")
                .all(|base| identity.candidates.iter().any(|candidate| candidate.replace(' ', "-") == base));
    }
    if expected == "sd-1/2/xl" {
        return identity.base_model.is_none() && candidates_have(identity, "sdxl");
    }
    one(&expected) || (expected == "wan" && one("wan2.1") && one("wan2.2"))
}

fn is_right(file: &Labelled, identity: &Identity) -> bool {
    let algorithm = identity.algorithm.unwrap_or("");
    let algorithm_right = file.algorithm.is_empty() || file.algorithm.starts_with(algorithm);
    identity.kind == file.kind && algorithm_right && base_is_right(file, identity)
}

fn file_name(path: &str) -> String {
    // One file tells its expert by its name alone.
    let stem = path.rsplit('/').next().unwrap_or(path);
    if stem.contains("high_noise") { format!("{stem}.safetensors") } else { "model.safetensors".to_owned() }
}

#[test]
fn the_labelled_headers_are_right_and_none_is_wrong_with_confidence() {
    let files = labelled();
    let mut wrong = Vec::new();
    for file in &files {
        let identity = identify_header(&file.header, &file_name(file.path));
        if !is_right(file, &identity) {
            let surely = identity.confidence >= 0.8 && identity.candidates.len() <= 1;
            let said = (identity.kind, identity.algorithm, identity.base_model, identity.variant);
            wrong.push((
                surely,
                format!("{}: {said:?} {:?} {}", file.path, identity.candidates, identity.confidence),
            ));
        }
    }
    let listed: Vec<&str> = wrong.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(files.len(), 243);
    assert!(wrong.iter().all(|(surely, _)| !surely), "wrong with confidence:\n{}", listed.join("\n"));
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), listed.join("\n"));
}

#[test]
fn ranks_are_those_of_the_labels() {
    // The diffs of lightx2v have no rank, and full Kronecker factors have none either.
    let told = |file: &&Labelled| {
        !file.rank.is_empty() && matches!(file.algorithm, "lora" | "loha" | "oft" | "boft")
    };
    let files = labelled();
    for file in files.iter().filter(told) {
        let identity = identify_header(&file.header, "model.safetensors");
        assert_eq!(identity.rank.unwrap().median.to_string(), file.rank, "{}", file.path);
    }
}

#[test]
fn metadata_that_contradicts_the_keys_is_a_warning_and_the_keys_win() {
    let files = labelled();
    let file = files.iter().find(|file| file.path.ends_with("sd15_lying_metadata_sdxl")).unwrap();
    let identity = identify_header(&file.header, "model.safetensors");
    assert_eq!(identity.base_model, Some("sd-1"));
    assert!(identity.warnings[0].contains("sdxl"), "{:?}", identity.warnings);
    let honest = files.iter().find(|file| file.path.ends_with("sdxl_pony_kohya_meta")).unwrap();
    let identity = identify_header(&honest.header, "model.safetensors");
    assert_eq!((identity.variant, identity.warnings.len()), (Some("pony"), 0));
}

fn identify_lines(lines: &[&str]) -> Identity {
    identify_header(&header(lines), "model.safetensors")
}

#[test]
fn adapters_of_every_algorithm_are_named() {
    let cases: [(&[&str], &str); 14] = [
        (
            &[
                "base_model.model.to_q.lora_A.weight\tF32\t4,24",
                "base_model.model.to_q.lora_B.weight\tF32\t32,4",
            ],
            "lora",
        ),
        (&["a.to_q.lora_A.default.weight\tF32\t4,24", "a.to_q.lora_B.default.weight\tF32\t32,4"], "lora"),
        (
            &["a.lora_A.weight\tF32\t4,24", "a.lora_B.weight\tF32\t32,4", "a.lora_magnitude_vector\tF32\t32"],
            "dora",
        ),
        (&["a.lora_down.weight\tF32\t4,8,3,3", "a.lora_up.weight\tF32\t8,4,1,1"], "locon"),
        (
            &[
                "a.hada_w1_a\tF32\t32,4",
                "a.hada_w1_b\tF32\t4,24",
                "a.hada_w2_a\tF32\t32,4",
                "a.hada_w2_b\tF32\t4,24",
            ],
            "loha",
        ),
        (&["a.lokr_w1\tF32\t4,4", "a.lokr_w2\tF32\t8,6", "a.alpha\tF32\t"], "lokr"),
        (&["a.oft_R.weight\tF32\t6,6"], "oft"),
        (&["a.boft_R\tF32\t1,6,4,4", "a.boft_s\tF32\t32,1"], "boft"),
        (&["a.ia3_l\tF32\t32,1"], "ia3"),
        (&["a.vera_lambda_b\tF32\t32", "a.vera_lambda_d\tF32\t4", "base_model.vera_A\tF32\t4,24"], "vera"),
        (&["a.lora_A\tF32\t12,24", "a.lora_B\tF32\t32,12", "a.lora_E\tF32\t12,1"], "adalora"),
        (&["a.fourierft_spectrum\tF32\t20"], "fourierft"),
        (&["a.hra_u\tF32\t24,4"], "hra"),
        (&["a.diff\tF32\t4,4", "a.diff_b\tF32\t4"], "full"),
    ];
    for (lines, algorithm) in cases {
        let identity = identify_lines(lines);
        assert_eq!((identity.kind, identity.algorithm), ("lora", Some(algorithm)), "{lines:?}");
    }
}

#[test]
fn traps_of_real_files_are_not_taken_for_something_else() {
    let empty = identify_lines(&[]);
    assert_eq!((empty.kind, empty.base_model), ("unknown", None));
    let statistics = identify_lines(&["lora_unet_down_blocks_#_mean\tF32\t320\t0-3"]);
    assert_eq!((statistics.kind, statistics.warnings.len()), ("unknown", 1));
    let language = identify_lines(&[
        "base_model.model.model.layers.#.self_attn.q_proj.lora_A.weight\tF32\t8,4096\t0-31",
        "base_model.model.model.layers.#.self_attn.q_proj.lora_B.weight\tF32\t4096,8\t0-31",
    ]);
    assert_eq!((language.kind, language.base_model), ("lora", Some("language-model")));
    let first =
        identify_lines(&["unet:#:up\tF32\t320,4\t0-15", "unet:#:down\tF32\t4,768\t0-15", "<s1>\tF32\t768"]);
    assert_eq!((first.kind, first.base_model, first.naming), ("lora", Some("sd-1"), Some("cloneofsimo")));
    let merged = identify_lines(&[
        "model.diffusion_model.input_blocks.#.1.transformer_blocks.0.attn2.to_k.weight\tF16\t320,768\t1-2",
        "first_stage_model.decoder.conv_in.weight\tF16\t512,4,3,3",
        "lora_te_left.lora_down.weight\tF16\t4,768",
    ]);
    assert_eq!((merged.kind, merged.base_model), ("checkpoint", Some("sd-1")));
}

#[test]
fn small_files_are_known_by_their_names() {
    let cases: [(&[&str], &str, Option<&str>); 7] = [
        (&["emb_params\tF32\t4,768"], "embedding", Some("sd-1")),
        (&["*\tF32\t3,768"], "embedding", Some("sd-1")),
        (&["clip_l\tF32\t4,768", "clip_g\tF32\t4,1280"], "embedding", Some("sdxl")),
        (&["decoder.conv_in.weight\tF32\t512,4,3,3", "decoder.conv_out.weight\tF32\t3,128,3,3"], "vae", None),
        (&["ip_adapter.1.to_k_ip.weight\tF32\t320,768"], "ip_adapter", Some("sd-1")),
        (&["params_ema.body.0.rdb1.conv1.weight\tF32\t32,64,3,3"], "upscaler", None),
        (&["redux_down.weight\tF32\t12288,1152"], "flux_redux", Some("flux1")),
    ];
    for (lines, kind, base) in cases {
        let identity = identify_lines(lines);
        assert_eq!((identity.kind, identity.base_model), (kind, base), "{lines:?}");
    }
}

#[test]
fn alphas_are_read_from_the_file() {
    let lines = ["a.lora_down.weight\tF32\t2,2", "a.lora_up.weight\tF32\t2,2", "a.alpha\tBF16\t"];
    let header = header(&lines);
    let mut bytes = vec![0; header.data_start() as usize + 34];
    let at = bytes.len() - 2;
    bytes[at..].copy_from_slice(&0x4080_u16.to_le_bytes());
    let identity = lorakeep_weights::identify(&header, &bytes, "a.safetensors").unwrap();
    assert_eq!(identity.alpha, Some(4.0));
}

fn assert_sound(identity: &Identity) {
    assert!((0.0..=1.0).contains(&identity.confidence));
    assert!(identity.base_model.is_none() || !identity.candidates.is_empty(), "{identity:?}");
    assert!(!identity.kind.is_empty());
}

#[test]
fn half_an_adapter_is_never_told_wrongly_with_confidence() {
    // Trainers that skip layers, and shards: every other tensor of the labelled adapters.
    let mut wrong = Vec::new();
    for file in labelled().iter_mut().filter(|file| file.kind == "lora") {
        for keep in 0..2 {
            let mut half = file.header.clone();
            let mut number = 0;
            half.tensors.retain(|_| {
                number += 1;
                number % 2 == keep
            });
            let identity = identify_header(&half, &file_name(file.path));
            assert_sound(&identity);
            let sure = identity.confidence >= 0.8 && identity.candidates.len() <= 1;
            if sure && !base_is_right(file, &identity) {
                wrong.push(format!("{}: {:?} {:?}", file.path, identity.base_model, identity.candidates));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

proptest! {
    #[test]
    fn any_names_and_shapes_get_a_sound_answer(
        tensors in prop::collection::vec(("[a-z#_.0-9:]{0,40}(.lora_down.weight|.oft_blocks|.lokr_w1|.alpha|.weight|)", prop::collection::vec(0_u64..5000, 0..5)), 0..12)
    ) {
        let tensor = |(name, shape): (String, Vec<u64>)| Tensor {
            name: name.into(), dtype: Dtype::F16, shape: shape.into(), range: 0..0,
        };
        let header = Header { tensors: tensors.into_iter().map(tensor).collect(), ..Header::default() };
        assert_sound(&identify_header(&header, "a.safetensors"));
    }
}
