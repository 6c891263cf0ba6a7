//! What pixels alone say of a picture, and of the change between two: no model, no judgement.
//!
//! Everything about a LoRA is said of pairs: the same prompt and seed without it. Values are of 8-bit RGB; light is
//! Rec. 601 luma.

mod colour;
mod response;
mod structure;

use serde::{Deserialize, Serialize};

pub use response::{
    BURN_CLIP_HIGH, BURN_COLOURFULNESS, Cell, Leak, NoiseFloor, PromptKind, Response, StrengthPoint, response,
};

/// A picture as 8-bit RGB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    /// Three bytes a pixel, row after row.
    pixels: Vec<u8>,
}

/// What one picture is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PictureMetrics {
    /// Hasler and Süsstrunk's colourfulness (2003).
    pub colourfulness: f64,
    /// Mean of (max - min) / max over all pixels, 0 to 1.
    pub saturation_mean: f64,
    /// Share of pixels with a channel of 2 or less.
    pub clip_low: f64,
    /// Share of pixels with a channel of 253 or more.
    pub clip_high: f64,
    /// Variance of the Laplacian of the luma: sharpness, or noise.
    pub laplacian_variance: f64,
    /// Mean length of the luma's gradient, levels a pixel.
    pub gradient_mean: f64,
    /// Share of pixels whose gradient is 32 levels or more.
    pub edge_density: f64,
    /// Entropy of the luma's histogram, bits.
    pub entropy: f64,
    /// Distance between the first and the last hundredth of the luma, levels.
    pub contrast: f64,
    /// How much larger steps are at the borders of 8 × 8 blocks than elsewhere; 0 is not at all.
    pub blockiness: f64,
    /// Standard deviation of the luma under 1: nothing is to be seen.
    pub is_flat: bool,
    /// Every pixel is black: a broken VAE or numbers that were not finite.
    pub is_black: bool,
    /// Difference hash of 9 × 8 means of the luma.
    pub dhash: u64,
}

/// What changed from one picture to another of the same size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PictureDistance {
    /// Differing bits of the difference hashes, 0 to 64: layout.
    pub dhash: f64,
    /// Structural similarity (Wang et al. 2004), 1 is equal.
    pub ssim: f64,
    /// Mean distance in CIE L*a*b* (D65).
    pub delta_lab: f64,
    /// Wasserstein-1 distance of the channels' histograms, levels, mean of the three.
    pub histogram: f64,
    /// Relative change of the colourfulness: 0.4 is 40 % more.
    pub colourfulness: f64,
    /// Change of the share of burnt pixels.
    pub clip_high: f64,
    /// Change of the share of crushed pixels.
    pub clip_low: f64,
    /// Relative change of the Laplacian's variance.
    pub sharpness: f64,
}

impl Picture {
    /// Takes three bytes a pixel; none when the sides do not fit them or are zero.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Option<Self> {
        (width > 0 && height > 0 && pixels.len() == width * height * 3).then_some(Self {
            width,
            height,
            pixels,
        })
    }

    /// Whether another has the same sides.
    pub fn fits(&self, other: &Self) -> bool {
        (self.width, self.height) == (other.width, other.height)
    }

    fn rgb(&self) -> impl Iterator<Item = [u8; 3]> {
        self.pixels.as_chunks::<3>().0.iter().copied()
    }

    /// Measures it.
    pub fn metrics(&self) -> PictureMetrics {
        let luma = structure::Luma::of(self);
        let colour = colour::Colour::of(self);
        let edges = luma.edges();
        PictureMetrics {
            colourfulness: colour.colourfulness,
            saturation_mean: colour.saturation_mean,
            clip_low: colour.clip_low,
            clip_high: colour.clip_high,
            laplacian_variance: edges.laplacian_variance,
            gradient_mean: edges.gradient_mean,
            edge_density: edges.edge_density,
            entropy: luma.entropy(),
            contrast: luma.contrast(),
            blockiness: luma.blockiness(),
            is_flat: luma.deviation() < 1.0,
            is_black: self.pixels.iter().all(|value| *value == 0),
            dhash: luma.dhash(),
        }
    }

    /// Measures what changed from `self` to `other`; none when their sides differ.
    pub fn distance(
        &self,
        own: &PictureMetrics,
        other: &Self,
        others: &PictureMetrics,
    ) -> Option<PictureDistance> {
        if !self.fits(other) {
            return None;
        }
        let relative = |from: f64, to: f64| if from > 0.0 { to / from - 1.0 } else { 0.0 };
        Some(PictureDistance {
            dhash: f64::from((own.dhash ^ others.dhash).count_ones()),
            ssim: structure::ssim(&structure::Luma::of(self), &structure::Luma::of(other)),
            delta_lab: colour::delta_lab(self, other),
            histogram: colour::histogram_distance(self, other),
            colourfulness: relative(own.colourfulness, others.colourfulness),
            clip_high: others.clip_high - own.clip_high,
            clip_low: others.clip_low - own.clip_low,
            sharpness: relative(own.laplacian_variance, others.laplacian_variance),
        })
    }
}

#[cfg(test)]
mod tests;
