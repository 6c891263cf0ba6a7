//! Making a style, and changing one.

use std::sync::PoisonError;

use super::{StyleSource, StyleState};
use crate::domain::{
    GenerationSettings, PromptTemplate, Style, StyleAudience, StyleId, StyleStrengths, parse_slug,
    slug_candidates, style_description, style_name,
};
use crate::error::{Error, Result};
use crate::service::Registry;

/// The digits of an id that tell a slug from all others.
const SLUG_ENDING: usize = 8;

/// What a new style is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct NewStyle {
    /// What people call it.
    pub name: String,
    /// What it is made from.
    pub source: StyleSource,
    /// Who may see it.
    pub audience: StyleAudience,
    /// Its name in addresses; made of the name when absent.
    pub slug: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// What a call means that does not say otherwise.
    pub defaults: GenerationSettings,
    /// What becomes of a prompt.
    pub template: Option<String>,
    /// How strongly its files are applied.
    pub strengths: StyleStrengths,
    /// An image of the gallery that shows it.
    pub gallery_image: Option<u64>,
}

/// What is to be another in a style. What is `None` stays; an inner `None` takes the value away.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(clippy::option_option, reason = "staying, going and a new value are three things")]
pub struct StyleChange {
    /// What people call it.
    pub name: Option<String>,
    /// Its name in addresses; the present one goes on leading to it.
    pub slug: Option<String>,
    /// What it does.
    pub description: Option<Option<String>>,
    /// Who may see it.
    pub audience: Option<StyleAudience>,
    /// What it is made from.
    pub source: Option<StyleSource>,
    /// Default strength of denoising.
    pub denoise_strength: Option<Option<f64>>,
    /// Default scale of guidance.
    pub guidance_scale: Option<Option<f64>>,
    /// Default steps.
    pub steps: Option<Option<u32>>,
    /// What becomes of a prompt.
    pub template: Option<Option<String>>,
    /// How strongly its files are applied; roles that are not named stay.
    pub strengths: StyleStrengths,
    /// An image of the gallery that shows it.
    pub gallery_image: Option<Option<u64>>,
}

impl Registry {
    /// Makes a style. `Conflict` (`slug_taken`) when a slug is wanted that leads to another one.
    pub async fn create_style(&self, new: NewStyle) -> Result<StyleState> {
        let strengths = new.strengths.judge()?;
        let now = self.now();
        let mut style = Style {
            id: self.next_style_id()?,
            slug: String::new(),
            old_slugs: Vec::new(),
            name: style_name(&new.name)?,
            description: new.description.as_deref().map(style_description).transpose()?.flatten(),
            audience: new.audience,
            preview: None,
            defaults: new.defaults.judge("default_")?,
            template: new.template.as_deref().map(PromptTemplate::parse).transpose()?,
            pair_id: pair_of(&new.source),
            files: self.files_of(&new.source, strengths)?,
            created_at: now,
            updated_at: now,
            deleted_at: None,
            revision: 0,
        };
        style.slug = match &new.slug {
            Some(slug) => parse_slug(slug)?,
            None => self.free_slug(&style.name, style.id).await?,
        };
        if let Some(image) = new.gallery_image {
            style.preview = Some(self.preview_of_gallery(image).await?);
        }
        self.save_style(style, true).await
    }

    /// Changes a style. `Conflict` (`changed_meanwhile`) when somebody else did in between.
    pub async fn change_style(&self, id_or_slug: &str, change: StyleChange) -> Result<StyleState> {
        let mut style = self.stored_style(id_or_slug).await?;
        self.change_files(&mut style, change.source, change.strengths.judge()?)?;
        if let Some(name) = &change.name {
            style.name = style_name(name)?;
        }
        if let Some(slug) = &change.slug {
            take_slug(&mut style, parse_slug(slug)?);
        }
        if let Some(description) = change.description {
            style.description = description.as_deref().map(style_description).transpose()?.flatten();
        }
        if let Some(template) = change.template {
            style.template = template.as_deref().map(PromptTemplate::parse).transpose()?;
        }
        let defaults = GenerationSettings {
            denoise_strength: change.denoise_strength.unwrap_or(style.defaults.denoise_strength),
            guidance_scale: change.guidance_scale.unwrap_or(style.defaults.guidance_scale),
            steps: change.steps.unwrap_or(style.defaults.steps),
        };
        style.defaults = defaults.judge("default_")?;
        style.audience = change.audience.unwrap_or(style.audience);
        if let Some(image) = change.gallery_image {
            style.preview = match image {
                Some(image) => Some(self.preview_of_gallery(image).await?),
                None => None,
            };
        }
        style.updated_at = self.now();
        self.save_style(style, false).await
    }

    /// Other files, or the same ones applied otherwise.
    fn change_files(
        &self,
        style: &mut Style,
        source: Option<StyleSource>,
        strengths: StyleStrengths,
    ) -> Result<()> {
        if let Some(source) = source {
            style.files = self.files_of(&source, strengths)?;
            style.pair_id = pair_of(&source);
            return Ok(());
        }
        for file in &mut style.files {
            file.strength = strengths.find(file.role).unwrap_or(file.strength);
        }
        Ok(())
    }

    fn next_style_id(&self) -> Result<StyleId> {
        let mut random = [0; 10];
        getrandom::fill(&mut random)
            .map_err(|error| Error::internal("the system gives no random bytes", error))?;
        let mut last = self.inner.styles.last_id.lock().unwrap_or_else(PoisonError::into_inner);
        let id = StyleId::new(self.now(), random, *last);
        *last = Some(id);
        Ok(id)
    }

    /// A slug after that name that leads nowhere yet.
    async fn free_slug(&self, name: &str, id: StyleId) -> Result<String> {
        let id = id.to_string();
        let mut candidates = slug_candidates(name, &id[id.len() - SLUG_ENDING..]);
        let taken = self.inner.store.taken_slugs(&candidates).await?;
        candidates.retain(|slug| !taken.contains(slug));
        candidates.into_iter().next().ok_or_else(|| {
            Error::conflict(
                "slug_taken",
                format!("every slug for `{name}` leads to a style already; choose one"),
            )
        })
    }
}

fn pair_of(source: &StyleSource) -> Option<String> {
    match source {
        StyleSource::Pair(pair_id) => Some(pair_id.clone()),
        StyleSource::Entry(_) | StyleSource::Halves { .. } => None,
    }
}

/// The new slug stands before the present one, which still leads to the style.
fn take_slug(style: &mut Style, slug: String) {
    if slug == style.slug {
        return;
    }
    style.old_slugs.retain(|old| *old != slug);
    let old = std::mem::replace(&mut style.slug, slug);
    style.old_slugs.push(old);
    style.old_slugs.sort_unstable();
}
