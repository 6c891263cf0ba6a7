//! The pictures of a request: prompts × seeds × strengths, and the files at every strength but 0.

use super::super::request::ImageRequest;
use crate::store::{CellState, StoredCell};

/// All pictures in the order in which they are made: first those without a LoRA, which all files share, then strength
/// by strength, so that the generator keeps its models and texts and only samples.
pub(super) fn cells(images: &ImageRequest, files: usize) -> Vec<StoredCell> {
    let strengths = images.strengths();
    let with_lora = (0..files).flat_map(|file| {
        strengths.iter().filter(|strength| **strength != 0.0).map(move |strength| (file, *strength))
    });
    let columns = std::iter::once((0, 0.0)).chain(with_lora);
    let rows =
        || (0..images.prompts.len()).flat_map(|prompt| images.seeds.iter().map(move |seed| (prompt, *seed)));
    let all = columns.flat_map(|column| rows().map(move |row| (column, row)));
    all.enumerate()
        .map(|(place, ((file, strength), (prompt, seed)))| StoredCell {
            place,
            file,
            prompt,
            seed,
            strength,
            state: CellState::Waiting,
            prompt_id: None,
            image_sha256: None,
            seconds: None,
            error: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pictures_without_a_lora_come_first_and_once() {
        let images: ImageRequest = serde_json::from_value(json!({
            "prompts": [{"text": "a"}, {"text": "b"}], "seeds": [7, 8], "strengths": [1.0, 0.5, 1.0],
        }))
        .unwrap();
        let cells = cells(&images, 2);
        assert_eq!(cells.len(), images.cells(2));
        let shown: Vec<_> =
            cells.iter().map(|cell| (cell.file, cell.strength, cell.prompt, cell.seed)).collect();
        assert_eq!(
            shown[..5],
            [(0, 0.0, 0, 7), (0, 0.0, 0, 8), (0, 0.0, 1, 7), (0, 0.0, 1, 8), (0, 0.5, 0, 7)]
        );
        assert_eq!(shown[12], (1, 0.5, 0, 7));
        assert!(cells.iter().enumerate().all(|(place, cell)| cell.place == place));
    }
}
