//! `GET /v1/loras` and one style of it.

use http::Method;
use serde_json::{Value, json};

use super::shop::Shop;

fn golden() -> Value {
    json!({
        "name": "Golden Hour Photography", "pair": "ghibli",
        "description": "Adds warm golden-hour lighting with soft lens flares",
        "default_denoise_strength": 0.8, "default_guidance_scale": 7.5, "default_steps": 30,
        "template": "{prompt}, golden hour",
    })
}

#[tokio::test]
async fn a_style_has_the_fields_of_the_contract_and_null_for_what_is_not_set() {
    let shop = Shop::open().await;
    let id = shop.offer(golden()).await["id"].clone();
    let bare = shop.offer(json!({"name": "Ink"})).await["id"].clone();
    let answer = shop.get("/v1/loras").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    let expected = json!([
        {
            "id": bare, "name": "Ink", "is_public": true, "created_at": "2026-03-23T12:00:00Z", "slug": "ink",
            "description": null, "preview_image_url": null, "default_denoise_strength": null,
            "default_guidance_scale": null, "default_steps": null, "has_template": false,
        },
        {
            "id": id, "name": "Golden Hour Photography", "is_public": true, "created_at": "2026-03-23T12:00:00Z",
            "slug": "golden-hour-photography",
            "description": "Adds warm golden-hour lighting with soft lens flares", "preview_image_url": null,
            "default_denoise_strength": 0.8, "default_guidance_scale": 7.5, "default_steps": 30, "has_template": true,
        },
    ]);
    assert_eq!(answer.json(), expected, "whole, and the newest first");
    let fields: Vec<String> = answer.json()[0].as_object().expect("a style").keys().cloned().collect();
    let order = [
        "id",
        "name",
        "is_public",
        "created_at",
        "slug",
        "description",
        "preview_image_url",
        "default_denoise_strength",
        "default_guidance_scale",
        "default_steps",
        "has_template",
    ];
    assert_eq!(fields, order, "in the order of the contract");
    let id = id.as_str().expect("an id").to_owned();
    assert!(id.len() == 31 && id.starts_with("lora_"), "{id}");
    for name in [&id, "golden-hour-photography"] {
        assert_eq!(shop.get(&format!("/v1/loras/{name}")).await.json(), expected[1]);
    }
}

#[tokio::test]
async fn a_style_of_a_team_is_there_for_that_team_alone() {
    let shop = Shop::open().await;
    shop.offer(json!({"name": "Ours", "pair": "ghibli", "team": "Northlight"})).await;
    shop.offer(json!({"name": "Everybody's"})).await;
    assert_eq!(shop.slugs("/v1/loras", &shop.key).await, ["everybodys", "ours"]);
    assert_eq!(shop.slugs("/v1/loras", &shop.other_key).await, ["everybodys"]);
    assert_eq!(shop.slugs("/v1/loras?public=false", &shop.key).await, ["ours"]);
    assert_eq!(shop.slugs("/v1/loras?public=true", &shop.key).await, ["everybodys"]);
    assert_eq!(shop.get("/v1/loras/ours").await.json()["is_public"], false);
    let refused = shop.call(Method::GET, "/v1/loras/ours", &shop.other_key).send().await;
    let unknown = shop.call(Method::GET, "/v1/loras/theirs", &shop.other_key).send().await;
    let message =
        |answer: &crate::client::Answer| answer.json()["error"]["message"].as_str().map(str::to_owned);
    assert_eq!(
        (refused.status.as_u16(), message(&refused)),
        (404, Some("style `ours` was not found".to_owned()))
    );
    assert_eq!(
        (unknown.status.as_u16(), message(&unknown)),
        (404, Some("style `theirs` was not found".to_owned()))
    );
}

#[tokio::test]
async fn a_style_comes_and_goes_as_the_studio_says() {
    let shop = Shop::open().await;
    shop.offer(json!({"name": "Ink"})).await;
    assert_eq!(shop.slugs("/v1/loras", &shop.key).await, ["ink"]);
    assert_eq!(shop.server.delete("/api/admin/styles/ink").await.status, 200);
    assert_eq!(shop.slugs("/v1/loras", &shop.key).await, [""; 0]);
    assert_eq!(shop.get("/v1/loras/ink").await.status, 404);
    assert_eq!(shop.server.post("/api/admin/styles/ink/restore").await.status, 200);
    assert_eq!(shop.slugs("/v1/loras", &shop.key).await, ["ink"]);
}

