//! The nouns of the product and the rules that need no database, no disk and no network.
//!
//! Nothing here imports `store`, `files`, `upstream` or `service`.

mod base_model;
mod caller;
mod catalog;
pub(crate) mod catalog_file;
mod display_name;
mod document;
mod download;
mod edit;
mod entry;
mod evaluation;
mod facts;
mod generation;
mod ids;
pub mod image_metrics;
mod media;
mod merge;
mod model_home;
mod names;
mod pairing;
mod plain_text;
mod presence;
mod repo_home;
pub(crate) mod search;
mod sidecar;
mod style;
mod team;
mod twins;
mod upload;

pub use lorakeep_weights::Sha256;

pub use base_model::BaseModelFamilies;
pub use caller::{Caller, CallerKind, Right, Role, TeamCaller, TokenCaller};
pub use catalog::{CatalogName, Category};
pub use display_name::{added_name, cleaned_name};
pub use document::{EntryDocument, FieldValue};
pub use download::{Download, DownloadState, Progress, StatusWord, Trigger};
pub use edit::{EditedFields, EntryEdit};
pub use entry::{Entry, Origin, PairRole};
pub use evaluation::{EvaluationLane, EvaluationState};
pub use facts::{FactOrigin, Facts, Sayings, TakenOver, take_over};
pub use generation::{
    Dependency, DependencySource, clean_prompt, dependencies, inferred_process, workflow_type,
};
pub use ids::{
    AdoptionId, BinItemId, DownloadId, EditId, EntryId, EvaluationId, GenerationId, QuarantineId, TeamId,
    TeamKeyId, UploadId,
};
pub use media::{MediaFormat, SNIFFED_BYTES};
pub use merge::{FieldConflict, MergedEntry, merge_entry};
pub use model_home::{ModelHome, StyleCategory};
pub use names::{ModelFolder, ModelPath, SafeName};
pub(crate) use pairing::loader_path;
pub use pairing::{LoraPair, Match, PairFile, compatible_pairs};
pub use plain_text::plain_text;
pub use presence::{FileFact, FileStamp, Verification};
pub use repo_home::category_of_folder;
pub(crate) use repo_home::is_category_folder;
pub use search::{Dimension, EntryFilter, EntryQuery, Selection, Sort, SortField};
pub use sidecar::SidecarFlavour;
pub use style::{
    GenerationSettings, GenerationState, MAX_GENERATED_PICTURES, PromptTemplate, Style, StyleAudience,
    StyleFile, StyleId, StyleStrengths, TemplateValues, idempotency_key, judge_negative, judge_pictures,
    judge_side, parse_slug, slug_candidates, style_description, style_name,
};
pub use team::{
    ApiVersion, KEY_PREFIX, KEY_SECRET_CHARACTERS, KeyShape, LEGACY_KEY_PREFIX, Team, TeamKey, TeamScope,
    key_around, team_name,
};
pub use upload::{UploadDetails, UploadRoute};
