//! The luma of a picture: layout, structure, sharpness.

use super::Picture;
use super::colour::Moments;

/// Radius of SSIM's Gaussian window of 11 × 11.
const RADIUS: usize = 5;
const SIGMA: f64 = 1.5;
/// SSIM's constants for 8 bits.
const C1: f64 = 0.01 * 0.01 * 255.0 * 255.0;
const C2: f64 = 0.03 * 0.03 * 255.0 * 255.0;
/// From here on a gradient counts as an edge, levels a pixel.
const EDGE: f64 = 32.0;

/// The light of each pixel, 0 to 255.
pub(super) struct Luma {
    width: usize,
    height: usize,
    values: Vec<f64>,
}

/// What the edges of a picture are.
pub(super) struct Edges {
    pub(super) laplacian_variance: f64,
    pub(super) gradient_mean: f64,
    pub(super) edge_density: f64,
}

impl Luma {
    pub(super) fn of(picture: &Picture) -> Self {
        let light = |pixel: [u8; 3]| {
            let [red, green, blue] = pixel.map(f64::from);
            0.299 * red + 0.587 * green + 0.114 * blue
        };
        Self { width: picture.width, height: picture.height, values: picture.rgb().map(light).collect() }
    }

    fn at(&self, x: usize, y: usize) -> f64 {
        self.values[y * self.width + x]
    }

    pub(super) fn deviation(&self) -> f64 {
        let mut moments = Moments::default();
        self.values.iter().for_each(|value| moments.add(*value));
        moments.variance().sqrt()
    }

    /// Over all pixels that have four neighbours.
    pub(super) fn edges(&self) -> Edges {
        let (mut laplacian, mut gradient, mut edges, mut count) = (Moments::default(), 0.0, 0.0, 0.0_f64);
        for y in 1..self.height.saturating_sub(1) {
            for x in 1..self.width.saturating_sub(1) {
                let (left, right) = (self.at(x - 1, y), self.at(x + 1, y));
                let (above, below) = (self.at(x, y - 1), self.at(x, y + 1));
                laplacian.add(left + right + above + below - 4.0 * self.at(x, y));
                let length = ((right - left) / 2.0).hypot((below - above) / 2.0);
                gradient += length;
                edges += f64::from(u8::from(length >= EDGE));
                count += 1.0;
            }
        }
        let count = count.max(1.0);
        Edges {
            laplacian_variance: laplacian.variance(),
            gradient_mean: gradient / count,
            edge_density: edges / count,
        }
    }

    fn histogram(&self) -> [u64; 256] {
        let mut counts = [0; 256];
        for value in &self.values {
            counts[(value.round() as usize).min(255)] += 1;
        }
        counts
    }

    /// Bits.
    pub(super) fn entropy(&self) -> f64 {
        let all = self.values.len() as f64;
        let shares = self.histogram().into_iter().filter(|count| *count > 0).map(|count| count as f64 / all);
        -shares.map(|share| share * share.log2()).sum::<f64>()
    }

    /// Levels between the first and the last hundredth.
    pub(super) fn contrast(&self) -> f64 {
        let counts = self.histogram();
        let all = self.values.len() as f64;
        let level = |share: f64| {
            let mut seen = 0.0;
            let reached = counts.iter().position(|count| {
                seen += *count as f64;
                seen >= share * all
            });
            reached.unwrap_or(255) as f64
        };
        level(0.99) - level(0.01)
    }

    /// Mean step across borders of 8 × 8 blocks over the mean step elsewhere, less 1.
    pub(super) fn blockiness(&self) -> f64 {
        let (mut border, mut inside) = (Moments::default(), Moments::default());
        for y in 0..self.height {
            for x in 1..self.width {
                let step = (self.at(x, y) - self.at(x - 1, y)).abs();
                if x % 8 == 0 { border.add(step) } else { inside.add(step) }
            }
        }
        if inside.mean() > 0.0 { border.mean() / inside.mean() - 1.0 } else { 0.0 }
    }

