//! Who may do what: every route by every kind of caller.

use http::Method;
use serde_json::json;

use crate::client::Call;
use crate::harness::{KEY, Vault, safetensors, with_form};

const ROUTES: [(&str, &str); 7] = [
    ("GET", "/api/v1/admin/lora"),
    ("GET", "/api/v1/admin/lora/facts?partial_path=a.pt"),
    ("GET", "/api/v1/admin/lora/file?partial_path=a.pt"),
    ("DELETE", "/api/v1/admin/lora"),
    ("POST", "/api/v1/admin/lora/restore"),
    ("POST", "/api/v1/admin/lora/purge"),
    ("POST", "/api/v1/admin/lora/upload"),
];

fn call(vault: &Vault, method: &str, path: &str) -> Call {
    Call::new(vault.address, method.parse().expect("a method"), path).json(&json!({"partial_path": "a.pt"}))
}

#[tokio::test]
async fn nobody_is_let_in_without_a_good_token() {
    let vault = Vault::start().await;
    let expired = vault.token(&json!({"role": "admin", "exp": vault.registry.now().timestamp() - 61}));
    let good = vault.token(&json!({"role": "admin"}));
    for (method, path) in ROUTES.into_iter().chain([("POST", "/api/v1/lora/upload")]) {
        let refused = [
            call(&vault, method, path),
            call(&vault, method, path).header("x-api-key", KEY),
            call(&vault, method, path).header("authorization", &good),
            call(&vault, method, path).header("authorization", "Bearer "),
            call(&vault, method, path).header("authorization", &format!("Bearer {expired}")),
            call(&vault, method, path).header("authorization", &format!("Bearer {good}x")),
            call(&vault, method, path)
                .header("authorization", &format!("Bearer {good}"))
                .header("authorization", &format!("Bearer {good}")),
        ];
        for call in refused {
            let answer = call.send().await;
            let expected = json!({"detail": "Not authenticated"});
            assert_eq!((answer.status.as_u16(), answer.json()), (401, expected), "{method} {path}");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
    }
}

#[tokio::test]
async fn a_role_opens_its_routes_and_a_scope_cuts_them() {
    let vault = Vault::start().await;
    let user = json!({"role": "user"});
    let reader = json!({"role": "admin", "scope": "lora:read"});
    let deleter = json!({"role": "user", "scope": "lora:delete"});
    let nobody = json!({});
    for (method, path) in ROUTES {
        let is_read = method == "GET";
        for (claims, is_open) in [(&user, is_read), (&reader, is_read), (&deleter, false), (&nobody, false)] {
            let token = vault.token(claims);
            let answer =
                call(&vault, method, path).header("authorization", &format!("Bearer {token}")).send().await;
            assert_eq!(answer.status != 403, is_open, "{method} {path} {claims}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn users_upload_by_their_own_route_only() {
    let vault = Vault::start().await;
    let cases = [
        (json!({"role": "user"}), 200),
        (json!({"role": "admin"}), 200),
        (json!({"scope": "lora:upload"}), 200),
        (json!({"role": "user", "scope": "lora:read"}), 403),
        (json!({}), 403),
    ];
    for (claims, status) in cases {
        let call = vault.call(Method::POST, "/api/v1/lora/upload", &vault.token(&claims));
        let answer = with_form(call, "a.safetensors", &safetensors(200, 1), &[]).send().await;
        assert_eq!(answer.status, status, "{claims}: {}", answer.text());
    }
}

#[tokio::test]
async fn open_uploads_need_no_token_and_a_wrong_one_is_still_wrong() {
    let vault = Vault::start_with_file("[uploads]\nanonymous = true\n").await;
    let upload = || Call::new(vault.address, Method::POST, "/api/v1/lora/upload");
    let content = safetensors(200, 1);
    assert_eq!(with_form(upload(), "a.safetensors", &content, &[]).send().await.status, 200);
    let wrong = upload().header("authorization", "Bearer x");
    assert_eq!(with_form(wrong, "a.safetensors", &content, &[]).send().await.status, 401);
    let admins = Call::new(vault.address, Method::POST, "/api/v1/admin/lora/upload");
    assert_eq!(with_form(admins, "a.safetensors", &content, &[]).send().await.status, 401);
}
