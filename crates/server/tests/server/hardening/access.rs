//! Who may call what: every route that is served by every kind of caller.

use std::sync::atomic::{AtomicU32, Ordering};

use http::Method;
use lorakeep_registry::NewTeamKey;
use serde_json::json;

use super::routes::{Audience, Route, ask, served};
use super::sessions::{log_in, login};
use crate::client::raw;
use crate::harness::{KEY, TestServer, Vault};

/// Whoever calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Nobody,
    WrongKey,
    Key,
    KeyInQuery,
    Session,
    SessionFromElsewhere,
    TokenOfUser,
    TokenOfAdmin,
    TeamKey,
}

const ROLES: [Role; 9] = [
    Role::Nobody,
    Role::WrongKey,
    Role::Key,
    Role::KeyInQuery,
    Role::Session,
    Role::SessionFromElsewhere,
    Role::TokenOfUser,
    Role::TokenOfAdmin,
    Role::TeamKey,
];

/// What may come of a call.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The handler answered, whatever it thought of the input.
    In,
    Unknown,
    Forbidden,
    LedToLogin,
}

fn expected(role: Role, audience: Audience) -> Outcome {
    use Audience::{Admin, Everybody, Person, Team, TokenOfAdmin, TokenOfUser};
    match (role, audience) {
        (_, Everybody)
        | (Role::Key | Role::Session, Admin | Person)
        | (Role::TokenOfAdmin, TokenOfUser | TokenOfAdmin)
        | (Role::TokenOfUser, TokenOfUser)
        | (Role::TeamKey, Team) => Outcome::In,
        (Role::SessionFromElsewhere, Admin | Person) | (Role::TokenOfUser, TokenOfAdmin) => {
            Outcome::Forbidden
        }
        (_, Person) => Outcome::LedToLogin,
        (_, Admin | Team | TokenOfUser | TokenOfAdmin) => Outcome::Unknown,
    }
}

async fn call(vault: &Vault, role: Role, route: &Route) -> (u16, Outcome) {
    static CLIENTS: AtomicU32 = AtomicU32::new(1);
    let server = &vault.server;
    // Each from an address of its own, so that wrong keys do not add up.
    let client = std::net::Ipv4Addr::from_bits(0x0A00_0000 + CLIENTS.fetch_add(1, Ordering::Relaxed));
    let mut headers = vec![("x-forwarded-for", client.to_string())];
    let mut path = route.with("x");
    match role {
        Role::Nobody => {}
        Role::WrongKey => headers.push(("x-api-key", KEY[1..].to_owned())),
        Role::Key => headers.push(("x-api-key", KEY.to_owned())),
        Role::KeyInQuery => path = format!("{path}?api_key={KEY}&x-api-key={KEY}"),
        Role::Session => headers.extend(session(server, &format!("http://{}", server.address)).await),
        Role::SessionFromElsewhere => headers.extend(session(server, "https://evil.example").await),
        Role::TokenOfUser => headers.push(bearer(vault, "user")),
        Role::TokenOfAdmin => headers.push(bearer(vault, "admin")),
        Role::TeamKey => headers.push(("x-api-key", team_key(vault).await)),
    }
    let (status, location) = ask(server, &route.method, &path, &headers).await;
    let outcome = match status {
        401 => Outcome::Unknown,
        403 => Outcome::Forbidden,
        303 if location.starts_with("/login?next=") => Outcome::LedToLogin,
        _ => Outcome::In,
    };
    (status, outcome)
}

