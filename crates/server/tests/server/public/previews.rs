//! Pictures of styles.

use std::io::Cursor;

use http::Method;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use serde_json::json;

use super::shop::Shop;
use crate::client::Answer;

pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let picture = DynamicImage::ImageRgb8(RgbImage::from_pixel(width, height, Rgb([200, 100, 50])));
    picture.write_to(&mut bytes, ImageFormat::Png).expect("written");
    bytes.into_inner()
}

async fn put(shop: &Shop, picture: &[u8]) -> Answer {
    let call = shop.server.admin(Method::PUT, "/api/admin/styles/ink/preview");
    call.form("file", picture).send().await
}

#[tokio::test]
async fn a_picture_is_made_anew_and_served_for_good_to_everybody() {
    let shop = Shop::open().await;
    shop.offer(json!({"name": "Ink"})).await;
    let set = put(&shop, &png(2000, 1000)).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let url =
        shop.get("/v1/loras/ink").await.json()["preview_image_url"].as_str().expect("an address").to_owned();
    let path =
        url.strip_prefix(&format!("http://{}", shop.server.address)).expect("on this server").to_owned();
    assert_eq!(set.json()["preview_image_url"], path.as_str());
    let sent = shop.server.anonymous(Method::GET, &path).send().await;
    assert_eq!((sent.status.as_u16(), sent.header("content-type")), (200, "image/jpeg"));
    assert_eq!(sent.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(sent.header("cross-origin-resource-policy"), "cross-origin", "it is for customers' pages");
    let read = image::load_from_memory(&sent.body).expect("a picture");
    assert_eq!((read.width(), read.height()), (1024, 512));
    let other = put(&shop, &png(10, 10)).await.json()["preview_image_url"].clone();
    assert_ne!(other, path.as_str(), "another picture has another address");
    assert_eq!(
        shop.server.anonymous(Method::GET, &path).send().await.status,
        200,
        "pages that are open keep theirs"
    );
    assert_eq!(
        shop.server.delete("/api/admin/styles/ink/preview").await.json()["preview_image_url"],
        json!(null)
    );
}

#[tokio::test]
async fn what_is_no_picture_is_refused() {
    let shop = Shop::open().await;
    shop.offer(json!({"name": "Ink"})).await;
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>";
    for picture in [&svg[..], b"", b"\x89PNG\r\n\x1a\n", &png(10, 10)[..40], &png(17_000, 1)] {
        let refused = put(&shop, picture).await;
        assert_eq!(
            (refused.status.as_u16(), refused.header("x-error-code")),
            (400, "bad_picture"),
            "{}",
            refused.text()
        );
    }
    assert_eq!(put(&shop, &vec![0; 17 << 20]).await.status, 413);
    for name in ["x", "..%2f..%2florakeep.db", &format!("{}.jpg", "0".repeat(40))] {
        let path = format!("/v1/previews/{name}");
        assert_eq!(shop.server.anonymous(Method::GET, &path).send().await.status, 404, "{name}");
    }
}
