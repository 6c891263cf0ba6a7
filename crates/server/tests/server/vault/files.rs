//! The bytes of one file.

use http::Method;

use crate::harness::{Vault, safetensors};

const PATH: &str = "/api/v1/admin/lora/file?partial_path=styles/a.safetensors";

#[tokio::test]
async fn a_file_is_read_whole_or_in_part() {
    let vault = Vault::start().await;
    let content = safetensors(100_000, 7);
    vault.upload("a.safetensors", &content, &[("entity_type", "styles")]).await;
    let whole = vault.admin(Method::GET, PATH).send().await;
    assert_eq!((whole.status.as_u16(), whole.header("accept-ranges")), (200, "bytes"));
    assert_eq!(whole.body.as_ref(), content);
    let part = vault.admin(Method::GET, PATH).header("range", "bytes=4-9").send().await;
    assert_eq!((part.status.as_u16(), part.header("content-range")), (206, "bytes 4-9/100000"));
    assert_eq!(part.body.as_ref(), &content[4..10]);
    let none = vault.admin(Method::GET, PATH).header("range", "bytes=100000-").send().await;
    assert_eq!((none.status.as_u16(), none.header("content-range")), (416, "bytes */100000"));
    let known = vault.admin(Method::GET, PATH).header("if-none-match", whole.header("etag")).send().await;
    assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));
    let head = vault.admin(Method::HEAD, PATH).send().await;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.body.len()), (200, "100000", 0));
}

#[tokio::test]
async fn links_and_folders_are_not_read() {
    let vault = Vault::start().await;
    let outside = vault.root().join("secret.safetensors");
    std::fs::write(&outside, "secret").unwrap();
    std::fs::create_dir_all(vault.models_dir().join("loras/styles")).unwrap();
    std::os::unix::fs::symlink(&outside, vault.models_dir().join("loras/styles/a.safetensors")).unwrap();
    assert_eq!(vault.admin(Method::GET, PATH).send().await.status, 404);
    let folder = "/api/v1/admin/lora/file?partial_path=styles";
    assert_eq!(vault.admin(Method::GET, folder).send().await.status, 404);
}
