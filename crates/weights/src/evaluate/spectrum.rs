//! What the singular values of a change say.

use serde::Serialize;

/// Numbers from the singular values of one module's change, its kernel flattened to (out, in · kh · kw).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spectrum {
    /// The singular values, largest first.
    pub singular_values: Vec<f64>,
    /// The largest, the spectral norm.
    pub spectral: f64,
    /// Their sum.
    pub nuclear: f64,
    /// Sum of squares over the largest square.
    pub stable_rank: f64,
    /// Exponential of the entropy of the energies.
    pub effective_rank: f64,
    /// The same over the values themselves (Roy and Vetterli).
    pub effective_rank_l1: f64,
}

impl Spectrum {
    /// From singular values in any order.
    pub(super) fn new(mut singular_values: Vec<f64>) -> Self {
        singular_values.sort_by(|one, other| other.total_cmp(one));
        let energies: Vec<f64> = singular_values.iter().map(|value| value * value).collect();
        let spectral = singular_values.first().copied().unwrap_or(0.0);
        let energy: f64 = energies.iter().sum();
        Self {
            spectral,
            nuclear: singular_values.iter().sum(),
            stable_rank: if energy > 0.0 { energy / (spectral * spectral) } else { 0.0 },
            effective_rank: entropy_rank(&energies),
            effective_rank_l1: entropy_rank(&singular_values),
            singular_values,
        }
    }

    /// The fewest singular values that hold this share of the energy; 0 when there is none.
    pub fn energy_rank(&self, share: f64) -> usize {
        let total: f64 = self.singular_values.iter().map(|value| value * value).sum();
        let mut sum = 0.0;
        let enough = |value: &f64| {
            sum += value * value;
            sum >= share * total
        };
        if total > 0.0 {
            self.singular_values.iter().position(enough).map_or(self.singular_values.len(), |place| place + 1)
        } else {
            0
        }
    }
}

fn entropy_rank(weights: &[f64]) -> f64 {
    let total: f64 = weights.iter().sum();
    if total <= 0.0 {
        return 0.0;
    }
    let shares = weights.iter().map(|weight| weight / total).filter(|share| *share > 0.0);
    (-shares.map(|share| share * share.ln()).sum::<f64>()).exp()
}
