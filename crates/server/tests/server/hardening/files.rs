//! Names from outside, wherever a route takes one, reach nothing but what they name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use http::Method;

use super::routes::{Audience, ask, served};
use crate::client::raw;
use crate::harness::{KEY, TestServer};

/// Percent-encoded names as they would stand in a path; none is one that the catalog knows.
const HOSTILE: [&str; 34] = [
    "..",
    "%2e%2e",
    "%2e%2e%2f",
    "..%2f..%2fcanary.txt",
    "..%5c..%5ccanary.txt",
    "%252e%252e%252fcanary.txt",
    "....%2f%2fcanary.txt",
    "..;%2fcanary.txt",
    "%2fetc%2fpasswd",
    "%2f%2fsrv%2fx",
    "%5c%5csrv%5cshare%5cx",
    "C:%5cx",
    "C:x",
    "%5cx",
    "a:b",
    "file:%2f%2f%2fetc%2fpasswd",
    "~%2fx",
    "%c0%ae%c0%ae",
    "%ff",
    "a%00.safetensors",
    "a%0d%0aX-Evil:1",
    "a%09b",
    "a%1bb",
    "%ef%bc%8e%ef%bc%8e%ef%bc%8f",
    "%e2%88%95etc",
    "%e2%80%aea",
    "CON",
    "nul.safetensors",
    "com1.pt",
    "a.",
    "a%20",
    "%24(id)",
    "a;b%7cc",
    "%3Cimg%20src=x%20onerror=alert(1)%3E",
];

/// Every file below a folder with its bytes, but what SQLite shares between its connections.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    collect(folder, &mut found);
    found
}

fn collect(folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for item in fs::read_dir(folder).expect("readable").flatten() {
        let path = item.path();
        let kind = item.file_type().expect("a type");
        if kind.is_dir() {
            collect(&path, found);
        } else if kind.is_file() && path.extension().is_none_or(|extension| extension != "db-shm") {
            found.insert(path.display().to_string(), fs::read(&path).expect("readable"));
        }
    }
}

fn key() -> [(&'static str, String); 1] {
    [("x-api-key", KEY.to_owned())]
}

/// A server with a file in its models folder and one beside it that nobody may reach.
async fn furnished() -> TestServer {
    let server = TestServer::start().await;
    fs::write(server.root().join("canary.txt"), "canary").expect("written");
    server.put_file("vae/known.safetensors", b"weights").await;
    server
}

/// Check 24, check 25, check 34.
#[tokio::test]
async fn a_hostile_name_in_any_path_changes_nothing_and_breaks_nothing() {
    let server = furnished().await;
    let before = tree(server.root());
    let long = "a".repeat(300);
    let mut wrong = Vec::new();
    for route in
        served().iter().filter(|route| route.path.contains('{') && route.audience() == Some(Audience::Admin))
    {
        for name in HOSTILE.into_iter().chain([long.as_str()]) {
            let (status, _) = ask(&server, &route.method, &route.with(name), &key()).await;
            // A search may find nothing; a gallery may have nothing to do.
            if status >= 500 && status != 503 {
                wrong.push(format!("{} {} with `{name}`: {status}", route.method, route.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    let after = tree(server.root());
    let models = |tree: &BTreeMap<String, Vec<u8>>| -> Vec<String> {
        tree.keys().filter(|path| !path.contains("/lorakeep.db")).cloned().collect()
    };
    assert_eq!(models(&before), models(&after));
    assert_eq!(after[&server.root().join("canary.txt").display().to_string()], b"canary");
}

/// Check 24: what is there outside and what is not cannot be told apart.
#[tokio::test]
async fn an_answer_does_not_tell_what_lies_outside() {
    let server = furnished().await;
    for (there, missing) in [("..%2fcanary.txt", "..%2fmissing.txt"), ("..%5ccanary.txt", "..%5cmissing.txt")]
    {
        for method in [Method::DELETE, Method::POST] {
            let path = |name: &str| match method {
                Method::POST => format!("/api/admin/models/download/{name}"),
                _ => format!("/api/admin/models/{name}"),
            };
            let answers = [
                server.admin(method.clone(), &path(there)).send().await,
                server.admin(method.clone(), &path(missing)).send().await,
            ];
            let shown = |answer: &crate::client::Answer| answer.text().replace("canary", "missing");
            assert_eq!((answers[0].status, shown(&answers[0])), (answers[1].status, shown(&answers[1])));
            assert!(answers[0].status.is_client_error());
        }
    }
}

/// Check 57: the whole tree, the database too, is byte for byte as before.
#[tokio::test]
async fn nothing_that_reads_changes_anything() {
    let server = furnished().await;
    let before = tree(server.root());
    for route in served().iter().filter(|route| route.method == "GET") {
        for method in ["GET", "HEAD"] {
            for value in ["x", "7", "known.safetensors"] {
                ask(&server, method, &route.with(value), &key()).await;
            }
        }
        assert!(tree(server.root()) == before, "`GET {}` changed something", route.path);
    }
}

/// Check 38: only the embedded table is served.
#[tokio::test]
async fn static_files_come_from_the_table_and_from_nowhere_else() {
    let server = furnished().await;
    for name in HOSTILE.into_iter().chain(["style.css%00", "style.css/", "STYLE.CSS", "Cargo.toml"]) {
        for path in [format!("/assets/x/{name}"), format!("/assets/{name}")] {
            let (status, _) = ask(&server, "GET", &path, &[]).await;
            assert!(matches!(status, 400 | 404), "{path}: {status}");
        }
    }
    for path in ["/assets/../../etc/passwd", "/assets//etc/passwd", "//etc/passwd", "/static/../etc/passwd"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = raw(server.address, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
}

/// Check 32.
#[tokio::test]
async fn a_pipe_in_the_models_folder_is_passed_over() {
    let server = furnished().await;
    let pipe = server.models_dir().join("vae/pipe.safetensors");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there");
    assert!(made.success());
    assert_eq!(server.post("/api/admin/scan").await.status, 200);
    let unlisted = server.get("/api/admin/unlisted").await.json();
    assert_eq!(unlisted["total"], 1, "{unlisted}");
    assert!(!unlisted.to_string().contains("pipe"));
}

/// Check 66.
#[tokio::test]
async fn a_refusal_writes_nothing_that_a_browser_would_run() {
    let server = TestServer::start().await;
    let payload = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    for path in [
        format!("/{payload}"),
        format!("/api/admin/models/{payload}/catalog"),
        format!("/api/admin/entries/by-file/{payload}"),
        format!("/api/admin/models?{payload}={payload}"),
        format!("/api/v1/admin/lora?partial_path={payload}"),
    ] {
        for method in [Method::GET, Method::DELETE] {
            let answer = server.admin(method, &path).send().await;
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(answer.header("content-type"), "application/json", "{path}");
            assert!(answer.header("content-security-policy").contains("default-src 'none'"), "{path}");
        }
    }
}
