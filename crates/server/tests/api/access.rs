//! Who is let in, and what every answer carries.

use std::os::unix::fs::PermissionsExt;

use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::client::raw;
use crate::harness::{KEY, TestServer};

/// Every route that needs the admin, as documented.
const GUARDED: [(&str, &str); 42] = [
    ("GET", "/api/admin/models"),
    ("GET", "/api/admin/loras"),
    ("POST", "/api/admin/models/import"),
    ("POST", "/api/admin/loras/import"),
    ("POST", "/api/admin/models/import-builtin"),
    ("GET", "/api/admin/models/export"),
    ("GET", "/api/admin/loras/export"),
    ("DELETE", "/api/admin/models/a.safetensors/catalog"),
    ("POST", "/api/admin/entries"),
    ("GET", "/api/admin/entries/by-file/a.safetensors"),
    ("POST", "/api/admin/models/download/a.safetensors"),
    ("POST", "/api/admin/models/download-batch"),
    ("GET", "/api/admin/models/status"),
    ("GET", "/api/admin/downloads"),
    ("GET", "/api/admin/downloads/0"),
    ("POST", "/api/admin/downloads/0/pause"),
    ("POST", "/api/admin/downloads/0/resume"),
    ("POST", "/api/admin/downloads/0/cancel"),
    ("POST", "/api/admin/downloads/0/retry"),
    ("POST", "/api/admin/downloads/0/move"),
    ("POST", "/api/admin/downloads/pause-all"),
    ("POST", "/api/admin/downloads/resume-all"),
    ("DELETE", "/api/admin/models/a.safetensors"),
    ("GET", "/api/admin/bin"),
    ("DELETE", "/api/admin/bin?min_age_days=0"),
    ("DELETE", "/api/admin/bin/0"),
    ("POST", "/api/admin/bin/0/restore"),
    ("POST", "/api/admin/scan"),
    ("GET", "/api/admin/unlisted"),
    ("POST", "/api/admin/unlisted/adopt"),
    ("POST", "/api/admin/verify"),
    ("GET", "/api/admin/verify"),
    ("DELETE", "/api/admin/verify"),
    ("GET", "/api/admin/settings"),
    ("PUT", "/api/admin/settings"),
    ("GET", "/api/admin/doctor"),
    ("GET", "/api/admin/loras/compatible/all"),
    ("GET", "/api/admin/models/civitai-map"),
    ("POST", "/api/admin/civitai/add/1"),
    ("POST", "/api/admin/civitai/promote-to-lora/1"),
    ("GET", "/metrics"),
    ("HEAD", "/api/admin/models"),
];

fn method(name: &str) -> Method {
    name.parse().expect("a method")
}

#[tokio::test]
async fn every_guarded_route_refuses_whoever_has_no_key() {
    let server = TestServer::start().await;
    for (name, path) in GUARDED {
        let answer = server.anonymous(method(name), path).send().await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name} {path}");
        if name != "HEAD" {
            assert_eq!(
                answer.text(),
                r#"{"detail":"Not authenticated","code":"not_authenticated"}"#,
                "{name} {path}"
            );
        }
    }
}

#[tokio::test]
async fn every_documented_route_exists_and_is_guarded() {
    let page = include_str!("../../../../docs/http-api.md");
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let routes = line.split('|').nth(1).expect("a first column");
        for (name, path) in documented(routes) {
            let is_known = GUARDED.iter().any(|(method, guarded)| *method == name && matches(&path, guarded));
            assert!(is_known || path == "/api/health", "{name} {path} is documented and not tested here");
        }
    }
}

/// The routes that one cell names.
fn documented(cell: &str) -> Vec<(String, String)> {
    let code = cell.split('`').skip(1).step_by(2);
    code.filter_map(|text| {
        let (method, path) = text.split_once(' ')?;
        let path = path.split('?').next()?;
        path.starts_with('/').then(|| (method.to_owned(), path.to_owned()))
    })
    .collect()
}

/// Whether a documented path (with `{…}`) stands for `path`.
fn matches(documented: &str, path: &str) -> bool {
    let path = path.split('?').next().expect("split gives one part");
    let (ours, theirs): (Vec<_>, Vec<_>) = (path.split('/').collect(), documented.split('/').collect());
    ours.len() == theirs.len()
        && ours.iter().zip(theirs).all(|(own, other)| other.starts_with('{') || *own == other)
}

