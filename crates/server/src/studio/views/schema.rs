//! The shapes of those answers that are written field by field, for speed and with whatever fields a catalog file has.
//! Only their schemas are used; what they say is what `entry.rs`, `fields.rs`, `gallery.rs` and `listing.rs` write.

use std::borrow::Cow;
use std::collections::BTreeMap;

use lorakeep_registry::FileFacts;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value};

use super::edit::EntryDetailView;
use super::entry::{DetailedEntryView, EntryPageView, FacetView, PlacedEntryView};
use super::gallery::RunView;
use super::listing::{ListingView, StatsView};

/// An id as the catalog file has it.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum AnyId {
    Number(u64),
    Text(String),
}

/// An entry as in the lists: fields that existing clients expect, those of the file, and whatever else its catalog file
/// holds.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ListedEntry")]
struct EntryShape {
    name: String,
    file: String,
    /// The folder below the models root.
    dest: String,
    /// Where its origin serves it; empty when it has none.
    url: String,
    civitai_version_id: Option<String>,
    base_model: String,
    source: String,
    /// In units of 1e9 bytes.
    size_gb: f64,
    hf_repo: String,
    hf_file: String,
    civitai_model_id: Option<AnyId>,
    civitai_file_id: Option<AnyId>,
    civitai_base_model: Value,
    civitai_version: Value,
    civitai_model_name: Value,
    civitai_tags: Value,
    #[serde(rename = "trainedWords")]
    trained_words: Value,
    tags: Vec<String>,
    trigger_words: Vec<String>,
    author: Value,
    images: Value,
    pair_id: Option<String>,
    pair_role: Option<String>,
    quant: Value,
    params: Value,
    context_length: Value,
    context_default: Value,
    context_max: Value,
    companions: Value,
    #[schemars(extend("enum" = ["present", "not_downloaded", "downloading", "queued", "error"]))]
    status: String,
    /// The finer word behind `status`.
    state: String,
    /// 0 to 100; null while the size is unknown.
    progress: Option<f64>,
    on_disk_bytes: u64,
    expected_bytes: u64,
    /// Bytes per second.
    speed: f64,
    /// Why it failed, or why it waits and until when.
    error: Option<String>,
    #[schemars(extend("enum" = ["unverified", "hashed", "verified", "mismatch"]))]
    verification: String,
    sha256_on_disk: Option<String>,
    /// When the file says another base model than the catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    base_model_conflict: Option<Map<String, Value>>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// A style in the list of styles: with what is in its model's gallery.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ListedStyle")]
struct StyleShape {
    #[serde(flatten)]
    entry: EntryShape,
    #[serde(flatten)]
    gallery: Option<GalleryShape>,
}

#[derive(Serialize, JsonSchema)]
struct GalleryShape {
    gallery_count: u64,
    gallery_thumb: Option<String>,
    gallery_thumb_default: Option<String>,
    gallery_thumb_custom: Option<String>,
    gallery_orig_count: u64,
    gallery_orig_bytes: u64,
    gallery_comm_count: u64,
    gallery_comm_bytes: u64,
    /// The run that fetches more.
    gallery_dl: Option<RunView>,
}

/// An entry with its id, its catalog and its category.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Entry")]
struct PlacedShape {
    id: String,
    #[schemars(extend("enum" = ["models", "loras"]))]
    catalog: String,
    category: String,
    #[serde(flatten)]
    entry: EntryShape,
}

/// An entry with what its file says of itself; null until it was read.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EntryWithFacts")]
struct DetailedShape {
    #[serde(flatten)]
    placed: PlacedShape,
    file_facts: Option<FileFacts>,
}

/// An entry with who says what stands in each field: `user`, `file`, `civitai`, `huggingface` or `catalog`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EntryWithOrigins")]
struct DetailShape {
    #[serde(flatten)]
    placed: PlacedShape,
    origins: BTreeMap<String, String>,
}

/// A page of a search.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PageOfEntries")]
struct PageShape {
    items: Vec<PlacedShape>,
    next_cursor: Option<String>,
    total: u64,
    /// By filter: the values of the found entries and how many have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    facets: Option<BTreeMap<String, Vec<FacetView>>>,
}

/// A whole catalog with states.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Catalog")]
struct ListingShape {
    /// Counts up with every change.
    version: i64,
    date: String,
    stats: StatsView,
    categories: Vec<CategoryShape>,
}

/// A category with its entries, and whatever else the catalog file holds of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Category")]
struct CategoryShape {
    id: String,
    name: String,
    models: Vec<StyleShape>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Lets a view have the schema of a shape.
macro_rules! shaped {
    ($($view:ty as $shape:ty),* $(,)?) => {
        $(impl JsonSchema for $view {
            fn schema_name() -> Cow<'static, str> {
                <$shape>::schema_name()
            }

            fn schema_id() -> Cow<'static, str> {
                <$shape>::schema_id()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                <$shape>::json_schema(generator)
            }
        })*
    };
}

shaped!(
    PlacedEntryView as PlacedShape,
    DetailedEntryView as DetailedShape,
    EntryDetailView as DetailShape,
    EntryPageView<'_> as PageShape,
    ListingView<'_> as ListingShape,
);
