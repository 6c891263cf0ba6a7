//! Uploads that want to be programs, to lie elsewhere, or to cost too much.

use http::Method;
use serde_json::json;

use super::pickles::{Pickle, payload, two_tensors};
use super::zips::Zip;
use crate::client::raw;
use crate::harness::{Vault, form, safetensors};

const ADMIN: &str = "/api/v1/admin/lora/upload";

/// Models that are what they say.
fn benign() -> Vec<(&'static str, Vec<u8>)> {
    let torch = Zip::torch(two_tensors(), &[("0", 24), ("1", 4)]).build();
    ["a.pt", "b.ckpt", "c.pth", "d.bin", "E.PT"]
        .map(|name| (name, torch.clone()))
        .into_iter()
        .chain([("f.safetensors", safetensors(300, 3))])
        .collect()
}

/// Programs, as pickles and in archives.
fn programs() -> Vec<Vec<u8>> {
    let bare = payload(Pickle::new()).stop();
    let mut straddled = Zip::torch(payload(Pickle::new()).stop(), &[]);
    straddled.comment = b"x".to_vec();
    let mut twice = Zip::torch(two_tensors(), &[("0", 24), ("1", 4)]);
    let again = twice.member("archive/data.pkl").clone();
    twice.members.push(again);
    vec![
        bare.clone(),
        Zip::torch(bare, &[]).build(),
        straddled.build(),
        twice.build(),
        b"cos\nsystem\n(S'id'\ntR.".to_vec(),
        b"\x93NUMPY\x01\0 an array".to_vec(),
    ]
}

