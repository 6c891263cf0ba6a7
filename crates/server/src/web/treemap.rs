//! A rectangle cut into parts by weight, each as near to a square as it goes: the squarified treemap of Bruls,
//! Huizing and van Wijk (2000).

/// A part of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Rect {
    fn shorter_side(self) -> f64 {
        self.width.min(self.height)
    }

    /// Cuts a strip of `area` off along the shorter side: the strip, and what is left.
    fn cut(self, area: f64) -> (Self, Self) {
        if self.width >= self.height {
            let width = if self.height > 0.0 { (area / self.height).min(self.width) } else { 0.0 };
            (Self { width, ..self }, Self { x: self.x + width, width: self.width - width, ..self })
        } else {
            let height = if self.width > 0.0 { (area / self.width).min(self.height) } else { 0.0 };
            (Self { height, ..self }, Self { y: self.y + height, height: self.height - height, ..self })
        }
    }
}

/// One rectangle a weight, in their order; weights must be positive and fall.
pub(super) fn squarify(weights: &[f64], whole: Rect) -> Vec<Rect> {
    let total: f64 = weights.iter().sum();
    if total <= 0.0 {
        return Vec::new();
    }
    let scale = whole.width * whole.height / total;
    let areas: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
    let mut rects = Vec::with_capacity(areas.len());
    let (mut rest, mut left) = (areas.as_slice(), whole);
    while !rest.is_empty() {
        let count = row_length(rest, left.shorter_side());
        let (row, others) = rest.split_at(count);
        let (strip, remaining) = left.cut(row.iter().sum());
        lay(row, strip, left.width >= left.height, &mut rects);
        (rest, left) = (others, remaining);
    }
    rects
}

/// How many areas one row takes before its worst shape gets worse.
fn row_length(areas: &[f64], side: f64) -> usize {
    let mut best = f64::INFINITY;
    let mut sum = 0.0;
    for (index, area) in areas.iter().enumerate() {
        sum += area;
        let shape = worst(areas[0], *area, sum, side);
        if shape > best {
            return index;
        }
        best = shape;
    }
    areas.len()
}

/// The largest ratio of sides in a row of that sum, from its largest and its smallest area.
fn worst(largest: f64, smallest: f64, sum: f64, side: f64) -> f64 {
    let (sum, side) = (sum * sum, side * side);
    (side * largest / sum).max(sum / (side * smallest))
}

fn lay(row: &[f64], strip: Rect, is_upright: bool, rects: &mut Vec<Rect>) {
    let sum: f64 = row.iter().sum();
    let (mut x, mut y) = (strip.x, strip.y);
    for area in row {
        let share = if sum > 0.0 { area / sum } else { 0.0 };
        let (width, height) = if is_upright {
            (strip.width, strip.height * share)
        } else {
            (strip.width * share, strip.height)
        };
        rects.push(Rect { x, y, width, height });
        if is_upright { y += height } else { x += width }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Rect = Rect { x: 0.0, y: 0.0, width: 6.0, height: 4.0 };

    #[test]
    fn areas_follow_the_weights_and_fill_the_whole() {
        let weights = [6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0];
        let rects = squarify(&weights, WHOLE);
        for (rect, weight) in rects.iter().zip(weights) {
            assert!((rect.width * rect.height - weight).abs() < 1e-9, "{rect:?}");
            assert!(
                rect.x >= 0.0
                    && rect.y >= 0.0
                    && rect.x + rect.width < 6.0 + 1e-9
                    && rect.y + rect.height < 4.0 + 1e-9
            );
        }
        // The first two of the example in the paper stand above each other at the left.
        assert_eq!((rects[0].width, rects[0].height), (3.0, 2.0));
        assert_eq!((rects[1].x, rects[1].y), (0.0, 2.0));
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(squarify(&[], WHOLE).is_empty());
        assert!(squarify(&[0.0], WHOLE).is_empty());
    }
}
