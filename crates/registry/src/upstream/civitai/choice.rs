//! Which of a version's files is meant.

use super::wire::{Version, VersionFile};

/// The file of that id; without an id the primary one, else the best weight file.
pub(crate) fn choose_file(version: &Version, file_id: Option<u64>) -> Option<&VersionFile> {
    if file_id.is_some() {
        return version.files.iter().find(|file| file.id == file_id);
    }
    let best = |only_primary: bool| {
        let candidates =
            version.files.iter().filter(|file| is_weights(file) && (file.is_primary || !only_primary));
        // The first of equals: `max_by_key` would take the last.
        candidates.rev().max_by_key(|file| score(file))
    };
    best(true).or_else(|| best(false))
}

/// Whether a loader could use it; data sets, archives and settings are never what is meant.
pub(crate) fn is_weights(file: &VersionFile) -> bool {
    let kind = file.kind.as_deref().unwrap_or("Model");
    let name = file.name.as_deref().unwrap_or_default().to_ascii_lowercase();
    let is_other_kind = matches!(kind, "Training Data" | "Config" | "Archive" | "Workflow");
    let is_other_name =
        [".zip", ".json", ".yaml", ".yml", ".txt", ".7z", ".rar"].iter().any(|ending| name.ends_with(ending));
    !is_other_kind && !is_other_name
}

/// The site's own preferences: safetensors before all, then pruned, then fp16.
fn score(file: &VersionFile) -> u32 {
    let is = |field: &Option<String>, wanted: &str| {
        field.as_deref().is_some_and(|text| text.eq_ignore_ascii_case(wanted))
    };
    let main = file
        .kind
        .as_deref()
        .is_none_or(|kind| matches!(kind, "Model" | "Pruned Model" | "Diffusion Model" | "UNet"));
    u32::from(main) * 1000
        + u32::from(is(&file.format, "SafeTensor")) * 100
        + u32::from(is(&file.size, "pruned")) * 10
        + u32::from(is(&file.precision, "fp16"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(id: u64, kind: &str, format: &str, size: &str, precision: &str, is_primary: bool) -> VersionFile {
        VersionFile {
            id: Some(id),
            kind: Some(kind.into()),
            format: Some(format.into()),
            size: Some(size.into()),
            precision: Some(precision.into()),
            is_primary,
            ..VersionFile::default()
        }
    }

    fn chosen(files: Vec<VersionFile>, file_id: Option<u64>) -> Option<u64> {
        choose_file(&Version { id: 1, files, ..Version::default() }, file_id).and_then(|file| file.id)
    }

    #[test]
    fn the_named_file_is_taken_whatever_it_is() {
        let files = vec![
            file(1, "Model", "SafeTensor", "full", "fp16", true),
            file(2, "Training Data", "Other", "", "", false),
        ];
        assert_eq!(chosen(files.clone(), Some(2)), Some(2));
        assert_eq!(chosen(files, Some(3)), None);
    }

    #[test]
    fn the_primary_weight_file_is_taken_before_better_ones() {
        let files = vec![
            file(1, "Model", "SafeTensor", "pruned", "fp16", false),
            file(2, "Model", "PickleTensor", "full", "fp32", true),
        ];
        assert_eq!(chosen(files, None), Some(2));
    }

    #[test]
    fn of_several_primaries_the_best_weights_are_taken_and_never_the_data_set() {
        let files = vec![
            file(1, "Model", "SafeTensor", "full", "fp32", true),
            file(3, "Model", "PickleTensor", "full", "fp16", true),
            file(5, "Training Data", "Other", "", "", true),
            file(6, "Model", "SafeTensor", "full", "fp16", true),
        ];
        assert_eq!(chosen(files, None), Some(6));
    }

    #[test]
    fn without_a_primary_the_first_of_the_best_is_taken() {
        let files = vec![
            file(1, "VAE", "SafeTensor", "full", "fp16", false),
            file(2, "Model", "SafeTensor", "full", "fp16", false),
            file(3, "Model", "SafeTensor", "full", "fp16", false),
        ];
        assert_eq!(chosen(files, None), Some(2));
        assert_eq!(chosen(vec![file(1, "Archive", "Other", "", "", true)], None), None);
    }
}