#[tokio::test]
async fn an_old_slug_leads_to_the_id() {
    let shop = Shop::open().await;
    let id = shop.offer(json!({"name": "Ink"})).await["id"].as_str().expect("an id").to_owned();
    let rename = shop.server.admin(Method::PATCH, "/api/admin/styles/ink").json(&json!({"slug": "sumi-e"}));
    assert_eq!(rename.send().await.status, 200);
    let moved = shop.get("/v1/loras/ink").await;
    assert_eq!((moved.status.as_u16(), moved.header("location")), (308, format!("/v1/loras/{id}").as_str()));
    assert_eq!(shop.get(moved.header("location")).await.json()["slug"], "sumi-e");
    assert_eq!(shop.get("/v1/loras/sumi-e").await.status, 200);
}

#[tokio::test]
async fn a_list_is_filtered_and_read_page_by_page() {
    let shop = Shop::open().await;
    for number in 1..=5 {
        shop.offer(json!({"name": format!("Ink {number}"), "description": "Black on paper"})).await;
    }
    shop.offer(json!({"name": "Ghibli Dream", "pair": "ghibli"})).await;
    assert_eq!(shop.slugs("/v1/loras?base_model=WAN%202.1", &shop.key).await, ["ghibli-dream"]);
    assert_eq!(shop.slugs("/v1/loras?base_model=WAN%202.1&exact=true", &shop.key).await, [""; 0]);
    assert_eq!(shop.slugs("/v1/loras?q=PAPER+4", &shop.key).await, ["ink-4"]);
    let mut path = "/v1/loras?q=paper&limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let answer = shop.get(&path).await;
        seen.extend(answer.json().as_array().expect("an array").iter().map(|style| style["slug"].clone()));
        let link = answer.header("link");
        let Some(next) = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")) else {
            assert_eq!(link, "");
            break;
        };
        let base = format!("http://{}", shop.server.address);
        path = next.strip_prefix(&base).expect("on this server").to_owned();
    }
    assert_eq!(seen, ["ink-5", "ink-4", "ink-3", "ink-2", "ink-1"]);
    for (query, code) in [
        ("limit=0", "out_of_bounds"),
        ("limit=1001", "out_of_bounds"),
        ("limit=many", "out_of_bounds"),
        ("public=perhaps", "out_of_bounds"),
        ("cursor=1", "bad_cursor"),
    ] {
        let refused = shop.get(&format!("/v1/loras?{query}")).await;
        assert_eq!(
            (refused.status.as_u16(), refused.json()["error"]["code"].as_str()),
            (400, Some(code)),
            "{query}"
        );
    }
}

#[tokio::test]
async fn who_has_the_list_is_told_so_and_who_takes_gzip_gets_it() {
    let shop = Shop::open().await;
    for number in 1..=20 {
        shop.offer(json!({"name": format!("Ink {number}")})).await;
    }
    let plain = shop.get("/v1/loras").await;
    let (etag, key) = (plain.header("etag").to_owned(), shop.key.clone());
    let again = shop.call(Method::GET, "/v1/loras", &key).header("if-none-match", &etag).send().await;
    assert_eq!((again.status.as_u16(), again.body.len(), again.header("etag")), (304, 0, etag.as_str()));
    let packed = shop.call(Method::GET, "/v1/loras", &key).header("accept-encoding", "gzip").send().await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.len() * 3 < plain.body.len() && packed.header("etag") != etag);
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed.body[..]), &mut unpacked)
        .expect("gzip");
    assert_eq!(unpacked, plain.body);
    assert!(
        packed.header("vary").contains("x-api-key") && packed.header("cache-control") == "private, no-cache"
    );
    shop.offer(json!({"name": "Newer"})).await;
    let newer = shop.call(Method::GET, "/v1/loras", &key).header("if-none-match", &etag).send().await;
    assert_eq!((newer.status.as_u16(), newer.json().as_array().map(Vec::len)), (200, Some(21)));
}

#[tokio::test]
async fn a_list_says_where_it_is_by_the_configured_address() {
    let environment = [("LORAKEEP_PUBLIC_URL", "https://styles.example/keep/")];
    let setup = crate::harness::Setup { environment: &environment, ..crate::harness::Setup::default() };
    let shop = Shop::open_with(setup).await;
    for name in ["One", "Two"] {
        shop.offer(json!({ "name": name })).await;
    }
    let link = shop.get("/v1/loras?limit=1").await.header("link").to_owned();
    assert!(link.starts_with("<https://styles.example/keep/v1/loras?cursor=lora_"), "{link}");
}
