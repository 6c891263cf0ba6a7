//! The built-in list: well-known public models as facts (repository, file, size), names in our own words.
//!
//! Sizes are in units of 1e9 bytes and estimates unless `size_bytes` stands beside them; the source has the last word.

/// The list as a catalog file.
pub(super) const BUILTIN: &[u8] = include_bytes!("../../data/builtin.json");

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::catalog_file::{judged, read};
    use crate::domain::{BaseModelFamilies, EntryDocument, ModelPath, Origin};

    fn entries() -> Vec<(EntryDocument, ModelPath)> {
        let groups = read(BUILTIN).unwrap().groups.into_iter();
        groups.flat_map(|group| group.entries).map(|entry| judged(entry).unwrap()).collect()
    }

    #[test]
    fn every_entry_can_be_fetched_and_found() {
        let entries = entries();
        assert!(entries.len() >= 60, "{}", entries.len());
        let families = BaseModelFamilies::builtin();
        for (document, path) in entries {
            assert!(document.origin().is_some(), "{path} has no source");
            assert!(document.expected_bytes() > 0, "{path} has no size");
            assert!(path.file.is_model() && document.some_text("name").is_some(), "{path}");
            assert!(document.texts("tags").count() > 0, "{path} has no tags");
            let base_model = document.text("base_model");
            assert!(
                base_model.is_empty() || !families.of(base_model).is_empty(),
                "{path}: `{base_model}` is unknown"
            );
        }
    }

    #[test]
    fn no_file_stands_twice_and_no_source_gives_two_files() {
        let (mut paths, mut names, mut origins) = (HashSet::new(), HashSet::new(), Vec::new());
        for (document, path) in entries() {
            assert!(paths.insert(path.clone()), "{path}");
            assert!(names.insert(document.name().to_owned()), "{}", document.name());
            let origin: Origin = document.origin().unwrap();
            assert!(!origins.contains(&origin), "{path} has the source of another entry");
            origins.push(origin);
        }
    }

    #[test]
    fn halves_of_a_pair_share_folder_and_base_model() {
        let paired: Vec<_> =
            entries().into_iter().filter(|(document, _)| document.some_text("pair_id").is_some()).collect();
        for (document, path) in &paired {
            let same = paired.iter().filter(|(other, _)| other.text("pair_id") == document.text("pair_id"));
            for (other, other_path) in same {
                assert_eq!(
                    (other_path.folder.as_str(), other.base_model()),
                    (path.folder.as_str(), document.base_model())
                );
            }
        }
        assert!(paired.len() >= 4);
    }
}
