//! Writing PNG pictures (W3C PNG, third edition) by hand, in stored zlib blocks.

use crate::checksum::{Crc32, adler32};

/// An RGB picture. `rows` holds three bytes a pixel, row after row; `texts` become text chunks.
pub(crate) fn png(width: u32, height: u32, pixels: &[u8], texts: &[(&str, &str)]) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend_from_slice(&width.to_be_bytes());
    header.extend_from_slice(&height.to_be_bytes());
    header.extend_from_slice(&[8, 2, 0, 0, 0]); // 8 bits, RGB, no interlace
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut png, *b"IHDR", &header);
    for (keyword, text) in texts {
        chunk(&mut png, *b"tEXt", format!("{keyword}\0{text}").as_bytes());
    }
    chunk(&mut png, *b"IDAT", &zlib(&unfiltered(width, pixels)));
    chunk(&mut png, *b"IEND", &[]);
    png
}

/// Each row behind the byte that says that it is not filtered.
fn unfiltered(width: u32, pixels: &[u8]) -> Vec<u8> {
    let row = width as usize * 3;
    let mut rows = Vec::with_capacity(pixels.len() + pixels.len() / row.max(1));
    for line in pixels.chunks(row) {
        rows.push(0);
        rows.extend_from_slice(line);
    }
    rows
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

/// Hue in degrees, saturation and value from 0 to 1.
pub(crate) fn rgb(hue: f32, saturation: f32, value: f32) -> [u8; 3] {
    [5.0f32, 3.0, 1.0].map(|offset| {
        let k = (offset + hue / 60.0) % 6.0;
        let part = value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0);
        (part.clamp(0.0, 1.0) * 255.0) as u8
    })
}