    /// Whether each of 9 × 8 means is darker than its right neighbour.
    pub(super) fn dhash(&self) -> u64 {
        let mut hash = 0;
        for row in 0..8 {
            for column in 0..8 {
                let is_darker = self.mean(column, row) < self.mean(column + 1, row);
                hash = hash << 1 | u64::from(is_darker);
            }
        }
        hash
    }

    /// The mean of one cell of 9 × 8, its border pixels by their share.
    fn mean(&self, column: usize, row: usize) -> f64 {
        let columns = shares(column, 9, self.width);
        let rows = shares(row, 8, self.height);
        let (mut sum, mut weight) = (0.0, 0.0);
        for (y, down) in &rows {
            for (x, across) in &columns {
                sum += self.at(*x, *y) * across * down;
                weight += across * down;
            }
        }
        // Rounded, so that plain areas compare as equal whatever the order of the sum was.
        (sum / weight * 1e6).round() / 1e6
    }
}

/// The pixels of one of `parts` equal parts of a side, each with the share that lies in it.
fn shares(part: usize, parts: usize, side: usize) -> Vec<(usize, f64)> {
    let (start, end) =
        (part as f64 * side as f64 / parts as f64, (part + 1) as f64 * side as f64 / parts as f64);
    let pixels = start.floor() as usize..(end.ceil() as usize).min(side);
    let share = |at: usize| (end.min(at as f64 + 1.0) - start.max(at as f64)).max(0.0);
    pixels.map(|at| (at, share(at))).filter(|(_, share)| *share > 0.0).collect()
}

/// Mean structural similarity over all whole windows (Wang et al. 2004); of pictures that are smaller than a window
/// over the one window that there is.
pub(super) fn ssim(one: &Luma, other: &Luma) -> f64 {
    let product = |left: &Luma, right: &Luma| {
        let values: Vec<f64> = left.values.iter().zip(&right.values).map(|(a, b)| a * b).collect();
        blurred(left.width, left.height, &values)
    };
    let plain = |luma: &Luma| blurred(luma.width, luma.height, &luma.values);
    let (mean_one, mean_other) = (plain(one), plain(other));
    let (square_one, square_other, mixed) = (product(one, one), product(other, other), product(one, other));
    let all = mean_one.len().max(1) as f64;
    let mut sum = 0.0;
    for place in 0..mean_one.len() {
        let (left, right) = (mean_one[place], mean_other[place]);
        let (left_variance, right_variance) =
            (square_one[place] - left * left, square_other[place] - right * right);
        let covariance = mixed[place] - left * right;
        sum += (2.0 * left * right + C1) * (2.0 * covariance + C2)
            / ((left * left + right * right + C1) * (left_variance + right_variance + C2));
    }
    sum / all
}

/// Gaussian means of all whole windows.
fn blurred(width: usize, height: usize, values: &[f64]) -> Vec<f64> {
    let across = along(values, width, height);
    let width = windows(width);
    // The second pass is the first of the turned picture; the order of the result does not matter to a mean.
    let turned: Vec<f64> = (0..width)
        .flat_map(|x| (0..height).map(move |y| (x, y)))
        .map(|(x, y)| across[y * width + x])
        .collect();
    along(&turned, height, width)
}

/// Gaussian means along the rows.
fn along(values: &[f64], width: usize, height: usize) -> Vec<f64> {
    let kernel = kernel(width.min(2 * RADIUS + 1));
    let mut means = Vec::with_capacity(windows(width) * height);
    for row in values.chunks_exact(width) {
        means.extend(
            row.windows(kernel.len())
                .map(|window| window.iter().zip(&kernel).map(|(value, weight)| value * weight).sum::<f64>()),
        );
    }
    means
}

fn windows(side: usize) -> usize {
    side.saturating_sub(2 * RADIUS).max(1)
}

fn kernel(width: usize) -> Vec<f64> {
    let middle = (width - 1) as f64 / 2.0;
    let weights: Vec<f64> =
        (0..width).map(|place| (-(place as f64 - middle).powi(2) / (2.0 * SIGMA * SIGMA)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}
