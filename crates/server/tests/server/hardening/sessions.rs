//! Sessions: how they begin, what they open, how they end.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{Answer, Call};
use crate::harness::{KEY, Setup, TestServer};

/// What a browser keeps of a login's answer.
pub(crate) fn cookie_of(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").split(';').next().expect("a first part");
    assert!(cookie.starts_with("session="), "{cookie:?}");
    cookie.to_owned()
}

pub(crate) fn login(server: &TestServer, body: &Value) -> Call {
    server.anonymous(Method::POST, "/api/auth/login").json(body)
}

/// Logs in and answers the cookie.
pub(crate) async fn log_in(server: &TestServer) -> String {
    let answer = login(server, &json!({ "api_key": KEY })).send().await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    cookie_of(&answer)
}

/// A request as a page of this server makes it.
pub(crate) fn from_page(server: &TestServer, method: Method, path: &str, cookie: &str) -> Call {
    let origin = format!("http://{}", server.address);
    server.anonymous(method, path).header("cookie", cookie).header("origin", &origin)
}

async fn status_of(server: &TestServer, cookie: &str) -> StatusCode {
    server.anonymous(Method::GET, "/api/admin/settings").header("cookie", cookie).send().await.status
}

/// Check 54.
#[tokio::test]
async fn a_login_answers_as_the_contract_does_and_sets_a_careful_cookie() {
    let server = TestServer::start().await;
    let answer = login(&server, &json!({ "api_key": KEY })).send().await;
    assert_eq!(answer.text(), r#"{"status":"ok","redirect":"/home"}"#);
    assert_eq!(answer.header("cache-control"), "no-store");
    let cookie = answer.header("set-cookie");
    let (token, attributes) = cookie.split_once("; ").expect("a token and attributes");
    assert_eq!(attributes, "HttpOnly; SameSite=Strict; Path=/; Max-Age=86400");
    let token = token.strip_prefix("session=").expect("its name");
    assert!(token.len() == 43 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{token}");
    let next = login(&server, &json!({"api_key": KEY, "next": "/loras?page=2"})).send().await;
    assert_eq!(next.text(), r#"{"status":"ok","redirect":"/loras?page=2"}"#);
}

/// Check 54: over HTTPS the cookie is for HTTPS alone, and only a trusted proxy may say that it is HTTPS (check 59).
#[tokio::test]
async fn the_cookie_is_secure_when_the_browser_speaks_https() {
    let public = [("LORAKEEP_PUBLIC_URL", "https://studio.example")];
    let trusted = [("LORAKEEP_TRUSTED_PROXIES", "127.0.0.1")];
    for (environment, proto, is_secure) in [
        (&public[..], "http", true),
        (&trusted[..], "https", true),
        (&trusted[..], "http", false),
        (&[][..], "https", false),
    ] {
        let server = TestServer::start_with(Setup { environment, ..Setup::default() }).await;
        let call = login(&server, &json!({ "api_key": KEY })).header("x-forwarded-proto", proto);
        let cookie = call.send().await.header("set-cookie").to_owned();
        assert_eq!(cookie.ends_with("; Secure"), is_secure, "{environment:?}, {proto}: {cookie}");
    }
}

#[tokio::test]
async fn a_wrong_key_begins_no_session() {
    let server = TestServer::start().await;
    for key in ["", "x", &KEY[1..], &format!("{KEY} ")] {
        let answer = login(&server, &json!({ "api_key": key })).send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (401, r#"{"detail":"Invalid API key"}"#),
            "{key:?}"
        );
        assert!(!answer.headers.contains_key("set-cookie"));
    }
    for body in [json!({}), json!({"api_key": 1}), json!({"api_key": KEY, "role": "admin"})] {
        assert_eq!(login(&server, &body).send().await.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    }
}

/// Check 53.
#[tokio::test]
async fn who_guesses_at_the_login_has_to_wait_and_nobody_else() {
    let environment = [("LORAKEEP_TRUSTED_PROXIES", "127.0.0.1")];
    let server = TestServer::start_with(Setup { environment: &environment, ..Setup::default() }).await;
    let guess = |key: String, address: &str| {
        login(&server, &json!({ "api_key": key })).header("x-forwarded-for", address)
    };
    let mut refused = None;
    for number in 0..100 {
        let answer = guess(format!("guess-{number}"), "198.51.100.1").send().await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
        }
    }
    let refused = refused.expect("it had to wait");
    assert!(refused.header("retry-after").parse::<u64>().expect("seconds") >= 1);
    let right = guess(KEY.to_owned(), "198.51.100.1").send().await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS, "the right key is not told from a wrong one");
    assert_eq!(guess(KEY.to_owned(), "198.51.100.2").send().await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_session_opens_what_the_key_opens_and_is_kept_by_use() {
    let server = TestServer::start().await;
    let cookie = log_in(&server).await;
    let read = server.anonymous(Method::GET, "/api/admin/models").header("cookie", &cookie).send().await;
    assert_eq!(read.status, StatusCode::OK);
    assert_eq!(cookie_of(&read), cookie, "the browser keeps it for another day");
    let write = from_page(&server, Method::POST, "/api/admin/scan", &cookie).send().await;
    assert_eq!(write.status, StatusCode::OK, "{}", write.text());
    let health = server.anonymous(Method::GET, "/api/health").header("cookie", &cookie).send().await;
    assert_eq!(health.json()["authenticated"], true);
    let beside_a_wrong_key = server
        .anonymous(Method::GET, "/api/admin/settings")
        .header("x-api-key", "old")
        .header("cookie", &cookie);
    assert_eq!(beside_a_wrong_key.send().await.status, StatusCode::OK);
}

/// Check 54: the id before a login is not the one after it, and the one before is over.
#[tokio::test]
async fn each_login_has_a_session_of_its_own_in_place_of_the_one_before() {
    let server = TestServer::start().await;
    let first = log_in(&server).await;
    let second = cookie_of(&login(&server, &json!({ "api_key": KEY })).header("cookie", &first).send().await);
    assert_ne!(first, second);
    assert_eq!(status_of(&server, &first).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status_of(&server, &second).await, StatusCode::OK);
    let chosen = "session=chosenbysomebodyelse";
    let mine = cookie_of(&login(&server, &json!({ "api_key": KEY })).header("cookie", chosen).send().await);
    assert_ne!(mine, chosen);
    assert_eq!(status_of(&server, chosen).await, StatusCode::UNAUTHORIZED);
}

/// Check 49: a logout ends the session on the server.
#[tokio::test]
async fn a_logout_leads_to_the_login_and_ends_the_session() {
    let server = TestServer::start().await;
    let (cookie, other) = (log_in(&server).await, log_in(&server).await);
    let answer = from_page(&server, Method::POST, "/api/auth/logout", &cookie).send().await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::FOUND, "/login"));
    assert_eq!(answer.header("set-cookie"), "session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    assert_eq!(status_of(&server, &cookie).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status_of(&server, &other).await, StatusCode::OK, "another browser's goes on");
    let again = from_page(&server, Method::POST, "/api/auth/logout", &cookie).send().await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED, "who is not logged in cannot log out");
}

/// Check 49: another key ends every session, over a restart too.
#[tokio::test]
async fn another_key_ends_every_session_and_the_same_key_keeps_them() {
    let mut server = TestServer::start().await;
    let cookie = log_in(&server).await;
    server.stop().await;
    let mut server = server.restart(&[]).await;
    assert_eq!(status_of(&server, &cookie).await, StatusCode::OK, "a session survives a restart");
    server.stop().await;
    let server = server.restart(&[("API_KEY", "another-key-for-tests")]).await;
    assert_eq!(status_of(&server, &cookie).await, StatusCode::UNAUTHORIZED);
}

/// Check 49: a rotated key stops, and with it every session.
#[tokio::test]
async fn a_rotated_key_is_shown_once_and_the_old_one_stops() {
    let server = TestServer::start_without_key().await;
    let old = server.registry.take_first_start_key().await.expect("made").expect("a first start");
    let cookie = cookie_of(&login(&server, &json!({ "api_key": old })).send().await);
    let rotated = from_page(&server, Method::POST, "/api/admin/admin-key/rotate", &cookie).send().await;
    assert_eq!((rotated.status, rotated.header("cache-control")), (StatusCode::OK, "no-store"));
    let new = rotated.json()["key"].as_str().expect("a key").to_owned();
    assert_eq!(rotated.json(), json!({ "key": new }));
    assert_eq!(status_of(&server, &cookie).await, StatusCode::UNAUTHORIZED);
    for (key, status) in [(&old, StatusCode::UNAUTHORIZED), (&new, StatusCode::OK)] {
        let call = server.anonymous(Method::GET, "/api/admin/settings").header("x-api-key", key);
        assert_eq!(call.send().await.status, status);
    }
}

#[tokio::test]
async fn a_configured_key_is_not_rotated() {
    let server = TestServer::start().await;
    let refused = server.post("/api/admin/admin-key/rotate").await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.header("x-error-code"), "key_configured");
}

/// Check 65.
#[tokio::test]
async fn a_login_never_leads_to_another_site() {
    let server = TestServer::start().await;
    for next in
        ["//e.example", "/\\e.example", "https:e.example", "https://e.example", "/\t/e.example", "\\\\e"]
    {
        let answer = login(&server, &json!({"api_key": KEY, "next": next})).send().await;
        assert_eq!(answer.json()["redirect"], "/home", "{next:?}");
    }
}

/// The form of the page at `/login`, as a browser sends it.
fn form(server: &TestServer, body: &str) -> Call {
    let origin = format!("http://{}", server.address);
    let call = server.anonymous(Method::POST, "/login").header("origin", &origin);
    call.body("application/x-www-form-urlencoded", body.to_owned())
}

#[tokio::test]
async fn a_person_logs_in_at_the_door_and_is_led_on() {
    let server = TestServer::start().await;
    let door = server.anonymous(Method::GET, "/login?next=%2Fdownloads").send().await;
    assert_eq!(door.status, StatusCode::OK);
    assert!(door.text().contains(r#"name="next" value="/downloads""#), "{}", door.text());
    let answer =
        form(&server, &format!("api_key=+{KEY}%0D%0A&next=%2Fdownloads&username=admin")).send().await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/downloads"));
    let cookie = cookie_of(&answer);
    let page = server.anonymous(Method::GET, "/downloads").header("cookie", &cookie).send().await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(cookie_of(&page), cookie, "a page keeps the session as well");
    let again = server.anonymous(Method::GET, "/login?next=/bin").header("cookie", &cookie).send().await;
    assert_eq!((again.status, again.header("location")), (StatusCode::SEE_OTHER, "/bin"));
}

/// Check 65, check 66: what the address says is neither followed to another site nor written as it stands.
#[tokio::test]
async fn the_door_leads_nowhere_else_and_writes_nothing_unescaped() {
    let server = TestServer::start().await;
    for next in
        ["%2F%2Fe.example", "%2F%5Ce.example", "https:e.example", "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E"]
    {
        let door = server.anonymous(Method::GET, &format!("/login?next={next}")).send().await;
        assert!(door.text().contains(r#"name="next" value="/home""#), "{next}: {}", door.text());
        let answer = form(&server, &format!("api_key={KEY}&next={next}")).send().await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/home"), "{next}");
    }
    let quoted = server.anonymous(Method::GET, "/login?next=/%22%3E%3Cimg%20src%3Dx%3E").send().await;
    assert!(!quoted.text().contains("<img src=x"), "{}", quoted.text());
    let policy = quoted.header("content-security-policy");
    for part in ["default-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
}

#[tokio::test]
async fn the_door_says_why_it_stays_closed() {
    let server = TestServer::start().await;
    let wrong = form(&server, "api_key=wrong&next=/bin").send().await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(wrong.text().contains("This is not the admin key.") && wrong.text().contains(r#"value="/bin""#));
    let foreign = server.anonymous(Method::POST, "/login").header("origin", "https://evil.example");
    let foreign = foreign.body("application/x-www-form-urlencoded", format!("api_key={KEY}")).send().await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    assert!(!foreign.headers.contains_key("set-cookie"));
    let other = server.anonymous(Method::POST, "/login").json(&json!({ "api_key": KEY })).send().await;
    assert_eq!(other.status, StatusCode::BAD_REQUEST);
}
