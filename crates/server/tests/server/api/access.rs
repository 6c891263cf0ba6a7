//! Who is let in, and what every answer carries.

use std::os::unix::fs::PermissionsExt;

use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::client::raw;
use crate::harness::{KEY, TestServer};

/// Every route of `docs/http-api.md` but the open ones, with its parameters filled in.
fn guarded_routes() -> Vec<(String, String)> {
    let page = include_str!("../../../../../docs/http-api.md").replace("\\|", "/or/");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let routes = rows.flat_map(|row| routes_of(row.split('|').nth(1).expect("a first column")));
    routes.filter(|(_, path)| !matches!(path.as_str(), "/api/health" | "/api/auth/login")).collect()
}

/// The routes of one cell: `` `GET /a/{id}` ``, `` `POST /a/{pause/or/resume}` ``, or a last part that takes the place of
/// the one before.
fn routes_of(cell: &str) -> Vec<(String, String)> {
    let mut routes: Vec<(String, String)> = Vec::new();
    for code in cell.split('`').skip(1).step_by(2) {
        if let Some((method, path)) = code.split_once(' ').filter(|(_, rest)| rest.starts_with('/')) {
            let path = path.split([' ', '?']).next().expect("split gives one part");
            routes.extend(filled(path).into_iter().map(|path| (method.to_owned(), path)));
        } else if let (true, Some((method, path))) = (code.starts_with('/'), routes.last().cloned()) {
            let (folder, _) = path.rsplit_once('/').expect("a path");
            routes.push((method, format!("{folder}{code}")));
        }
    }
    routes
}

/// The path with `7` for each parameter, once for each choice.
fn filled(path: &str) -> Vec<String> {
    let Some((start, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let (parameter, end) = rest.split_once('}').expect("braces come in pairs");
    let choices: Vec<&str> =
        if parameter.contains("/or/") { parameter.split("/or/").collect() } else { vec!["7"] };
    choices.into_iter().flat_map(|choice| filled(&format!("{start}{choice}{end}"))).collect()
}

fn method(name: &str) -> Method {
    name.parse().expect("a method")
}

#[tokio::test]
async fn every_documented_route_exists_and_refuses_whoever_has_no_key() {
    let server = TestServer::start().await;
    let routes = guarded_routes();
    assert!(routes.len() > 40, "{routes:?}");
    for (name, path) in routes {
        let answer = server.anonymous(method(&name), &path).send().await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name} {path}");
        assert_eq!(answer.text(), r#"{"detail":"Not authenticated"}"#, "{name} {path}");
        let wrong = server.anonymous(method(&name), &path).header("x-api-key", "").send().await;
        assert!(matches!(wrong.status.as_u16(), 401 | 429), "{name} {path}: {}", wrong.status);
    }
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
        assert_eq!((answer.status.as_u16(), answer.text()), (404, r#"{"detail":"Not Found"}"#), "{path}");
    }
    let answer = server.admin(Method::PATCH, "/api/admin/models").send().await;
    let expected = r#"{"detail":"Method Not Allowed"}"#;
    assert_eq!((answer.status.as_u16(), answer.text()), (405, expected));
    assert_eq!(answer.header("allow"), "GET,HEAD");
    assert_eq!(server.admin(Method::OPTIONS, "/api/admin/models").send().await.status, 405);
    let head = server.admin(Method::HEAD, "/api/admin/models").send().await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert!(head.header("content-length").parse::<usize>().expect("a length") > 0);
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
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{path}");
    }
}

#[tokio::test]
async fn a_file_name_in_a_path_never_leads_elsewhere() {
    let server = TestServer::start().await;
    for name in ["..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "a%2fb", "%ff"] {
        let answer = server.delete(&format!("/api/admin/models/{name}")).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (404, r#"{"detail":"Not Found"}"#), "{name}");
    }
    for name in ["..%5c..%5cx", "%252e%252e%252f", "a%00b", "a%0d%0ab", "C:%5cx", "~", "CON"] {
        let answer = server.delete(&format!("/api/admin/models/{name}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{name}");
    }
}
