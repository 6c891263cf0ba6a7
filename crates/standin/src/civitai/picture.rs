//! Pictures made by hand: a PNG with a small landscape that differs for every id, and a bare MP4.

use crate::png::rgb;
use serde_json::Value;

/// A PNG with the landscape of this id, with `parameters` as a text chunk.
pub(super) fn png(id: u64, width: u32, height: u32, parameters: Option<&str>) -> Vec<u8> {
    let text = parameters.map(|text| ("parameters", text));
    crate::png::png(width, height, &pixels(id, width, height), text.as_slice())
}

/// The first box of an MP4 file and an empty movie: enough to be told apart by content.
pub(super) fn mp4() -> Vec<u8> {
    b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom\x00\x00\x00\x08mdat".to_vec()
}

/// Generation data in the text form that web interfaces write into PNGs.
pub(super) fn parameters(meta: &Value) -> String {
    let text = |key: &str| meta[key].as_str().unwrap_or_default().to_owned();
    let number = |key: &str| meta[key].to_string();
    format!(
        "{}\nNegative prompt: {}\nSteps: {}, Sampler: {}, CFG scale: {}, Seed: {}, Size: {}",
        text("prompt"),
        text("negativePrompt"),
        number("steps"),
        text("sampler"),
        number("cfgScale"),
        number("seed"),
        text("Size")
    )
}

/// A sky that fades, a sun, and three ridges of hills.
fn pixels(id: u64, width: u32, height: u32) -> Vec<u8> {
    let mut pixels = Vec::with_capacity((height * width * 3) as usize);
    let hue = (id * 47 % 360) as f32;
    let (sun_x, sun_y) = (0.2 + (id * 13 % 60) as f32 / 100.0, 0.2 + (id * 29 % 25) as f32 / 100.0);
    for y in 0..height {
        for x in 0..width {
            let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
            pixels.extend_from_slice(&pixel(hue, (sun_x, sun_y), id as f32, u, v));
        }
    }
    pixels
}

fn pixel(hue: f32, sun: (f32, f32), phase: f32, u: f32, v: f32) -> [u8; 3] {
    let mut colour = rgb(hue, 0.55 - 0.25 * v, 0.35 + 0.6 * v);
    if (u - sun.0).hypot(v - sun.1) < 0.09 {
        colour = rgb(hue + 40.0, 0.15, 1.0);
    }
    for ridge in 0..3u8 {
        let depth = f32::from(ridge);
        let line = 0.55
            + 0.14 * depth
            + 0.05 * (u * (5.0 + 3.0 * depth) + phase + depth * 2.0).sin()
            + 0.02 * (u * 23.0 + phase * depth).sin();
        if v > line {
            colour = rgb(hue + 190.0 + 12.0 * depth, 0.5, 0.5 - 0.14 * depth);
        }
    }
    colour
}