#[tokio::test]
async fn benign_files_of_every_format_are_taken() {
    let vault = Vault::start().await;
    for (name, content) in benign() {
        let answer = vault.upload(name, &content, &[]).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_program_never_comes_to_lie_under_a_name_that_loads() {
    let vault = Vault::start().await;
    for (number, content) in programs().into_iter().enumerate() {
        for name in ["a.ckpt", "a.pt", "a.pth", "a.bin", "A.PT", "a.safetensors", "a.pt.safetensors"] {
            let answer = vault.upload(name, &content, &[]).await;
            let status = answer.status.as_u16();
            assert!(matches!(status, 400 | 422), "{number} {name}: {status} {}", answer.text());
            if status == 422 {
                assert_eq!(answer.header("x-error-code"), "quarantined");
            }
        }
    }
    let is_kept = |path: &String| {
        path.starts_with("/data/models/.lorakeep/quarantine/") && path.ends_with(".quarantined")
    };
    let files = vault.files();
    assert!(!files.is_empty() && files.iter().all(is_kept), "{files:?}");
    assert_eq!(vault.admin(Method::GET, "/api/v1/admin/lora").send().await.json()["total"], 0);
}

#[tokio::test]
async fn what_is_no_model_is_refused_and_nothing_of_it_stays() {
    let vault = Vault::start().await;
    let whole = safetensors(300, 1);
    let cases: [(&str, &[u8]); 8] = [
        ("a.safetensors", b"<!doctype html><title>Sign in</title>"),
        ("a.safetensors", b"{\"error\":\"Unauthorized\"}"),
        ("a.pt", b"version https://git-lfs.github.com/spec/v1\n"),
        ("a.ckpt", b"7z\xbc\xaf\x27\x1crest"),
        ("a.bin", b"\x1f\x8b\x08rest"),
        ("a.safetensors", b""),
        ("a.safetensors", &whole[..250]),
        // A header of 100 MB on a small file.
        ("a.safetensors", &[0, 0, 0, 6, 0, 0, 0, 0, b'{', b'}']),
    ];
    for (name, content) in cases {
        let answer = vault.upload(name, content, &[]).await;
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
    }
    assert_eq!(vault.files(), Vec::<String>::new());
}

#[tokio::test]
async fn hostile_names_are_refused_and_change_nothing() {
    let vault = Vault::start().await;
    let content = safetensors(200, 1);
    let long = format!("{}.pt", "x".repeat(300));
    let names = [
        "../x.pt",
        "..\\\\x.pt",
        "a/../../x.pt",
        "/etc/x.pt",
        "C:\\\\x.pt",
        "a:b.pt",
        "~/x.pt",
        ".x.pt",
        "-x.pt",
        " x.pt",
        "x.pt ",
        "x.pt.",
        "con.pt",
        "nul.safetensors",
        "LPT9.pt",
        "a\u{202e}b.pt",
        "a\u{200b}.pt",
        "．．／x.pt",
        "a*b.pt",
        "a?b.pt",
        "a|b.pt",
        "<img onerror>.pt",
        ".",
        "..",
        ".pt",
        "a.pt.exe",
        "a.pt::$DATA",
        &long,
    ];
    for name in names {
        let answer = vault.upload(name, &content, &[]).await;
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
    }
    // What only looks like a way out is a name.
    for name in ["%2e%2e%2fx.pt", "....x_ $(id);.pt", "a, b & c.pt", "モデル.pt"] {
        let torch = Zip::torch(two_tensors(), &[("0", 24), ("1", 4)]).build();
        let answer = vault.upload(name, &torch, &[]).await;
        let expected = if name.starts_with('.') { 400 } else { 200 };
        assert_eq!(answer.status, expected, "{name}: {}", answer.text());
    }
    let inside = |path: &String| path.starts_with("/data/models/loras/no_type_provided/");
    assert!(vault.files().iter().all(inside), "{:?}", vault.files());
}

#[tokio::test]
async fn a_file_at_the_limit_is_taken_and_one_byte_more_is_not() {
    let vault = Vault::start_with(&[("LORAKEEP_MAX_UPLOAD_BYTES", "1048576")]).await;
    assert_eq!(vault.upload("a.safetensors", &safetensors(1 << 20, 1), &[]).await.status, 200);
    let over = vault.upload("b.safetensors", &safetensors((1 << 20) + 1, 1), &[]).await;
    assert_eq!((over.status.as_u16(), over.header("x-error-code")), (413, "too_large"));
    assert_eq!(vault.files().len(), 1);
}

#[tokio::test]
async fn too_much_is_refused_before_it_is_read_when_it_is_announced() {
    let vault = Vault::start().await;
    let token = vault.token(&json!({"role": "admin"}));
    let head = |length: &str| {
        format!(
            "POST {ADMIN} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
             content-type: multipart/form-data; boundary=B\r\n{length}\r\n\r\n"
        )
    };
    let large = raw(vault.address, head("content-length: 629145600").as_bytes()).await;
    assert!(large.starts_with("HTTP/1.1 413"), "{large}");
    let unknown = raw(vault.address, head("connection: close").as_bytes()).await;
    assert!(unknown.starts_with("HTTP/1.1 411"), "{unknown}");
    for twisted in
        ["content-length: 5\r\ntransfer-encoding: chunked", "content-length: 5\r\ncontent-length: 6"]
    {
        let answer = raw(vault.address, head(twisted).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{twisted}: {answer}");
    }
}

#[tokio::test]
async fn malformed_forms_are_refused_and_leave_nothing() {
    let vault = Vault::start().await;
    let (kind, body) = form("a.safetensors", &safetensors(5_000, 1), &[]);
    let twice = {
        let part = &body[..body.len() - "--form-end--\r\n".len()];
        [part, &body].concat()
    };
    let parts = "--form-end\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n\r\n".repeat(200);
    let cases: [(&str, Vec<u8>); 8] = [
        ("multipart/form-data", body.clone()),
        ("multipart/form-data; boundary=", body.clone()),
        (&kind, body[..body.len() - 20].to_vec()),
        (&kind, body[..300].to_vec()),
        (&kind, twice),
        (&kind, b"x".to_vec()),
        (&kind, b"\r\n--form-en".repeat(10_000)),
        (&kind, format!("{parts}--form-end--\r\n").into_bytes()),
    ];
    for (number, (kind, body)) in cases.into_iter().enumerate() {
        let answer = vault.admin(Method::POST, ADMIN).body(kind, body).send().await;
        assert_eq!(answer.status, 400, "{number}: {}", answer.text());
    }
    let encoded =
        vault.admin(Method::POST, ADMIN).header("content-encoding", "gzip").body(&kind, body).send().await;
    assert_eq!(encoded.status, 415);
    assert_eq!(vault.files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_part() {
    use tokio::io::AsyncWriteExt;
    let vault = Vault::start().await;
    let token = vault.token(&json!({"role": "admin"}));
    let (kind, body) = form("a.safetensors", &safetensors(3_000_000, 1), &[]);
    let head = format!(
        "POST {ADMIN} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-type: {kind}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    for share in [0, 1, body.len() / 2, body.len() - 1] {
        let mut stream = tokio::net::TcpStream::connect(vault.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body[..share]).await.unwrap();
        drop(stream);
    }
    let gone = async {
        while !vault.files().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::client::PATIENCE, gone).await.expect("no part stays");
}

#[tokio::test]
async fn nothing_is_written_through_a_link() {
    let vault = Vault::start().await;
    let outside = vault.root().join("outside");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::create_dir_all(vault.models_dir().join("loras")).unwrap();
    std::os::unix::fs::symlink(&outside, vault.models_dir().join("loras/faces")).unwrap();
    let answer = vault.upload("a.safetensors", &safetensors(200, 1), &[("entity_type", "faces")]).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-error-code")), (409, "linked_folder"));
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

#[tokio::test]
async fn what_the_disk_has_no_room_for_is_refused_before_its_bytes_are_read() {
    let vault = Vault::start_with(&[("LORAKEEP_MAX_UPLOAD_BYTES", "4611686018427387904")]).await;
    let (kind, body) = form("a.safetensors", &safetensors(200, 1), &[]);
    let token = vault.token(&json!({"role": "admin"}));
    // The body that is announced never comes: only who waits for it would hang here.
    let head = format!(
        "POST /api/v1/admin/lora/upload HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        vault.address,
        1_u64 << 61
    );
    let part = &body[..body.len() - 100];
    let answer = raw(vault.address, &[head.as_bytes(), part].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 507 ") && answer.contains("x-error-code: disk_full"), "{answer}");
    assert_eq!(vault.files(), Vec::<String>::new());
}
