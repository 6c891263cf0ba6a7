//! The gallery against the stand-in's image host.

use lorakeep_standin::{CivitImage, Fault, Times};
use serde_json::json;

use super::*;
use crate::domain::CatalogName::Loras;
use crate::error::Error;
use crate::service::testing::{KEY, Studio, eventually};

async fn with_image(environment: &[(&str, &str)]) -> Studio {
    let studio = Studio::with(environment).await;
    let entry =
        json!({"file": "a.safetensors", "dest": "loras", "civitai_version_id": 70, "civitai_model_id": 7});
    studio.add(Loras, "l", entry).await;
    studio.standin.add_image(CivitImage::new(1234, 640, 480).of_version(70));
    studio
}

#[tokio::test]
async fn an_image_is_kept_with_thumbnail_and_record_in_its_shard() {
    let studio = with_image(&[]).await;
    let image = studio.registry.fetch_gallery_image(1234).await.unwrap();
    assert_eq!((image.kind.as_str(), image.extension.as_str()), ("image", ".png"), "told by its bytes");
    assert_eq!((image.model_id, image.reactions, image.width), (7, 32, Some(640)));
    assert_eq!(image.file_path, "media/123/400/1234.png");
    let media = studio.registry.gallery_media(1234).await.unwrap();
    assert_eq!(
        (media.media_type, std::fs::metadata(&media.path).unwrap().len()),
        ("image/png", image.file_size)
    );
    let thumb = studio.registry.gallery_thumbnail(1234).await.unwrap();
    let small = image::open(&thumb.path).unwrap();
    assert_eq!((thumb.media_type, small.width(), small.height()), ("image/jpeg", 300, 225));
    let names: Vec<String> = std::fs::read_dir(media.path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 3, "file, thumbnail and record, no part: {names:?}");
}

#[tokio::test]
async fn an_image_that_is_here_is_not_fetched_again() {
    let studio = with_image(&[]).await;
    let first = studio.registry.fetch_gallery_image(1234).await.unwrap();
    studio.standin.reset_counters();
    assert_eq!(studio.registry.fetch_gallery_image(1234).await.unwrap(), first);
    assert!(studio.standin.requests().is_empty());
}

#[tokio::test]
async fn a_page_in_the_place_of_a_picture_is_refused_and_leaves_nothing() {
    let studio = with_image(&[]).await;
    studio.standin.fault("images/1234", Fault::HtmlPage200, Times::Always);
    let error = studio.registry.fetch_gallery_image(1234).await.unwrap_err();
    assert_eq!(error.code(), "not_media", "{error}");
    assert!(matches!(studio.registry.gallery_image(1234).await, Err(Error::NotFound { .. })));
    let folder = studio.registry.config().data_dir.join("gallery/media/123/400");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
}

#[tokio::test]
async fn the_index_is_made_anew_from_the_records() {
    let studio = with_image(&[]).await;
    studio.registry.fetch_gallery_image(1234).await.unwrap();
    assert!(studio.registry.toggle_star(1234).await.unwrap());
    let before = studio.registry.gallery_image(1234).await.unwrap();
    studio.registry.inner.store.delete_image(1234).await.unwrap();
    let studio = studio.reopen().await;
    assert_eq!(studio.registry.gallery_image(1234).await.unwrap(), before);
}

