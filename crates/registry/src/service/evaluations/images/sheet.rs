//! The contact sheet: a row a prompt and seed, a column a strength; blocking.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use image::codecs::webp::WebPEncoder;
use image::imageops::{FilterType, overlay};
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};

use super::super::request::ImageRequest;
use super::picture_path;
use crate::service::picture::decode;
use crate::store::{CellState, StoredCell};

/// The longer side of a small picture, pixels.
const SIDE: u32 = 192;
/// The most pixels of a sheet; above it the pictures are smaller.
const MOST_PIXELS: u64 = 24_000_000;
/// WebP's largest side.
const MOST_SIDE: u64 = 16_383;
const GAP: u32 = 4;
/// Height of the line of labels above, width of those beside.
const HEAD: u32 = 18;
const MARGIN: u32 = 96;
/// Pixels of a dot of a letter.
const DOT: u32 = 2;
const PAPER: Rgb<u8> = Rgb([24, 24, 27]);
const INK: Rgb<u8> = Rgb([228, 228, 231]);
/// In the place of a picture that is not there.
const MISSING: Rgb<u8> = Rgb([82, 30, 36]);

/// Letters of 3 × 5 dots, rows from the top, three bits each.
const LETTERS: [(char, [u8; 5]); 15] = [
    ('0', [7, 5, 5, 5, 7]),
    ('1', [2, 6, 2, 2, 7]),
    ('2', [7, 1, 7, 4, 7]),
    ('3', [7, 1, 7, 1, 7]),
    ('4', [5, 5, 7, 1, 1]),
    ('5', [7, 4, 7, 1, 7]),
    ('6', [7, 4, 7, 5, 7]),
    ('7', [7, 1, 1, 1, 1]),
    ('8', [7, 5, 7, 5, 7]),
    ('9', [7, 5, 7, 1, 7]),
    ('.', [0, 0, 0, 0, 2]),
    ('-', [0, 0, 7, 0, 0]),
    ('P', [7, 5, 7, 4, 4]),
    ('S', [7, 4, 7, 1, 7]),
    ('F', [7, 4, 7, 4, 4]),
];

/// Writes the sheet of a grid as lossless WebP. Columns are labelled by strength (`F2 0.5`: the second file), rows by
/// prompt and seed, counted from 1.
pub(super) fn write(
    request: &ImageRequest,
    files: usize,
    cells: &[StoredCell],
    folder: &Path,
    target: &Path,
) -> image::ImageResult<()> {
    let sheet = compose(request, files, cells, folder);
    let part = target.with_extension("part");
    let mut file = BufWriter::new(File::create(&part)?);
    WebPEncoder::new_lossless(&mut file).write_image(
        sheet.as_raw(),
        sheet.width(),
        sheet.height(),
        ExtendedColorType::Rgb8,
    )?;
    file.into_inner().map_err(|error| image::ImageError::IoError(error.into_error()))?.sync_all()?;
    Ok(std::fs::rename(part, target)?)
}

fn compose(request: &ImageRequest, files: usize, cells: &[StoredCell], folder: &Path) -> RgbImage {
    let rows: Vec<(usize, u64)> = (0..request.prompts.len())
        .flat_map(|prompt| request.seeds.iter().map(move |seed| (prompt, *seed)))
        .collect();
    let mut columns: Vec<(usize, f64)> = vec![(0, 0.0)];
    let strengths = request.strengths();
    columns.extend((0..files).flat_map(|file| {
        strengths.iter().filter(|strength| **strength != 0.0).map(move |strength| (file, *strength))
    }));
    let side = side(rows.len(), columns.len());
    let (width, height) =
        (MARGIN + columns.len() as u32 * (side + GAP), HEAD + rows.len() as u32 * (side + GAP));
    let mut sheet = RgbImage::from_pixel(width, height, PAPER);
    for (column, (file, strength)) in columns.iter().enumerate() {
        let left = MARGIN + column as u32 * (side + GAP);
        let label = if files > 1 && *strength != 0.0 {
            format!("F{} {strength}", file + 1)
        } else {
            strength.to_string()
        };
        write_label(&mut sheet, &label, left + GAP, GAP);
        for (row, (prompt, seed)) in rows.iter().enumerate() {
            let cell = cells.iter().find(|cell| {
                (cell.file, cell.prompt, cell.seed) == (*file, *prompt, *seed)
                    && cell.strength.total_cmp(strength).is_eq()
            });
            let top = HEAD + row as u32 * (side + GAP);
            place(&mut sheet, cell.and_then(|cell| small(cell, folder, side)), left, top, side);
        }
    }
    for (row, (prompt, seed)) in rows.iter().enumerate() {
        let top = HEAD + row as u32 * (side + GAP);
        write_label(&mut sheet, &format!("P{}", prompt + 1), GAP, top + GAP);
        write_label(&mut sheet, &format!("S{seed}"), GAP, top + 6 * GAP);
    }
    sheet
}

/// So that the sheet fits WebP's sides and our memory.
fn side(rows: usize, columns: usize) -> u32 {
    let (rows, columns) = (rows.max(1) as u64, columns.max(1) as u64);
    let by_area = (MOST_PIXELS / (rows * columns)).isqrt();
    let by_side = (MOST_SIDE - u64::from(MARGIN)) / rows.max(columns);
    (u64::from(SIDE).min(by_area).min(by_side).saturating_sub(u64::from(GAP))).max(8) as u32
}

fn small(cell: &StoredCell, folder: &Path, side: u32) -> Option<RgbImage> {
    let path = (cell.state == CellState::Done).then(|| picture_path(folder, cell.place))?;
    Some(decode(&path).ok()?.resize(side, side, FilterType::Triangle).into_rgb8())
}

fn place(sheet: &mut RgbImage, picture: Option<RgbImage>, left: u32, top: u32, side: u32) {
    let picture = picture.unwrap_or_else(|| RgbImage::from_pixel(side, side, MISSING));
    let (x, y) =
        (left + (side - picture.width().min(side)) / 2, top + (side - picture.height().min(side)) / 2);
    overlay(sheet, &picture, i64::from(x), i64::from(y));
}

fn write_label(sheet: &mut RgbImage, text: &str, left: u32, top: u32) {
    for (place, letter) in text.chars().enumerate() {
        let dots = LETTERS.iter().find(|(known, _)| *known == letter).map_or([0; 5], |(_, dots)| *dots);
        for (row, bits) in dots.into_iter().enumerate() {
            for column in (0..3).filter(|column| bits & (4 >> column) != 0) {
                let (x, y) = (left + (place as u32 * 4 + column) * DOT, top + row as u32 * DOT);
                fill(sheet, x, y);
            }
        }
    }
}

/// One dot; what lies outside is left out.
fn fill(sheet: &mut RgbImage, left: u32, top: u32) {
    for y in top..(top + DOT).min(sheet.height()) {
        for x in left..(left + DOT).min(sheet.width()) {
            sheet.put_pixel(x, y, INK);
        }
    }
}
