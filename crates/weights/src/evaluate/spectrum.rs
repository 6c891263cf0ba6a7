//! What the singular values of a change say.

/// Numbers from the singular values of one module's change, its kernel flattened to (out, in · kh · kw).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spectrum {
    /// The singular values, largest first.
    pub(super) singular_values: Vec<f64>,
    /// The largest, the spectral norm.
    pub(super) spectral: f64,
    /// Their sum.
    pub(super) nuclear: f64,
    /// Sum of squares over the largest square.
    pub(super) stable_rank: f64,
    /// Exponential of the entropy of the energies.
    pub(super) effective_rank: f64,
    /// The same over the values themselves (Roy and Vetterli).
    pub(super) effective_rank_l1: f64,
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

    /// The share of the first singular value in the energy.
    pub(super) fn top1_energy(&self) -> Option<f64> {
        (self.stable_rank > 0.0).then(|| 1.0 / self.stable_rank)
    }

    /// The first singular value over the second; none when the second is zero.
    pub(super) fn dominance(&self) -> Option<f64> {
        let second = self.singular_values.get(1).filter(|second| **second > 0.0)?;
        Some(self.spectral / second)
    }
}

/// The fewest of descending singular values that hold this share of the energy; 0 when there is none.
pub(super) fn energy_rank(singular_values: &[f64], share: f64) -> usize {
    let total: f64 = singular_values.iter().map(|value| value * value).sum();
    let mut sum = 0.0;
    let enough = |value: &f64| {
        sum += value * value;
        sum >= share * total
    };
    if total > 0.0 {
        singular_values.iter().position(enough).map_or(singular_values.len(), |place| place + 1)
    } else {
        0
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