#[tokio::test]
async fn stars_previews_and_deletes_concern_one_models_images() {
    let studio = with_image(&[]).await;
    studio.standin.add_image(CivitImage::new(5678, 32, 32).of_version(70));
    for id in [1234, 5678] {
        studio.registry.fetch_gallery_image(id).await.unwrap();
    }
    assert!(studio.registry.toggle_star(1234).await.unwrap());
    assert!(!studio.registry.toggle_star(9).await.unwrap(), "an unknown image is never starred");
    assert_eq!(studio.registry.set_preview(5678).await.unwrap(), 7);
    let ids = async |filter| {
        let gallery = studio.registry.gallery_of_model(7, filter).await.unwrap();
        (gallery.images.into_iter().map(|image| image.id).collect::<Vec<_>>(), gallery.preview)
    };
    assert_eq!(ids(GalleryFilter::default()).await, (vec![1234, 5678], Some(5678)));
    let starred = GalleryFilter { only_starred: true, ..GalleryFilter::default() };
    assert_eq!(ids(starred).await.0, [1234]);
    let other = GalleryFilter { version_id: Some(71), ..GalleryFilter::default() };
    assert_eq!(ids(other).await.0, [] as [u64; 0]);
    assert_eq!(studio.registry.delete_gallery(7, None).await.unwrap(), 1, "starred ones stay");
    assert_eq!(ids(GalleryFilter::default()).await, (vec![1234], None));
}

#[tokio::test]
async fn an_input_is_copied_under_the_name_of_the_contract() {
    let comfyui = tempfile::tempdir().unwrap();
    let studio = with_image(&[("COMFYUI_DIR", comfyui.path().to_str().unwrap())]).await;
    let image = studio.registry.fetch_gallery_image(1234).await.unwrap();
    assert_eq!(studio.registry.give_to_comfyui(1234).await.unwrap(), "gallery_1234.png");
    let copied = std::fs::metadata(comfyui.path().join("input/gallery_1234.png")).unwrap();
    assert_eq!(copied.len(), image.file_size);
    let missing = studio.registry.give_to_comfyui(9).await.unwrap_err();
    assert!(matches!(missing, Error::NotFound { .. }), "{missing:?}");
}

#[tokio::test]
async fn without_comfyui_an_input_says_what_to_configure() {
    let studio = with_image(&[]).await;
    studio.registry.fetch_gallery_image(1234).await.unwrap();
    let error = studio.registry.give_to_comfyui(1234).await.unwrap_err();
    assert_eq!(error.code(), "not_configured");
}

