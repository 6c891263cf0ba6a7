//! Good tokens of every kind, and the tricks that tokens are known for.

use std::path::PathBuf;

use lorakeep_registry::domain::Role;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};

use super::*;

const SECRET: &str = "a-secret-for-tests-only-0123456789";
const NOW: i64 = 1_800_000_000;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name)
}

/// The DER of a private key file; test keys of no use elsewhere.
fn private(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(file(name)).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap()
}

fn access() -> AccessConfig {
    AccessConfig {
        api_key: None,
        jwt_secret: None,
        jwt_public_key: None,
        jwt_jwks: None,
        jwt_audience: None,
        jwt_issuer: None,
    }
}

fn by_secret() -> Verifier {
    let access = AccessConfig { jwt_secret: Some(SECRET.to_owned().into()), ..access() };
    Verifier::load(&access).unwrap().unwrap()
}

fn by_pem(name: &str) -> Verifier {
    let access = AccessConfig { jwt_public_key: Some(file(name)), ..access() };
    Verifier::load(&access).unwrap().unwrap()
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(NOW, 0).unwrap()
}

fn claims() -> Value {
    json!({"sub": "ann", "role": "user", "exp": NOW + 60})
}

fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", key::encoded(header.to_string()), key::encoded(claims.to_string()))
}

/// A token with that header, signed by the secret whatever the header says.
fn by_header(header: &Value) -> String {
    let signed = unsigned(header, &claims());
    let signature = key::hs256(SECRET.as_bytes(), signed.as_bytes());
    format!("{signed}.{}", key::encoded(signature))
}

fn with_claims(claims: &Value) -> String {
    issue(&SECRET.to_owned().into(), claims)
}

#[test]
fn a_good_token_names_its_holder() {
    let holder = by_secret().verify(&with_claims(&claims()), now()).unwrap();
    assert_eq!(holder, TokenCaller { subject: "ann".into(), role: Some(Role::User), scopes: None });
    let scoped = json!({"sub": "bob", "exp": NOW + 60, "scope": "lora:read  lora:upload"});
    let holder = by_secret().verify(&with_claims(&scoped), now()).unwrap();
    assert_eq!(holder.scopes.unwrap(), ["lora:read", "lora:upload"]);
}

#[test]
fn each_public_key_checks_its_own_algorithm_and_no_other() {
    let rsa = RsaKeyPair::from_pkcs8(&private("rsa.pem")).unwrap();
    let random = SystemRandom::new();
    let p256 =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private("p256.pem"), &random).unwrap();
    let ed25519 = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&private("ed25519.pem")).unwrap();
    let sign = |algorithm: &str| {
        let signed = unsigned(&json!({"alg": algorithm, "kid": "7"}), &claims());
        let signature = match algorithm {
            "RS256" => {
                let mut signature = vec![0; rsa.public().modulus_len()];
                rsa.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
            "ES256" => p256.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
            _ => ed25519.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        format!("{signed}.{}", key::encoded(signature))
    };
    let kinds = [("RS256", "rsa.pub.pem"), ("ES256", "p256.pub.pem"), ("EdDSA", "ed25519.pub.pem")];
    for (algorithm, own) in kinds {
        for (_, other) in kinds {
            let verdict = by_pem(other).verify(&sign(algorithm), now());
            assert_eq!(verdict.is_ok(), own == other, "{algorithm} by {other}: {verdict:?}");
        }
        assert_eq!(by_secret().verify(&sign(algorithm), now()), Err(TokenError::NoKey));
    }
    assert_eq!(p256.public_key().as_ref().len(), 65);
}

#[test]
fn keys_of_a_set_are_found_by_their_id() {
    let ed25519 = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&private("ed25519.pem")).unwrap();
    let point = key::encoded(ed25519.public_key());
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("keys.json");
    let keys = json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "new", "use": "sig", "x": point},
        {"kty": "OKP", "crv": "Ed25519", "kid": "sealed", "use": "enc", "x": point},
        {"kty": "oct", "k": "c2VjcmV0"},
    ]});
    std::fs::write(&set, keys.to_string()).unwrap();
    let access = AccessConfig { jwt_jwks: Some(set), ..access() };
    let verifier = Verifier::load(&access).unwrap().unwrap();
    let sign = |header: Value| {
        let signed = unsigned(&header, &claims());
        format!("{signed}.{}", key::encoded(ed25519.sign(signed.as_bytes())))
    };
    assert!(verifier.verify(&sign(json!({"alg": "EdDSA", "kid": "new"})), now()).is_ok());
    assert!(verifier.verify(&sign(json!({"alg": "EdDSA"})), now()).is_ok());
    for kid in ["old", "sealed", "../../dev/null", "' OR 1=1", "https://evil.example/k"] {
        let verdict = verifier.verify(&sign(json!({"alg": "EdDSA", "kid": kid})), now());
        assert_eq!(verdict, Err(TokenError::NoKey), "{kid}");
    }
}

