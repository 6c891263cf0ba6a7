//! Pictures made by hand: a PNG with a small landscape that differs for every id, and a bare MP4.

use crate::checksum::{Crc32, adler32};
use serde_json::Value;

/// An RGB PNG (W3C PNG, third edition) in stored zlib blocks, with `parameters` as a text chunk.
pub(super) fn png(id: u64, width: u32, height: u32, parameters: Option<&str>) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend_from_slice(&width.to_be_bytes());
    header.extend_from_slice(&height.to_be_bytes());
    header.extend_from_slice(&[8, 2, 0, 0, 0]); // 8 bits, RGB, no interlace
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut png, *b"IHDR", &header);
    if let Some(text) = parameters {
        chunk(&mut png, *b"tEXt", format!("parameters\0{text}").as_bytes());
    }
    chunk(&mut png, *b"IDAT", &zlib(&rows(id, width, height)));
    chunk(&mut png, *b"IEND", &[]);
    png
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

fn chunk(png: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    png.extend_from_slice(&(data.len() as u32).to_be_bytes());
    png.extend_from_slice(&kind);
    png.extend_from_slice(data);
    let mut crc = Crc32::new();
    crc.update(&kind);
    crc.update(data);
    png.extend_from_slice(&crc.value().to_be_bytes());
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let blocks = data.chunks(65_535);
    let last = blocks.len() - 1;
    for (index, block) in blocks.enumerate() {
        let length = block.len() as u16;
        stream.push(u8::from(index == last));
        stream.extend_from_slice(&length.to_le_bytes());
        stream.extend_from_slice(&(!length).to_le_bytes());
        stream.extend_from_slice(block);
    }
    stream.extend_from_slice(&adler32(data).to_be_bytes());
    stream
}

/// A sky that fades, a sun, and three ridges of hills.
fn rows(id: u64, width: u32, height: u32) -> Vec<u8> {
    let mut rows = Vec::with_capacity((height * (width * 3 + 1)) as usize);
    let hue = (id * 47 % 360) as f32;
    let (sun_x, sun_y) = (0.2 + (id * 13 % 60) as f32 / 100.0, 0.2 + (id * 29 % 25) as f32 / 100.0);
    for y in 0..height {
        rows.push(0); // no filter
        for x in 0..width {
            let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
            rows.extend_from_slice(&pixel(hue, (sun_x, sun_y), id as f32, u, v));
        }
    }
    rows
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

/// Hue in degrees, saturation and value from 0 to 1.
fn rgb(hue: f32, saturation: f32, value: f32) -> [u8; 3] {
    [5.0f32, 3.0, 1.0].map(|offset| {
        let k = (offset + hue / 60.0) % 6.0;
        let part = value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0);
        (part.clamp(0.0, 1.0) * 255.0) as u8
    })
}