#[tokio::test]
async fn only_the_one_right_key_opens() {
    let server = TestServer::start().await;
    let path = "/api/admin/settings";
    let wrong =
        ["", " ", "x", &KEY[..KEY.len() - 1], &format!("{KEY}x"), &KEY.to_uppercase()].map(str::to_owned);
    for key in wrong {
        let answer = server.anonymous(Method::GET, path).header("x-api-key", &key).send().await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{key:?}");
    }
    let two = server.admin(Method::GET, path).header("x-api-key", KEY).send().await;
    assert_eq!(two.status, StatusCode::UNAUTHORIZED, "two keys");
    let in_query =
        server.anonymous(Method::GET, &format!("{path}?api_key={KEY}&x-api-key={KEY}")).send().await;
    assert_eq!(in_query.status, StatusCode::UNAUTHORIZED, "a key in the query");
    let folded =
        format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\n \r\nConnection: close\r\n\r\n");
    assert!(
        raw(server.address, folded.as_bytes()).await.starts_with("HTTP/1.1 400"),
        "a key with a line end"
    );
    assert_eq!(server.get(path).await.status, 200);
}

#[tokio::test]
async fn who_guesses_keys_has_to_wait() {
    let server = TestServer::start().await;
    let mut statuses = Vec::new();
    for number in 0..100 {
        let call = server
            .anonymous(Method::GET, "/api/admin/settings")
            .header("x-api-key", &format!("guess-{number}"));
        let answer = call.send().await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.header("retry-after").parse::<u64>().expect("seconds") >= 1);
        }
        statuses.push(answer.status.as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(statuses[0], 401);
    let local =
        over_socket(&server, "GET /api/admin/settings HTTP/1.1\r\nHost: local\r\nConnection: close\r\n\r\n")
            .await;
    assert!(local.starts_with("HTTP/1.1 200 OK"), "the owner still gets in: {local}");
}

async fn over_socket(server: &TestServer, request: &str) -> String {
    let mut stream = UnixStream::connect(server.data_dir().join("lorakeep.sock")).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test]
async fn the_socket_in_the_data_folder_is_for_its_owner_and_needs_no_key() {
    let mut server = TestServer::start().await;
    let path = server.data_dir().join("lorakeep.sock");
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let request = "GET /api/health HTTP/1.1\r\nHost: local\r\nConnection: close\r\n\r\n";
    assert!(over_socket(&server, request).await.contains(r#""authenticated":true"#));
    server.stop().await;
    assert!(!path.exists(), "it goes with the server");
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_told_apart() {
    let server = TestServer::start().await;
    for path in ["/nothing", "/api/nothing", "/api/admin/nothing", "/api/admin/models/a/b/c", "//etc/passwd"]
    {
        let answer = server.anonymous(Method::GET, path).send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (404, r#"{"detail":"Not Found","code":"not_found"}"#),
            "{path}"
        );
    }
    let answer = server.admin(Method::PATCH, "/api/admin/models").send().await;
    let expected = r#"{"detail":"Method Not Allowed","code":"method_not_allowed"}"#;
    assert_eq!((answer.status.as_u16(), answer.text()), (405, expected));
    assert_eq!(server.admin(Method::POST, "/api/health").send().await.status, 405);
}

#[tokio::test]
async fn every_answer_carries_a_request_id() {
    let server = TestServer::start().await;
    for path in ["/", "/nothing", "/api/admin/models"] {
        let made = server.anonymous(Method::GET, path).send().await;
        assert_eq!(made.header("x-request-id").len(), 32, "{path}");
        let kept = server.anonymous(Method::GET, path).header("x-request-id", "trace-1.a_B").send().await;
        assert_eq!(kept.header("x-request-id"), "trace-1.a_B", "{path}");
        let replaced =
            server.anonymous(Method::GET, path).header("x-request-id", "a b\"<script>").send().await;
        assert_eq!(replaced.header("x-request-id").len(), 32, "{path}");
    }
}

#[tokio::test]
async fn every_answer_makes_a_browser_careful() {
    let server = TestServer::start().await;
    for path in ["/", "/nothing", "/api/admin/settings"] {
        let answer = server.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{path}");
    }
}