#[test]
fn what_a_header_asks_for_beyond_its_algorithm_is_refused() {
    for field in REFUSED_FIELDS {
        let header = json!({"alg": "HS256", field: "https://evil.example/keys"});
        assert_eq!(by_secret().verify(&by_header(&header), now()), Err(TokenError::Header(field)));
    }
    for algorithm in ["none", "None", "NONE", "HS384", "HS512", "RS256", "hs256", ""] {
        let verdict = by_secret().verify(&by_header(&json!({"alg": algorithm})), now());
        assert_eq!(verdict, Err(TokenError::NoKey), "{algorithm}");
    }
    assert!(by_secret().verify(&by_header(&json!({"typ": "JWT"})), now()).is_err());
    assert!(by_secret().verify(&by_header(&json!({"alg": "HS256", "kid": 7})), now()).is_err());
}

#[test]
fn a_public_key_is_no_secret() {
    let public = std::fs::read(file("rsa.pub.pem")).unwrap();
    let signed = unsigned(&json!({"alg": "HS256"}), &claims());
    let token = format!("{signed}.{}", key::encoded(key::hs256(&public, signed.as_bytes())));
    assert_eq!(by_pem("rsa.pub.pem").verify(&token, now()), Err(TokenError::NoKey));
}

#[test]
fn an_edited_or_unsigned_token_is_refused() {
    let good = with_claims(&claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let edited = unsigned(
        &json!({"alg": "HS256", "typ": "JWT"}),
        &json!({"sub": "ann", "role": "admin", "exp": NOW + 60}),
    );
    let cases = [
        format!("{edited}.{signature}"),
        format!("{signed}."),
        format!("{signed}.{}", &signature[..signature.len() - 2]),
        signed.to_owned(),
        format!("{good}.x"),
        format!("{good}="),
        format!(" {good}"),
        String::new(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        "x".repeat(2 << 20),
    ];
    for token in cases {
        let shown: String = token.chars().take(40).collect();
        assert!(by_secret().verify(&token, now()).is_err(), "{shown}");
    }
}

#[test]
fn claims_hold_now_or_not_at_all() {
    let cases = [
        (json!({"exp": NOW - 29}), true),
        (json!({"exp": NOW - 30}), false),
        (json!({"exp": NOW - 61}), false),
        (json!({"exp": null}), false),
        (json!({"exp": "1900000000"}), false),
        (json!({"exp": 1e308}), true),
        (json!({"nbf": NOW + 30}), true),
        (json!({"nbf": NOW + 31}), false),
        (json!({"nbf": "0"}), false),
        (json!({"iat": NOW + 600}), false),
        (json!({"sub": ""}), false),
        (json!({"sub": 7}), false),
        (json!({"role": "root"}), false),
        (json!({"role": ["admin"]}), false),
        (json!({"scope": ["lora:read"]}), false),
        (json!({"jti": "x", "name": {"any": 1}}), true),
        // Nobody said whom tokens are for, nor who may make them.
        (json!({"aud": ["a", "b"]}), false),
        (json!({"aud": "a"}), false),
        (json!({"iss": "i"}), false),
        (json!({"aud": 7}), false),
    ];
    for (changed, holds) in cases {
        let mut claims = claims();
        for (name, value) in changed.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let verdict = by_secret().verify(&with_claims(&claims), now());
        assert_eq!(verdict.is_ok(), holds, "{changed}: {verdict:?}");
    }
    for missing in ["sub", "exp"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(missing);
        assert!(by_secret().verify(&with_claims(&claims), now()).is_err(), "{missing}");
    }
    assert!(by_secret().verify(&with_claims(&json!(["ann", NOW + 60])), now()).is_err());
}

#[test]
fn audience_and_issuer_are_required_where_they_are_configured() {
    let access = AccessConfig {
        jwt_secret: Some(SECRET.to_owned().into()),
        jwt_audience: Some("lorakeep".into()),
        jwt_issuer: Some("studio".into()),
        ..access()
    };
    let verifier = Verifier::load(&access).unwrap().unwrap();
    let cases = [
        (json!({"aud": "lorakeep", "iss": "studio"}), true),
        (json!({"aud": ["other", "lorakeep"], "iss": "studio"}), true),
        (json!({"aud": "other", "iss": "studio"}), false),
        (json!({"aud": [], "iss": "studio"}), false),
        (json!({"aud": "lorakeep", "iss": "other"}), false),
        (json!({"aud": "lorakeep"}), false),
        (json!({"iss": "studio"}), false),
    ];
    for (more, holds) in cases {
        let mut claims = claims();
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        assert_eq!(verifier.verify(&with_claims(&claims), now()).is_ok(), holds, "{more}");
    }
}

#[test]
fn a_secret_that_can_be_guessed_is_refused() {
    let short = AccessConfig { jwt_secret: Some("x".repeat(31).into()), ..access() };
    let refusal = Verifier::load(&short).unwrap_err().to_string();
    assert!(refusal.contains("31 bytes and needs 32") && !refusal.contains("xx"), "{refusal}");
    let long = AccessConfig { jwt_secret: Some("x".repeat(32).into()), ..access() };
    assert!(Verifier::load(&long).unwrap().is_some());
}

#[test]
fn a_key_file_that_holds_no_key_is_refused() {
    for name in ["rsa.pem", "none.pem"] {
        let access = AccessConfig { jwt_public_key: Some(file(name)), ..access() };
        assert!(Verifier::load(&access).is_err(), "{name}");
    }
    assert!(Verifier::load(&access()).unwrap().is_none());
}
