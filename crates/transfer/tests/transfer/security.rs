//! Where requests go, what goes with them, and what is said about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lorakeep_standin::{Fault, Times, Upstream};
use lorakeep_transfer::{
    AddressRule, Credential, EngineOptions, Event, HostPolicy, Request, TransferError, guarded_client,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{KIB, MIB, Rig};

const CERTIFICATE: &[u8] = include_bytes!("data/localhost.cert.der");
/// Belongs to the self-signed certificate above and to nothing else.
const KEY: &[u8] = include_bytes!("data/localhost.key.der");

fn with_token(rig: &Rig, mut request: Request) -> Request {
    let home = rig.standin.huggingface_url().parse().unwrap();
    request.credential = Some(Credential::bearer(&home, "hf_standin".into()));
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_goes_to_its_own_host_and_to_no_other() {
    let rig = Rig::new().await;
    let (spec, request) = rig.hub(4 * MIB);
    rig.standin.fault("hub.safetensors", Fault::ShortBody(MIB), Times::Once);
    let fetched = rig.fetch(with_token(&rig, request)).await.unwrap();
    rig.assert_published(&spec);
    assert!(fetched.verified);
    for seen in rig.standin.requests() {
        let expected = (seen.upstream == Upstream::HuggingFace).then_some("Bearer hf_standin");
        assert_eq!(seen.authorization.as_deref(), expected, "{}", seen.path);
        assert!(!seen.query.contains("hf_standin"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_not_come_back_when_a_redirect_returns_home() {
    let rig = Rig::new().await;
    let (_, request) = rig.hub(MIB);
    // Home, away, and home again: whoever sits between must not fetch with our rights.
    let away = format!("{}/away", rig.standin.storage_url());
    rig.standin.fault("/standin/demo/resolve/main/", Fault::RedirectTo(away), Times::Once);
    let back = format!("{}/standin/demo/resolve/main/hub.safetensors", rig.standin.huggingface_url());
    rig.standin.fault("/away", Fault::RedirectTo(back), Times::Always);
    rig.fetch(with_token(&rig, request)).await.unwrap();
    let home: Vec<_> = rig
        .standin
        .requests_to(Upstream::HuggingFace)
        .into_iter()
        .map(|seen| seen.authorization.is_some())
        .collect();
    assert_eq!(home, [true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_in_no_text_event_or_journal() {
    let rig = Rig::new().await;
    let (_, request) = rig.hub(2 * MIB);
    let mut texts = Vec::new();
    let faults = [
        Fault::status(503),
        Fault::status(403),
        Fault::RedirectLoop,
        Fault::HtmlPage200,
        Fault::GzipEncoding,
        Fault::WrongContentRange,
        Fault::ShortBody(10 * KIB),
        Fault::RedirectTo("http://user:hunter2@10.0.0.1/?X-Amz-Signature=hunter2".to_owned()),
    ];
    for fault in faults {
        rig.standin.clear_faults();
        rig.standin.fault("/", fault, Times::Always);
        let mut secret = rig.request(&format!("{}?token=hunter2", request.url));
        let home = rig.standin.huggingface_url().parse().unwrap();
        secret.credential = Some(Credential::bearer(&home, "hunter2".into()));
        texts.push(format!("{:?}", secret.credential));
        match rig.fetch(secret).await {
            Ok(fetched) => texts.push(format!("{fetched:?}")),
            Err(error) => texts.push(format!("{error} {error:?}")),
        }
        texts.push(std::fs::read_to_string(rig.journal()).unwrap_or_default());
    }
    texts.extend(rig.recorder.events().iter().map(|event| format!("{event:?}")));
    for text in texts {
        for secret in ["hunter2", "Signature", "Policy="] {
            assert!(!text.contains(secret), "`{secret}` in `{text}`");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_to_addresses_that_are_not_public_are_refused_at_that_hop() {
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = trap.local_addr().unwrap().port();
    let rig = Rig::new().await;
    let home: url::Url = rig.standin.huggingface_url().parse().unwrap();
    let options =
        EngineOptions { hosts: HostPolicy::public_only().allow_url(&home), ..crate::support::options() };
    let rig = Rig { engine: lorakeep_transfer::Engine::new(options).unwrap(), ..rig };
    let targets = [
        format!("http://127.0.0.2:{port}/x"),
        format!("https://0.0.0.0:{port}/x"),
        format!("http://2130706434:{port}/x"),
        format!("http://0x7f000002:{port}/x"),
        format!("http://[::ffff:127.0.0.1]:{port}/x"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://10.0.0.1/".to_owned(),
        "https://[fe80::1]/".to_owned(),
        "https://[64:ff9b::a9fe:a9fe]/".to_owned(),
    ];
    for target in targets {
        rig.standin.clear_faults();
        let (_, request) = rig.hub(MIB);
        rig.standin.fault("/standin/demo/", Fault::RedirectTo(target.clone()), Times::Always);
        let error = rig.fetch(request).await.unwrap_err();
        let refused =
            matches!(&error, TransferError::ForbiddenAddress { reason: AddressRule::NotPublic, .. });
        assert!(refused, "{target}: {error}");
    }
    for (target, rule) in [
        ("file:///etc/passwd", AddressRule::Scheme),
        ("ftp://a.example/x", AddressRule::Scheme),
        ("https://a@b.example/x", AddressRule::UserInfo),
        ("http://a.example/x", AddressRule::PlainHttp),
        ("https://a.example:22/x", AddressRule::Port),
        ("https://a.example:65536/x", AddressRule::Malformed),
    ] {
        rig.standin.clear_faults();
        let (_, request) = rig.hub(MIB);
        rig.standin.fault("/standin/demo/", Fault::RedirectTo(target.to_owned()), Times::Always);
        let error = rig.fetch(request).await.unwrap_err();
        let told = matches!(&error, TransferError::ForbiddenAddress { reason, .. } if *reason == rule);
        assert!(told, "{target}: {error}");
    }
    let knock = tokio::time::timeout(std::time::Duration::from_millis(50), trap.accept()).await;
    assert!(knock.is_err(), "nobody may have knocked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_upstream_may_send_on_to_its_own_host_on_another_port() {
    let rig = Rig::new().await;
    let home: url::Url = rig.standin.huggingface_url().parse().unwrap();
    let options =
        EngineOptions { hosts: HostPolicy::public_only().allow_url(&home), ..crate::support::options() };
    let rig = Rig { engine: lorakeep_transfer::Engine::new(options).unwrap(), ..rig };
    let (_, request) = rig.hub(MIB);
    rig.fetch(request).await.expect("the storage runs beside the upstream");
    let direct = rig.request(&format!("{}/files/x", rig.standin.storage_url()));
    let error = rig.fetch(direct).await.unwrap_err();
    assert!(matches!(error, TransferError::ForbiddenAddress { .. }), "nobody may go there directly: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_to_a_private_address_is_refused_without_telling_where_it_leads() {
    let rig = Rig::with(|options| options.hosts = HostPolicy::public_only()).await;
    // This machine's own name leads to itself.
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
    let addresses: Vec<_> = match tokio::net::lookup_host((name.as_str(), 443)).await {
        Ok(found) => found.collect(),
        Err(_) => return,
    };
    assert!(addresses.iter().all(|address| !lorakeep_transfer::is_public(address.ip())));
    let error = rig.fetch(rig.request(&format!("https://{name}/x"))).await.unwrap_err();
    let refused = matches!(&error, TransferError::ForbiddenAddress { reason: AddressRule::NotPublic, .. });
    assert!(refused, "{error}");
    assert!(
        addresses.iter().all(|address| !error.to_string().contains(&address.ip().to_string())),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guarded_client_goes_where_the_policy_lets_it() {
    let rig = Rig::new().await;
    let (_, request) = rig.plain(KIB);
    let timeouts = lorakeep_transfer::Timeouts::default();
    let open = HostPolicy::public_only().allow_host("localhost").unwrap();
    let client = guarded_client(&open, "test/1.0", timeouts).unwrap();
    assert!(client.get(request.url.clone()).send().await.unwrap().status().is_success());
    let closed = guarded_client(&HostPolicy::public_only(), "test/1.0", timeouts).unwrap();
    assert!(closed.get(request.url.clone()).send().await.is_err());
    assert_eq!(rig.standin.requests().len(), 1);
    assert_eq!(rig.standin.requests()[0].user_agent.as_deref(), Some("test/1.0"));
}

/// Answers every TLS connection with `answer`; counts connections.
async fn tls_server(answer: &str) -> (u16, Arc<AtomicUsize>) {
    tls_server_at("127.0.0.1", answer).await
}

async fn tls_server_at(address: &str, answer: &str) -> (u16, Arc<AtomicUsize>) {
    let answer = answer.to_owned();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(CERTIFICATE)],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(KEY)),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_vouches_for_is_refused_at_once() {
    let (port, count) = tls_server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    let rig = Rig::new().await;
    let error = rig.fetch(rig.request(&format!("https://localhost:{port}/x"))).await.unwrap_err();
    assert!(matches!(&error, TransferError::Certificate { host, .. } if host == "localhost"), "{error}");
    assert_eq!((count.load(Ordering::SeqCst), rig.recorder.retries()), (1, 0), "asked once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_trusted_authority_is_accepted_and_a_wrong_name_is_not() {
    let (port, _) = tls_server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    let rig = Rig::with(|options| {
        options.extra_roots = vec![CertificateDer::from(CERTIFICATE)];
        options.hosts =
            HostPolicy::public_only().allow_host("localhost").unwrap().allow_host("127.0.0.2").unwrap();
    })
    .await;
    let fetched = rig.fetch(rig.request(&format!("https://localhost:{port}/x"))).await.unwrap();
    assert_eq!(fetched.size, 2);
    // The certificate speaks for `localhost` and 127.0.0.1 only.
    let (other, _) = tls_server_at("127.0.0.2", "").await;
    let mut request = rig.request(&format!("https://127.0.0.2:{other}/x"));
    request.replace = true;
    assert_eq!(rig.fetch(request).await.unwrap_err().code(), "certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_address_does_not_lead_to_a_plain_one() {
    let rig = Rig::new().await;
    let (spec, plain) = rig.plain(MIB);
    let answer = format!("HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", plain.url);
    let (port, _) = tls_server(&answer).await;
    let trusting = |hosts| EngineOptions {
        extra_roots: vec![CertificateDer::from(CERTIFICATE)],
        hosts,
        ..crate::support::options()
    };
    // Only where both are configured, as with a local server behind a local proxy.
    let both = HostPolicy::public_only().allow_host("localhost").unwrap();
    let rig = Rig { engine: lorakeep_transfer::Engine::new(trusting(both)).unwrap(), ..rig };
    rig.fetch(rig.request(&format!("https://localhost:{port}/x"))).await.unwrap();
    rig.assert_published(&spec);
    let first = HostPolicy::public_only().allow_host(&format!("localhost:{port}")).unwrap();
    let rig = Rig { engine: lorakeep_transfer::Engine::new(trusting(first)).unwrap(), ..rig };
    let mut request = rig.request(&format!("https://localhost:{port}/x"));
    request.replace = true;
    assert_eq!(rig.fetch(request).await.unwrap_err().code(), "forbidden_address");
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_are_told_before_bytes_flow() {
    let rig = Rig::new().await;
    let (_, request) = rig.hub(MIB);
    rig.fetch(request).await.unwrap();
    let facts =
        rig.recorder.count(|event| matches!(event, Event::Facts(facts) if facts.linked_size == Some(MIB)));
    assert_eq!(facts, 1);
}