#[tokio::test]
async fn a_record_that_names_a_path_outside_is_never_followed() {
    let studio = with_image(&[]).await;
    let mut image = studio.registry.fetch_gallery_image(1234).await.unwrap();
    image.file_path = "../../lorakeep.db".into();
    studio.registry.index_image(&image).await.unwrap();
    assert!(matches!(studio.registry.gallery_media(1234).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_run_brings_a_models_images_once_and_tells_how_far_it_is() {
    let studio = with_image(&[]).await;
    for id in 1..=5 {
        studio.standin.add_image(CivitImage::new(100 + id, 16, 16).of_version(70));
    }
    let request = GalleryRequest { limit: Some(4), version_id: Some(70), ..GalleryRequest::default() };
    let run = async |request: &GalleryRequest| {
        studio.registry.start_gallery(7, request.clone()).unwrap();
        let registry = &studio.registry;
        eventually("the run ends", || registry.gallery_progress(7).status == "done").await;
        let progress = registry.gallery_progress(7);
        (progress.downloaded, progress.skipped, progress.total, progress.pages_fetched)
    };
    assert_eq!(run(&request).await, (4, 0, 4, 1));
    assert_eq!(run(&GalleryRequest { limit: None, ..request.clone() }).await, (2, 4, 6, 1));
    let images = studio.registry.gallery_of_model(7, GalleryFilter::default()).await.unwrap().images;
    assert_eq!(images.len(), 6);
    let refused = studio.registry.start_gallery(7, GalleryRequest { limit: Some(0), ..request }).unwrap_err();
    assert_eq!(refused.code(), "out_of_range");
}

#[tokio::test]
async fn a_run_that_is_stopped_ends_and_keeps_what_it_has() {
    let studio = with_image(&[]).await;
    studio.standin.fault("images/1234", Fault::StallAfter(10), Times::Always);
    studio.registry.start_gallery(7, GalleryRequest::default()).unwrap();
    eventually("it looks at the image", || studio.registry.gallery_progress(7).total == 1).await;
    studio.registry.stop_gallery(7);
    eventually("it ends", || studio.registry.gallery_progress(7).status == "done").await;
    let gallery = studio.registry.config().data_dir.join("gallery");
    // Both folders are made by the first fetch, which may not have begun when the run was stopped.
    let count = |folder: &str| std::fs::read_dir(gallery.join(folder)).map_or(0, Iterator::count);
    assert_eq!((count(".parts"), count("media/123/400")), (0, 0), "no part is left");
    assert!(matches!(studio.registry.gallery_image(1234).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn with_a_key_the_sites_generation_data_are_kept() {
    let studio = with_image(&[KEY]).await;
    let image = studio.registry.fetch_gallery_image(1234).await.unwrap();
    assert_eq!(image.generation_data.unwrap()["canRemix"], true);
}

#[tokio::test]
async fn an_image_that_the_public_api_hides_comes_from_the_site_itself_with_a_key() {
    let hidden = || CivitImage { site_only: true, ..CivitImage::new(4321, 64, 48).of_version(70) };
    let studio = with_image(&[KEY]).await;
    studio.standin.add_image(hidden());
    let image = studio.registry.fetch_gallery_image(4321).await.unwrap();
    assert_eq!((image.post_title.as_deref(), image.collected, image.reactions), (Some("A post"), 4, 32));
    assert_eq!((image.extension.as_str(), image.username.as_deref()), (".png", Some("standin-artist")));
    assert_eq!(image.meta["steps"], 28, "taken from the generation data");
    let studio = with_image(&[]).await;
    studio.standin.add_image(hidden());
    let error = studio.registry.fetch_gallery_image(4321).await.unwrap_err();
    assert_eq!(error.code(), "not_found");
}

#[tokio::test]
async fn parts_that_a_killed_process_left_are_removed_at_the_next_start() {
    let studio = with_image(&[]).await;
    let parts = studio.registry.config().data_dir.join("gallery/.parts");
    std::fs::create_dir_all(&parts).unwrap();
    std::fs::write(parts.join("1234.5f.part"), b"half").unwrap();
    let studio = studio.reopen().await;
    assert_eq!(std::fs::read_dir(parts).unwrap().count(), 0);
    studio.registry.fetch_gallery_image(1234).await.unwrap();
}

#[tokio::test]
async fn a_summary_follows_what_is_kept_chosen_and_deleted() {
    let studio = with_image(&[]).await;
    let summary = |studio: &Studio| studio.registry.gallery_summaries().remove(&7).unwrap_or_default();
    let tag = studio.registry.listing_tag(Loras);
    let first = studio.registry.fetch_gallery_image(1234).await.unwrap();
    assert_ne!(studio.registry.listing_tag(Loras), tag, "a list would show it");
    studio.standin.add_image(CivitImage::new(5678, 32, 32).of_version(70));
    let second = studio.registry.fetch_gallery_image(5678).await.unwrap();
    studio.registry.set_preview(5678).await.unwrap();
    let expected = GallerySummary {
        community_count: 2,
        community_bytes: first.file_size + second.file_size,
        first: Some(1234),
        chosen: Some(5678),
        ..GallerySummary::default()
    };
    assert_eq!(summary(&studio), expected);
    let studio = studio.reopen().await;
    assert_eq!(summary(&studio), expected, "counted at the start");
    studio.registry.delete_gallery_image(5678).await.unwrap();
    let expected =
        GallerySummary { community_count: 1, community_bytes: first.file_size, chosen: None, ..expected };
    assert_eq!(summary(&studio), expected);
}

/// Runs a whole gallery and answers how it ended.
async fn run(studio: &Studio, request: GalleryRequest) -> GalleryProgress {
    studio.registry.start_gallery(7, request).unwrap();
    let ended = || matches!(studio.registry.gallery_progress(7).status, "done" | "error");
    eventually("the run ends", ended).await;
    studio.registry.gallery_progress(7)
}

#[tokio::test]
async fn a_run_takes_the_wished_kinds_levels_and_those_with_metadata() {
    let studio = with_image(&[]).await;
    let add = |image: CivitImage| studio.standin.add_image(image.of_version(70));
    add(CivitImage { kind: "video".into(), ..CivitImage::new(2, 8, 8) });
    add(CivitImage { level: 16, ..CivitImage::new(3, 8, 8) });
    studio.standin.add_image(CivitImage { meta: None, ..CivitImage::new(4, 8, 8) });
    let tame = GalleryRequest { browsing_level: Some(1), needs_meta: true, ..GalleryRequest::default() };
    let images = GalleryRequest { kinds: vec!["image".into()], ..tame };
    assert_eq!(run(&studio, images).await.downloaded, 1, "1234 alone");
    let all = GalleryRequest { kinds: vec!["image".into(), "video".into()], ..GalleryRequest::default() };
    let progress = run(&studio, all).await;
    assert_eq!((progress.downloaded, progress.skipped, progress.total), (3, 1, 4));
}

#[tokio::test]
async fn remixes_and_images_of_the_site_are_told_by_its_own_data_and_want_a_key() {
    let studio = with_image(&[KEY]).await;
    let mut remix = CivitImage::new(2, 8, 8).of_version(70);
    remix.generation_data = Some(json!({"type": "image", "onSite": true, "remixOfId": 99, "meta": {}}));
    studio.standin.add_image(remix);
    let wanted = || GalleryRequest { from_platform: true, is_remix: true, ..GalleryRequest::default() };
    let progress = run(&studio, wanted()).await;
    assert_eq!((progress.downloaded, progress.skipped), (1, 1));
    assert!(studio.registry.gallery_image(2).await.is_ok());
    let studio = with_image(&[]).await;
    let error = studio.registry.start_gallery(7, wanted()).unwrap_err();
    assert_eq!(error.code(), "not_configured");
}

#[tokio::test]
async fn wishes_out_of_bounds_are_refused_before_anything_is_asked() {
    let studio = with_image(&[]).await;
    let text = |text: &str| Some(text.to_owned());
    let wishes = [
        GalleryRequest { limit: Some(0), ..GalleryRequest::default() },
        GalleryRequest { limit: Some(1001), ..GalleryRequest::default() },
        GalleryRequest { workers: Some(21), ..GalleryRequest::default() },
        GalleryRequest { sort: text("Best"), ..GalleryRequest::default() },
        GalleryRequest { period: text("Decade"), ..GalleryRequest::default() },
        GalleryRequest { kinds: vec!["audio".into()], ..GalleryRequest::default() },
    ];
    for wish in wishes {
        assert!(matches!(studio.registry.start_gallery(7, wish), Err(Error::Invalid(_))));
    }
    assert!(studio.standin.requests().is_empty());
}

#[tokio::test]
async fn missing_thumbnails_are_made_and_what_cannot_be_is_told() {
    let studio = with_image(&[]).await;
    for id in [1, 2] {
        studio.standin.add_image(CivitImage::new(id, 64, 64).of_version(70));
    }
    for id in [1234, 1, 2] {
        studio.registry.fetch_gallery_image(id).await.unwrap();
    }
    let path = |name: &str| studio.registry.config().data_dir.join("gallery/media").join(name);
    std::fs::remove_file(path("123/400/1234.thumb.jpg")).unwrap();
    std::fs::remove_file(path("200/000/2.thumb.jpg")).unwrap();
    std::fs::remove_file(path("200/000/2.png")).unwrap();
    let mut progress = studio.registry.make_missing_thumbnails();
    let ended = progress.wait_for(|progress| !progress.is_running).await.unwrap().clone();
    assert_eq!((ended.total, ended.done, ended.made, ended.failed), (3, 3, 1, 1));
    assert_eq!(ended.trouble.as_deref(), Some("image 2: its file is gone"));
    assert!(path("123/400/1234.thumb.jpg").is_file());
}
