//! How a picture is made: what a style has by default, what a request says instead, and which values there are.

use std::ops::RangeInclusive;

use crate::domain::PairRole;
use crate::error::{Error, Result};

/// How much of a starting picture is made anew.
const DENOISE_STRENGTH: RangeInclusive<f64> = 0.0..=1.0;
/// How closely the prompt is followed.
const GUIDANCE_SCALE: RangeInclusive<f64> = 0.1..=30.0;
/// Steps of diffusion.
const STEPS: RangeInclusive<u32> = 1..=100;
/// How strongly a LoRA is applied. Negative ones take its effect away.
const STRENGTH: RangeInclusive<f64> = -10.0..=10.0;
/// What a LoRA is applied with when nobody says.
const USUAL_STRENGTH: f64 = 1.0;

/// The settings of a generation; what is `None` is left to the generator.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct GenerationSettings {
    /// How much of a starting picture is made anew, 0 to 1.
    pub denoise_strength: Option<f64>,
    /// Scale of classifier-free guidance, 0.1 to 30.
    pub guidance_scale: Option<f64>,
    /// Steps of diffusion, 1 to 100.
    pub steps: Option<u32>,
}

/// How strongly the files of a style are applied, -10 to 10, by their roles.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StyleStrengths {
    /// For the high-noise model.
    pub high: Option<f64>,
    /// For the low-noise model.
    pub low: Option<f64>,
    /// For both.
    pub both: Option<f64>,
}

impl GenerationSettings {
    /// Refuses what is out of its range; `prefix` stands before the names of the fields.
    pub fn judge(self, prefix: &str) -> Result<Self> {
        judge(&format!("{prefix}denoise_strength"), self.denoise_strength, &DENOISE_STRENGTH)?;
        judge(&format!("{prefix}guidance_scale"), self.guidance_scale, &GUIDANCE_SCALE)?;
        judge(&format!("{prefix}steps"), self.steps, &STEPS)?;
        Ok(self)
    }

    /// These, and `defaults` for what they do not say.
    #[must_use]
    pub fn or(self, defaults: Self) -> Self {
        Self {
            denoise_strength: self.denoise_strength.or(defaults.denoise_strength),
            guidance_scale: self.guidance_scale.or(defaults.guidance_scale),
            steps: self.steps.or(defaults.steps),
        }
    }
}

impl StyleStrengths {
    /// The same for every file.
    pub fn all(strength: Option<f64>) -> Self {
        Self { high: strength, low: strength, both: strength }
    }

    /// Refuses what is out of the range.
    pub fn judge(self) -> Result<Self> {
        for strength in [self.high, self.low, self.both] {
            judge("strength", strength, &STRENGTH)?;
        }
        Ok(self)
    }

    /// These, and `others` for roles that they do not name.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            high: self.high.or(others.high),
            low: self.low.or(others.low),
            both: self.both.or(others.both),
        }
    }

    /// What is said for a role.
    pub fn find(self, role: PairRole) -> Option<f64> {
        match role {
            PairRole::High => self.high,
            PairRole::Low => self.low,
            PairRole::Both => self.both,
        }
    }

    /// What is said for a role, else 1.
    pub fn of(self, role: PairRole) -> f64 {
        self.find(role).unwrap_or(USUAL_STRENGTH)
    }
}

fn judge<T: PartialOrd + std::fmt::Display>(
    field: &str,
    value: Option<T>,
    range: &RangeInclusive<T>,
) -> Result<()> {
    match value {
        Some(value) if !range.contains(&value) => {
            let message =
                format!("`{field}` must be from {} to {}, and not `{value}`", range.start(), range.end());
            Err(Error::invalid("out_of_bounds", field, message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(denoise: f64, guidance: f64, steps: u32) -> GenerationSettings {
        GenerationSettings {
            denoise_strength: Some(denoise),
            guidance_scale: Some(guidance),
            steps: Some(steps),
        }
    }

    #[test]
    fn the_ends_of_each_range_are_allowed_and_nothing_beyond() {
        for right in [settings(0.0, 0.1, 1), settings(1.0, 30.0, 100), GenerationSettings::default()] {
            assert_eq!(right.judge("").expect("in range"), right);
        }
        for (wrong, field) in [
            (settings(-0.1, 7.5, 30), "default_denoise_strength"),
            (settings(1.1, 7.5, 30), "default_denoise_strength"),
            (settings(f64::NAN, 7.5, 30), "default_denoise_strength"),
            (settings(0.5, 0.09, 30), "default_guidance_scale"),
            (settings(0.5, f64::INFINITY, 30), "default_guidance_scale"),
            (settings(0.5, 7.5, 0), "default_steps"),
            (settings(0.5, 7.5, 101), "default_steps"),
        ] {
            let refused = wrong.judge("default_").expect_err("out of range").to_string();
            assert!(refused.starts_with(&format!("`{field}` must be from ")), "{refused}");
        }
    }

    #[test]
    fn what_a_request_says_stands_before_the_defaults() {
        let asked = GenerationSettings { steps: Some(8), ..GenerationSettings::default() };
        assert_eq!(asked.or(settings(0.5, 7.5, 30)), settings(0.5, 7.5, 8));
    }

    #[test]
    fn strengths_are_said_for_all_or_by_role() {
        let said = StyleStrengths { low: Some(0.4), ..StyleStrengths::default() };
        let all = said.or(StyleStrengths::all(Some(0.8)));
        assert_eq!((all.find(PairRole::High), all.find(PairRole::Low)), (Some(0.8), Some(0.4)));
        assert_eq!((said.find(PairRole::Both), said.of(PairRole::Both).to_string()), (None, "1".to_owned()));
        assert!(StyleStrengths::all(Some(10.5)).judge().is_err());
    }
}