/// A session for one call, since some calls end it.
async fn session(server: &TestServer, origin: &str) -> [(&'static str, String); 2] {
    [("cookie", log_in(server).await), ("origin", origin.to_owned())]
}

/// A key for one call, of a team that is made once.
async fn team_key(vault: &Vault) -> String {
    let registry = &vault.server.registry;
    if registry.list_teams().await.expect("listed").is_empty() {
        registry.create_team("Northlight").await.expect("made");
    }
    let new = NewTeamKey { team: "Northlight".to_owned(), ..NewTeamKey::default() };
    registry.create_team_key(new).await.expect("made").0
}

fn bearer(vault: &Vault, role: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {}", vault.token(&json!({ "role": role }))))
}

/// Check 41, check 44, check 48, check 55: a new route is tried by every role as well, and one whose path follows no
/// rule has to be declared.
#[tokio::test]
async fn every_route_lets_in_whom_its_rule_names_and_nobody_else() {
    let vault = Vault::start_with(&[("LORAKEEP_TRUSTED_PROXIES", "127.0.0.1")]).await;
    let mut wrong = Vec::new();
    for route in served() {
        let Some(audience) = route.audience() else {
            wrong.push(format!("{} {}: nobody declared who may call it", route.method, route.path));
            continue;
        };
        if audience == Audience::Everybody {
            continue;
        }
        for role in ROLES {
            let (status, outcome) = call(&vault, role, &route).await;
            // A sync without a clone is 500 by contract.
            let is_defect = status == 500 && route.path != "/api/admin/models/sync";
            if outcome != expected(role, audience) || is_defect {
                wrong.push(format!("{} {} by {role:?}: {status} {outcome:?}", route.method, route.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Check 41: whoever asks, a path that nobody serves has one answer.
#[tokio::test]
async fn an_unknown_path_is_the_same_for_everybody() {
    let vault = Vault::start().await;
    for path in ["/api/admin/secret", "/api/v1/admin/secret", "/api/secret", "/v1/secret"] {
        let nobody = vault.server.anonymous(Method::GET, path).send().await;
        let admin = vault.server.get(path).await;
        let token = vault.admin(Method::GET, path).send().await;
        for answer in [&admin, &token] {
            assert_eq!((answer.status, answer.text()), (nobody.status, nobody.text()), "{path}");
        }
        assert_eq!((nobody.status.as_u16(), nobody.text()), (404, r#"{"detail":"Not Found"}"#), "{path}");
    }
}

/// Check 42.
#[tokio::test]
async fn a_key_that_is_nearly_right_is_wrong() {
    let server = TestServer::start().await;
    let keys =
        [KEY[..KEY.len() - 1].to_owned(), format!("{KEY}{KEY}"), format!("{KEY},{KEY}"), KEY.to_uppercase()];
    for key in keys {
        let call = server.anonymous(Method::GET, "/api/admin/settings").header("x-api-key", &key);
        assert_eq!(call.send().await.status, 401, "{key:?}");
    }
    for (name, value) in [("authorization", format!("Bearer {KEY}")), ("cookie", format!("session={KEY}"))] {
        let call = server.anonymous(Method::GET, "/api/admin/settings").header(name, &value);
        assert_eq!(call.send().await.status, 401, "{name}");
    }
}

/// Check 50.
#[tokio::test]
async fn a_credential_of_two_megabytes_is_refused_at_once() {
    let server = TestServer::start().await;
    for name in ["X-API-Key", "Authorization", "Cookie"] {
        let long = "a".repeat(2 << 20);
        let request = format!("GET /api/admin/settings HTTP/1.1\r\nHost: a\r\n{name}: {long}\r\n\r\n");
        assert!(raw(server.address, request.as_bytes()).await.starts_with("HTTP/1.1 431"), "{name}");
    }
}

/// Check 52: there is one key and no user, so a wrong one is told in one way.
#[tokio::test]
async fn every_wrong_login_is_answered_alike() {
    let server = TestServer::start().await;
    let mut answers = Vec::new();
    for key in ["x", &KEY[..KEY.len() - 1], &format!("{KEY}x"), ""] {
        let answer = login(&server, &json!({ "api_key": key })).send().await;
        answers.push((answer.status, answer.body.clone()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

/// Check 59.
#[tokio::test]
async fn what_a_stranger_forwards_opens_nothing() {
    let server = TestServer::start().await;
    let claims = [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1"),
        ("x-forwarded-host", "localhost"),
        ("x-forwarded-user", "admin"),
        ("x-original-url", "/api/health"),
        ("x-http-method-override", "GET"),
    ];
    for (name, value) in claims {
        let answer = server.anonymous(Method::GET, "/api/admin/settings").header(name, value).send().await;
        assert_eq!(answer.status, 401, "{name}");
    }
}
