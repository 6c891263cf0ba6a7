//! Every route that the sources serve, and who may call it by the rules of `docs/hardening.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::read_until;
use crate::harness::TestServer;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Routes for everybody; a new one is declared here or it is refused by the test.
const OPEN: [(&str, &str); 12] = [
    ("GET", "/home"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/assets/{bundle}/{name}"),
    ("GET", "/favicon.ico"),
    ("GET", "/v1/previews/{name}"),
    ("GET", "/docs"),
    ("GET", "/docs/{page}"),
    ("GET", "/openapi/{file}"),
    ("GET", "/llms.txt"),
    ("GET", "/api/health"),
    ("POST", "/api/auth/login"),
];

/// One served route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Route {
    pub(crate) method: String,
    /// With its parameters in braces.
    pub(crate) path: String,
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Everybody,
    /// The admin key, a session, the socket.
    Admin,
    /// As [`Self::Admin`], and others are led to the login.
    Person,
    /// Any token that may upload or read.
    TokenOfUser,
    /// A token of an admin.
    TokenOfAdmin,
    /// A key of a team.
    Team,
}

impl Route {
    /// Who may call it; `None` for a route that nobody declared.
    pub(super) fn audience(&self) -> Option<Audience> {
        let path = self.path.as_str();
        if OPEN.contains(&(self.method.as_str(), path)) {
            return Some(Audience::Everybody);
        }
        let below = |folder: &str| path.starts_with(folder);
        Some(match self.method.as_str() {
            _ if below("/api/admin/") || matches!(path, "/api/auth/logout" | "/metrics") => Audience::Admin,
            "GET" if below("/api/v1/admin/lora") => Audience::TokenOfUser,
            _ if below("/v1/") => Audience::Team,
            _ if below("/api/v1/admin/") => Audience::TokenOfAdmin,
            _ if below("/api/v1/") => Audience::TokenOfUser,
            "GET" if !below("/api/") => Audience::Person,
            _ => return None,
        })
    }

    /// The path with `value` in the place of each parameter.
    pub(super) fn with(&self, value: &str) -> String {
        let mut path = String::new();
        for part in self.path.split_inclusive('}') {
            match part.split_once('{') {
                Some((start, _)) => path.extend([start, value]),
                None => path.push_str(part),
            }
        }
        path
    }
}

/// Every route, as the sources of the server have it.
pub(crate) fn served() -> BTreeSet<Route> {
    let mut routes = BTreeSet::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut routes);
    assert!(routes.len() > 90, "{routes:?}");
    routes
}

fn collect(folder: &Path, routes: &mut BTreeSet<Route>) {
    for item in fs::read_dir(folder).expect("readable").flatten() {
        let path = item.path();
        if path.is_dir() {
            collect(&path, routes);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("text");
            routes.extend(routes_of(&text, path.ends_with("tus/mod.rs")));
        }
    }
}

/// The routes of one source file. Those of uploads in pieces are made for two places by one function.
fn routes_of(text: &str, is_made_by_a_function: bool) -> Vec<Route> {
    let mut routes = Vec::new();
    for call in text.split("tus::routes(\"").skip(1) {
        let path = call.split('"').next().expect("split gives one part");
        routes.extend(["GET", "POST"].map(|method| route(method, path)));
        let one = format!("{path}/{{id}}");
        routes.extend(["GET", "POST", "PATCH", "DELETE"].map(|method| route(method, &one)));
    }
    if is_made_by_a_function {
        return routes;
    }
    for call in text.split(".route(").skip(1) {
        let call = arguments(call);
        let path = call
            .trim_start()
            .strip_prefix('"')
            .expect("a route is a text in its place, so that it can be found");
        let (path, handlers) = path.split_once('"').expect("a text ends");
        let methods = METHODS.iter().filter(|method| names(handlers, method));
        routes.extend(methods.map(|method| route(&method.to_uppercase(), path)));
    }
    routes
}

fn route(method: &str, path: &str) -> Route {
    Route { method: method.to_owned(), path: path.to_owned() }
}

/// The text up to the parenthesis that closes the call.
fn arguments(call: &str) -> &str {
    let mut depth = 1_u32;
    for (at, character) in call.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &call[..at];
        }
    }
    panic!("a call without an end: {call}")
}

/// Whether `method(` is called, and not a function whose name ends so.
fn names(handlers: &str, method: &str) -> bool {
    let call = format!("{method}(");
    handlers.match_indices(&call).any(|(at, _)| {
        let before = handlers[..at].chars().next_back();
        before.is_none_or(|character| !character.is_alphanumeric() && character != '_')
    })
}

/// Status and `Location` of an answer whose body is not waited for, since some never end.
pub(super) async fn ask(
    server: &TestServer,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
) -> (u16, String) {
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", server.address);
    for (name, value) in headers {
        request.extend([*name, ": ", value, "\r\n"]);
    }
    if method != "GET" && method != "HEAD" {
        request.push_str("Content-Length: 0\r\n");
    }
    request.push_str("\r\n");
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let head = read_until(&mut stream, "\r\n\r\n").await;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let location = head.lines().find_map(|line| line.strip_prefix("location: "));
    (status.unwrap_or_else(|| panic!("{head}")), location.unwrap_or_default().to_owned())
}
