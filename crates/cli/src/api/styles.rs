//! Styles of the public API.

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Api, Reply, form, segment};
use crate::failure::Result;

/// A style as the studio sees it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Style {
    pub(crate) id: String,
    pub(crate) slug: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) team: Option<String>,
    #[serde(default)]
    pub(crate) base_model: Option<String>,
    #[serde(default)]
    pub(crate) ready: bool,
    #[serde(default)]
    pub(crate) files: Vec<StyleFile>,
    pub(crate) created_at: String,
}

/// One file of a style.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StyleFile {
    pub(crate) role: String,
    pub(crate) file: String,
    pub(crate) dest: String,
    pub(crate) present: bool,
    pub(crate) strength: f64,
}

/// Which styles.
#[derive(Debug, Clone, Default)]
pub(crate) struct StyleQuery<'a> {
    pub(crate) words: Option<&'a str>,
    pub(crate) base_model: Option<&'a str>,
    pub(crate) team: Option<&'a str>,
    pub(crate) only_public: bool,
    pub(crate) deleted: bool,
}

impl StyleQuery<'_> {
    fn path(&self) -> String {
        let texts = [
            ("q", self.words),
            ("base_model", self.base_model),
            ("team", self.team),
            ("public", self.only_public.then_some("true")),
            ("deleted", self.deleted.then_some("true")),
        ];
        let given = texts.into_iter().filter_map(|(name, text)| Some(format!("{name}={}", segment(text?))));
        format!("/api/admin/styles?{}", given.collect::<Vec<_>>().join("&"))
    }
}

impl Api {
    /// Styles, the newest first.
    pub(crate) async fn styles(&self, query: &StyleQuery<'_>) -> Result<Vec<Reply<Style>>> {
        self.rows(&query.path()).await
    }

    /// One style by its id or slug.
    pub(crate) async fn style(&self, style: &str) -> Result<Reply<Style>> {
        self.get(&path_of(style, "")).await
    }

    /// Makes a style.
    pub(crate) async fn create_style(&self, new: &Map<String, Value>) -> Result<Reply<Style>> {
        self.post_json("/api/admin/styles", new).await
    }

    /// Changes a style.
    pub(crate) async fn change_style(
        &self,
        style: &str,
        change: &Map<String, Value>,
    ) -> Result<Reply<Style>> {
        self.patch_json(&path_of(style, ""), change).await
    }

    /// Shows a style by a picture.
    pub(crate) async fn set_style_preview(&self, style: &str, picture: &[u8]) -> Result<Reply<Style>> {
        let body = form("preview", "application/octet-stream", picture)?;
        self.call(Method::PUT, &path_of(style, "/preview"), Some(body)).await
    }

    /// Deletes a style, for good when `purge` says so.
    pub(crate) async fn delete_style(&self, style: &str, purge: bool) -> Result<Reply<Style>> {
        self.delete(&path_of(style, if purge { "?purge=true" } else { "" })).await
    }

    /// Brings a deleted style back.
    pub(crate) async fn restore_style(&self, style: &str) -> Result<Reply<Style>> {
        self.post(&path_of(style, "/restore")).await
    }
}

fn path_of(style: &str, rest: &str) -> String {
    format!("/api/admin/styles/{}{rest}", segment(style))
}
