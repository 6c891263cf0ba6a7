//! Every form of reference that people paste, and what is refused.

use super::*;

fn endpoints() -> Endpoints {
    Endpoints {
        civitai: Url::parse("http://127.0.0.1:4100").unwrap(),
        huggingface: Url::parse("http://127.0.0.1:4200/hf").unwrap(),
    }
}

fn parse(text: &str) -> Result<Reference, Invalid> {
    Reference::parse(text, &endpoints())
}

fn version(version_id: u64, file_id: Option<u64>, model_id: Option<u64>) -> Reference {
    Reference::CivitaiVersion { version_id, file_id, model_id }
}

fn file(repo: &str, revision: Option<&str>, path: &str) -> Reference {
    Reference::HuggingFaceFile(RepoFile {
        repo: repo.into(),
        revision: revision.map(str::to_owned),
        path: path.into(),
    })
}

fn folder(repo: &str, revision: Option<&str>, folder: &str) -> Reference {
    Reference::HuggingFaceFolder {
        repo: repo.into(),
        revision: revision.map(str::to_owned),
        folder: folder.into(),
    }
}

#[test]
fn civitai_is_understood_in_every_form() {
    let cases = [
        ("https://civitai.com/models/12", Reference::CivitaiModel { model_id: 12 }),
        ("https://civitai.com/models/12/a-slug?tab=x", Reference::CivitaiModel { model_id: 12 }),
        ("https://www.civitai.com/models/12", Reference::CivitaiModel { model_id: 12 }),
        ("https://civitai.com/models/12/slug?modelVersionId=34", version(34, None, Some(12))),
        ("https://civitai.red/models/12?modelVersionId=34#reviews", version(34, None, Some(12))),
        ("https://civitai.green/model-versions/34", version(34, None, None)),
        ("https://civitai.com/api/v1/model-versions/34", version(34, None, None)),
        ("https://civitai.com/api/v1/models/12", Reference::CivitaiModel { model_id: 12 }),
        ("https://civitai.com/api/download/models/34", version(34, None, None)),
        ("https://civitai.com/api/download/models/34?fileId=56&token=secret", version(34, Some(56), None)),
        ("https://civitai.com/api/download/models/34?type=Model&format=SafeTensor", version(34, None, None)),
        ("http://localhost:1/models/12", Reference::Url(Url::parse("http://localhost:1/models/12").unwrap())),
        ("http://127.0.0.1:4100/models/12?modelVersionId=34", version(34, None, Some(12))),
        ("  civitai:34 ", version(34, None, None)),
        ("CivitAI:34", version(34, None, None)),
        ("civitai:12@34", version(34, None, Some(12))),
        ("urn:air:flux1:lora:civitai:12@34", version(34, None, Some(12))),
        ("urn:air:sdxl:checkpoint:civitai:12@34+56", version(34, Some(56), Some(12))),
        ("urn:air:sdxl:checkpoint:civitai:12@34.safetensors", version(34, None, Some(12))),
        ("URN:AIR:sd1:embedding:civitai:12", Reference::CivitaiModel { model_id: 12 }),
        ("air:sd1:embedding:civitai:12@34", version(34, None, Some(12))),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text), Ok(expected), "{text}");
    }
}

#[test]
fn hugging_face_is_understood_in_every_form() {
    let cases = [
        (
            "https://huggingface.co/o/r/blob/main/a/b.safetensors",
            file("o/r", Some("main"), "a/b.safetensors"),
        ),
        (
            "https://huggingface.co/o/r/resolve/main/b.safetensors?download=true",
            file("o/r", Some("main"), "b.safetensors"),
        ),
        ("https://huggingface.co/o/r/raw/v1.0/b.json", file("o/r", Some("v1.0"), "b.json")),
        ("https://huggingface.co/o/r/blob/refs%2Fpr%2F1/b.json", file("o/r", Some("refs/pr/1"), "b.json")),
        (
            "https://huggingface.co/o/r/resolve/main/with%20space.pt",
            file("o/r", Some("main"), "with space.pt"),
        ),
        ("https://huggingface.co/gpt2/resolve/main/model.bin", file("gpt2", Some("main"), "model.bin")),
        ("https://hf.co/o/r/resolve/main/b.pt", file("o/r", Some("main"), "b.pt")),
        ("http://127.0.0.1:4200/hf/o/r/resolve/main/b.pt", file("o/r", Some("main"), "b.pt")),
        (
            "https://huggingface.co/o/r/tree/main/vae/x.safetensors",
            file("o/r", Some("main"), "vae/x.safetensors"),
        ),
        ("https://huggingface.co/o/r/tree/main/vae", folder("o/r", Some("main"), "vae")),
        ("https://huggingface.co/o/r/tree/main", folder("o/r", Some("main"), "")),
        ("https://huggingface.co/o/r", folder("o/r", None, "")),
        ("https://huggingface.co/api/models/o/r", folder("o/r", None, "")),
        (
            "https://huggingface.co/api/resolve-cache/models/o/r/abc/x.json",
            file("o/r", Some("abc"), "x.json"),
        ),
        ("hf:o/r/a/b.safetensors", file("o/r", None, "a/b.safetensors")),
        ("hf:o/r@v2/b.safetensors", file("o/r", Some("v2"), "b.safetensors")),
        ("hf:o/r:b.safetensors", file("o/r", None, "b.safetensors")),
        ("hf://o/r/b.safetensors", file("o/r", None, "b.safetensors")),
        ("hf://o/r@refs%2Fpr%2F1/b.safetensors", file("o/r", Some("refs/pr/1"), "b.safetensors")),
        ("hf:o/r", folder("o/r", None, "")),
        ("o/r:b.safetensors", file("o/r", None, "b.safetensors")),
        ("o/r@v2:a/b.safetensors", file("o/r", Some("v2"), "a/b.safetensors")),
        ("o/r@refs/pr/1:b.pt", file("o/r", Some("refs/pr/1"), "b.pt")),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text), Ok(expected), "{text}");
    }
}

