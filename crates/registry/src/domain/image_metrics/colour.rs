//! Colours of a picture and how far two palettes are apart.

use std::sync::LazyLock;

use super::Picture;

/// At and below it a channel is crushed.
const LOW: u8 = 2;
/// At and above it a channel is burnt.
const HIGH: u8 = 253;

/// What the colours of one picture are.
pub(super) struct Colour {
    pub(super) colourfulness: f64,
    pub(super) saturation_mean: f64,
    pub(super) clip_low: f64,
    pub(super) clip_high: f64,
}

impl Colour {
    pub(super) fn of(picture: &Picture) -> Self {
        let (mut saturation, mut low, mut high) = (0.0, 0_u64, 0_u64);
        let (mut red_green, mut yellow_blue) = (Moments::default(), Moments::default());
        for pixel in picture.rgb() {
            let [red, green, blue] = pixel.map(f64::from);
            red_green.add(red - green);
            yellow_blue.add(f64::midpoint(red, green) - blue);
            let (least, most) = (pixel.into_iter().min().unwrap_or(0), pixel.into_iter().max().unwrap_or(0));
            if most > 0 {
                saturation += f64::from(most - least) / f64::from(most);
            }
            low += u64::from(least <= LOW);
            high += u64::from(most >= HIGH);
        }
        let count = (picture.width * picture.height) as f64;
        let deviation = (red_green.variance() + yellow_blue.variance()).sqrt();
        let mean = red_green.mean().hypot(yellow_blue.mean());
        Self {
            colourfulness: deviation + 0.3 * mean,
            saturation_mean: saturation / count,
            clip_low: low as f64 / count,
            clip_high: high as f64 / count,
        }
    }
}

/// Sums for mean and variance; values are of 8-bit size, so plain sums are exact enough.
#[derive(Default)]
pub(super) struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    pub(super) fn mean(&self) -> f64 {
        if self.count > 0.0 { self.sum / self.count } else { 0.0 }
    }

    pub(super) fn variance(&self) -> f64 {
        if self.count > 0.0 { (self.squares / self.count - self.mean().powi(2)).max(0.0) } else { 0.0 }
    }
}

/// Mean distance of pixels in CIE L*a*b* (D65, 1976).
pub(super) fn delta_lab(one: &Picture, other: &Picture) -> f64 {
    let distance = |(left, right): ([u8; 3], [u8; 3])| {
        if left == right {
            return 0.0;
        }
        let (left, right) = (lab(left), lab(right));
        left.iter().zip(right).map(|(left, right)| (left - right).powi(2)).sum::<f64>().sqrt()
    };
    one.rgb().zip(other.rgb()).map(distance).sum::<f64>() / (one.width * one.height) as f64
}

/// sRGB (IEC 61966-2-1) to L*a*b* with the D65 white.
fn lab(pixel: [u8; 3]) -> [f64; 3] {
    static LINEAR: LazyLock<[f64; 256]> = LazyLock::new(|| {
        std::array::from_fn(|level| {
            let part = level as f64 / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        })
    });
    let [red, green, blue] = pixel.map(|level| LINEAR[usize::from(level)]);
    let x = (0.412_456_4 * red + 0.357_576_1 * green + 0.180_437_5 * blue) / 0.950_47;
    let y = 0.212_672_9 * red + 0.715_152_2 * green + 0.072_175_0 * blue;
    let z = (0.019_333_9 * red + 0.119_192_0 * green + 0.950_304_1 * blue) / 1.088_83;
    let [x, y, z] = [x, y, z].map(|value| {
        if value > 216.0 / 24_389.0 { value.cbrt() } else { (24_389.0 / 27.0 * value + 16.0) / 116.0 }
    });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// Wasserstein-1 distance of the channels' histograms, mean of the three, levels.
pub(super) fn histogram_distance(one: &Picture, other: &Picture) -> f64 {
    let (one, other) = (histograms(one), histograms(other));
    let channel = |channel: usize| {
        let (mut ahead, mut moved) = (0.0, 0.0);
        for (left, right) in one[channel].iter().zip(other[channel]) {
            ahead += left - right;
            moved += f64::abs(ahead);
        }
        moved
    };
    (0..3).map(channel).sum::<f64>() / 3.0
}

/// Share of each level in each channel.
fn histograms(picture: &Picture) -> [[f64; 256]; 3] {
    let mut shares = [[0.0; 256]; 3];
    let one = 1.0 / (picture.width * picture.height) as f64;
    for pixel in picture.rgb() {
        for (channel, level) in pixel.into_iter().enumerate() {
            shares[channel][usize::from(level)] += one;
        }
    }
    shares
}
