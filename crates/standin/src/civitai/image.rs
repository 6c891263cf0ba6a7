//! An image of the gallery.

use serde_json::{Value, json};

/// Every browsing level.
pub(super) const PG: u32 = 1;

/// A picture or video with its record.
#[derive(Debug, Clone)]
pub struct CivitImage {
    /// Image id.
    pub id: u64,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// One of the bits PG 1, PG13 2, R 4, X 8, XXX 16, Blocked 32.
    pub level: u32,
    /// `image` or `video`.
    pub kind: String,
    /// Who posted it; can be absent.
    pub username: Option<String>,
    /// Post id.
    pub post_id: u64,
    /// Base model of the resources used.
    pub base_model: String,
    /// The versions used; their galleries show the image.
    pub model_version_ids: Vec<u64>,
    /// Generation data, or none.
    pub meta: Option<Value>,
    /// What `image.getGenerationData` answers instead of the usual, of whatever shape.
    pub generation_data: Option<Value>,
    /// Under review: never answered.
    pub hidden: bool,
    /// Shown by the site's own calls alone, not by the public API.
    pub site_only: bool,
}

impl CivitImage {
    /// A PG image with usual generation data.
    pub fn new(id: u64, width: u32, height: u32) -> Self {
        Self {
            id,
            width,
            height,
            level: PG,
            kind: "image".into(),
            username: Some("standin-artist".into()),
            post_id: id / 10,
            base_model: "SDXL 1.0".into(),
            model_version_ids: Vec::new(),
            meta: Some(json!({
                "Size": format!("{width}x{height}"),
                "seed": id * 7 + 1,
                "steps": 28,
                "prompt": "a lighthouse above a quiet sea, evening light",
                "negativePrompt": "blurry",
                "sampler": "DPM++ 2M",
                "cfgScale": 5,
            })),
            generation_data: None,
            hidden: false,
            site_only: false,
        }
    }

    /// Shows it with a version and names the version in its generation data.
    #[must_use]
    pub fn of_version(mut self, version: u64) -> Self {
        self.model_version_ids.push(version);
        if let Some(meta) = &mut self.meta {
            meta["civitaiResources"] = json!([{"type": "lora", "weight": 0.8, "modelVersionId": version}]);
        }
        self
    }

    /// Sets the generation data.
    #[must_use]
    pub fn made_with(mut self, meta: Value) -> Self {
        self.meta = Some(meta);
        self
    }

    /// The address part under which the image host knows it.
    pub fn uuid(&self) -> String {
        format!("5da4d1e0-0000-4000-8000-{:012x}", self.id)
    }
}