#[test]
fn any_other_web_address_is_taken_as_it_is_without_its_fragment() {
    let text = "https://files.example/a.safetensors?sig=x%2Fy#part";
    let expected = Url::parse("https://files.example/a.safetensors?sig=x%2Fy").unwrap();
    assert_eq!(parse(text), Ok(Reference::Url(expected)));
    let beside = "http://127.0.0.1:4200/other/o/r/resolve/main/b.pt";
    assert_eq!(
        parse(beside),
        Ok(Reference::Url(Url::parse(beside).unwrap())),
        "not below the endpoint's path"
    );
}

#[test]
fn a_picture_is_told_apart_and_the_text_says_where_it_belongs() {
    for text in [
        "https://civitai.com/images/9173928",
        "https://civitai.com/posts/12",
        "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA/u/original=true/1.jpeg",
    ] {
        let refusal = parse(text).unwrap_err();
        assert_eq!(refusal.code, "image_reference", "{text}");
        assert!(refusal.message.contains("is a picture"), "{}", refusal.message);
    }
}

#[test]
fn a_bare_number_gets_the_form_that_is_meant() {
    let refusal = parse("128078").unwrap_err();
    assert_eq!(refusal.suggestion.as_deref(), Some("civitai:128078"));
}

#[test]
fn hostile_and_senseless_references_are_refused() {
    let hostile = [
        "",
        " ",
        "x",
        "a.safetensors",
        "/etc/passwd",
        "file:///etc/passwd",
        "ftp://a.example/x",
        "data:text/html,x",
        "javascript:alert(1)",
        "unix:/x",
        "gopher://x/",
        "C:\\x",
        "https://",
        "https://user:pw@a.example/x.pt",
        "https://user@civitai.com/models/1",
        "civitai:0",
        "civitai:-1",
        "civitai:1@",
        "civitai:@1",
        "civitai:1e3",
        "civitai:99999999999999999999999",
        "civitai:12@34+x",
        "urn:air:sdxl:lora:civitai:x@1",
        "urn:air:sdxl:lora",
        "urn:air:sdxl:lora:other:12@34",
        "https://civitai.com/",
        "https://civitai.com/models/",
        "https://civitai.com/user/x",
        "https://civitai.com/models/0",
        "https://civitai.com/models/-5",
        "https://civitai.com/models/1e9",
        "https://huggingface.co/",
        "https://huggingface.co/o",
        "https://huggingface.co/datasets/o/r/resolve/main/x.pt",
        "https://huggingface.co/spaces/o/r",
        "hf:o",
        "hf:",
        "hf:o/../x.pt",
        "hf:o/r/../x.pt",
        "hf:../r/x.pt",
        "o/r:",
        "o/r:../x.pt",
        "o/r:a//b.pt",
        "o/r:/etc/x.pt",
        "o/r@..:x.pt",
        "o/r@:x.pt",
        "o/r:a\\..\\x.pt",
        "-o/r:x.pt",
        "o/.r:x.pt",
        "o r/x:y.pt",
        "https://huggingface.co/o/r/resolve/main/..%2f..%2fx.pt",
        "https://huggingface.co/o/r/resolve/main/a%5c..%5cx.pt",
        "https://huggingface.co/o/r/resolve/main/x%00.pt",
        "https://huggingface.co/o/r/resolve/%2e%2e%2f%2e%2e/x.pt",
        "https://huggingface.co/o/r/resolve/main/%ff.pt",
        "civitai:1\r\nX: y",
        "https://a.example/\u{0}",
    ];
    for text in hostile {
        let refusal = parse(text).expect_err(text);
        assert!(matches!(refusal.code, "unknown_reference" | "unsafe_reference"), "{text}: {}", refusal.code);
        assert!(!refusal.message.contains(['\r', '\n', '\0']), "{text}");
    }
    assert!(parse(&"x".repeat(5000)).is_err());
    assert!(parse(&format!("o/r:{}.pt", "x".repeat(2000))).is_err());
}

#[test]
fn a_key_in_a_refused_link_is_not_repeated() {
    let refusal = parse("https://civitai.com/user/x?token=0123456789abcdef").unwrap_err();
    assert!(!refusal.message.contains("0123456789abcdef"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,120}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_link_leads_out_of_its_repository(path in "[a-z./%\\\\2feFE]{0,40}") {
        if let Ok(Reference::HuggingFaceFile(file)) = parse(&format!("https://huggingface.co/o/r/resolve/main/{path}")) {
            proptest::prop_assert!(file.path.split('/').all(|part| !part.is_empty() && part != ".."));
        }
    }
}
