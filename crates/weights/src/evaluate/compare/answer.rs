//! From inner products to what two files are to each other.

use super::pair::Pair;
use super::{CompareOptions, Sums};
use crate::evaluate::report::{Comparison, Merge, ModuleComparison, Overlap, Relation, Step};

/// A cosine above this is the same change.
const SAME: f64 = 0.999;
/// Norms this close are the same strength; rounding to sixteen bits moves them far less.
const SAME_NORM: f64 = 0.01;
/// A cosine above this is much in common. A reading of the field, not a measurement.
const RELATED: f64 = 0.3;
/// This many times chance is more than chance.
const ABOVE_CHANCE: f64 = 8.0;

impl Sums {
    /// The cosine of both whole changes; none when one is zero.
    pub(in crate::evaluate) fn cosine(&self) -> Option<f64> {
        cosine(self.inner, self.energy_a, self.energy_b)
    }

    fn shared(&self, value: impl Fn(&Pair) -> f64) -> f64 {
        self.pairs.iter().map(value).sum()
    }

    pub(super) fn answer(&self, a: &str, b: &str, options: &CompareOptions) -> Comparison {
        let (energy_a, energy_b) = (self.shared(|pair| pair.energy_a), self.shared(|pair| pair.energy_b));
        Comparison {
            a: a.to_owned(),
            b: b.to_owned(),
            shared_modules: self.pairs.len() as u64,
            only_a: self.only_a,
            only_b: self.only_b,
            incomparable_modules: self.incomparable,
            cosine: self.cosine(),
            shared_cosine: cosine(self.inner, energy_a, energy_b),
            chance_cosine: self.chance(),
            norm_ratio: (self.energy_a > 0.0).then(|| (self.energy_b / self.energy_a).sqrt()),
            relation: self.relation(),
            left_overlap: self.overlap(|pair| pair.left, |pair| pair.chance_left),
            right_overlap: self.overlap(|pair| pair.right, |pair| pair.chance_right),
            merge: self.merge(options.weights),
            modules: if options.modules { self.pairs.iter().map(Pair::answer).collect() } else { Vec::new() },
        }
    }

    /// What independent changes would have: their inner products add up as a random walk.
    fn chance(&self) -> Option<f64> {
        let walk = self.shared(|pair| pair.energy_a * pair.energy_b * pair.chance * pair.chance).sqrt();
        let size = (self.energy_a * self.energy_b).sqrt();
        (size > 0.0 && walk > 0.0).then(|| walk / size)
    }

    fn relation(&self) -> Relation {
        let (Some(cosine), Some(chance)) = (self.cosine(), self.chance()) else {
            return Relation::Incomparable;
        };
        let ratio = (self.energy_b / self.energy_a).sqrt();
        if cosine >= SAME && (ratio - 1.0).abs() <= SAME_NORM {
            Relation::Same
        } else if cosine >= SAME && !self.is_projection(cosine, ratio) {
            Relation::Rescaled
        } else if self.is_projection(cosine, ratio) {
            Relation::Resized
        } else if cosine >= RELATED {
            Relation::Related
        } else if cosine <= -RELATED {
            Relation::Opposed
        } else if cosine.abs() > ABOVE_CHANCE * chance {
            Relation::Weak
        } else {
            Relation::Unrelated
        }
    }

    /// Cutting singular values off is a projection: the cosine is the ratio of the norms, and ranks differ.
    fn is_projection(&self, cosine: f64, ratio: f64) -> bool {
        let shrunk = ratio.min(1.0 / ratio);
        let ranks = |side: usize| self.pairs.iter().filter_map(|pair| pair.ranks[side]).sum::<u64>();
        let smaller_is_b = ratio < 1.0;
        let fewer = if smaller_is_b { ranks(1) < ranks(0) } else { ranks(0) < ranks(1) };
        fewer && cosine > 0.5 && (cosine - shrunk).abs() < 0.005
    }

    fn overlap(
        &self,
        value: impl Fn(&Pair) -> Option<f64>,
        chance: impl Fn(&Pair) -> f64,
    ) -> Option<Overlap> {
        let (mut sum, mut chances, mut weights) = (0.0, 0.0, 0.0);
        for pair in &self.pairs {
            if let Some(value) = value(pair) {
                let weight = (pair.energy_a * pair.energy_b).sqrt();
                sum += weight * value;
                chances += weight * chance(pair);
                weights += weight;
            }
        }
        (weights > 0.0).then(|| Overlap { value: sum / weights, chance: chances / weights })
    }

    fn merge(&self, weights: [f64; 2]) -> Option<Merge> {
        let (own_a, own_b) = (weights[0].powi(2) * self.energy_a, weights[1].powi(2) * self.energy_b);
        let apart = own_a + own_b;
        let together = (apart + 2.0 * weights[0] * weights[1] * self.inner).max(0.0);
        let merged: Vec<(f64, f64)> = self.pairs.iter().filter_map(|pair| pair.merged).collect();
        let all: f64 = merged.iter().map(|(_, all)| all).sum();
        (apart > 0.0).then(|| Merge {
            weights,
            energy_ratio: together / apart,
            interference: together / apart - 1.0,
            equal_energy_scale: (together > 0.0).then(|| (own_a.max(own_b) / together).sqrt()),
            retained_at_max_rank: (all > 0.0).then(|| merged.iter().map(|(kept, _)| kept).sum::<f64>() / all),
        })
    }

    pub(super) fn step(&self, from: &str, to: &str) -> Step {
        let moved = (self.energy_a + self.energy_b - 2.0 * self.inner).max(0.0);
        let along = if self.energy_a > 0.0 { self.inner.powi(2) / self.energy_a } else { 0.0 };
        let has_both = self.energy_a > 0.0 && self.energy_b > 0.0;
        Step {
            from: from.to_owned(),
            to: to.to_owned(),
            norm_growth: has_both.then(|| (self.energy_b / self.energy_a).sqrt()),
            relative_distance: (self.energy_b > 0.0).then(|| (moved / self.energy_b).sqrt()),
            new_energy: (self.energy_b > 0.0).then(|| (1.0 - along / self.energy_b).clamp(0.0, 1.0)),
        }
    }
}

impl Pair {
    fn answer(&self) -> ModuleComparison {
        ModuleComparison {
            name: self.name.clone(),
            cosine: cosine(self.inner, self.energy_a, self.energy_b),
            norm_ratio: (self.energy_a > 0.0).then(|| (self.energy_b / self.energy_a).sqrt()),
            left_overlap: self.left,
            right_overlap: self.right,
        }
    }
}

fn cosine(inner: f64, energy_a: f64, energy_b: f64) -> Option<f64> {
    let size = (energy_a * energy_b).sqrt();
    (size > 0.0).then(|| (inner / size).clamp(-1.0, 1.0))
}
