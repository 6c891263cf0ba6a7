//! Merging an entry of a repository into our own: three versions in, one out, field by field (decision 10).

use serde_json::{Map, Value};

/// A field that was changed here and there; ours stays.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldConflict {
    /// Which field.
    pub field: String,
    /// What stands here; null when it was taken out.
    pub ours: Value,
    /// What the repository has; null when it was taken out.
    pub theirs: Value,
}

/// What came of a merge.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MergedEntry {
    /// The fields, in our order, new ones behind.
    pub fields: Map<String, Value>,
    /// Where both sides changed the same field differently.
    pub conflicts: Vec<FieldConflict>,
    /// Whether something that was changed here stays different from the repository.
    pub keeps_ours: bool,
}

/// Merges `theirs` into `ours`. `base` is what was last merged; without it only what we lack is taken.
pub fn merge_entry(
    base: Option<&Map<String, Value>>,
    ours: &Map<String, Value>,
    theirs: &Map<String, Value>,
) -> MergedEntry {
    let mut merged = MergedEntry { fields: ours.clone(), ..MergedEntry::default() };
    let empty = Map::new();
    let is_first = base.is_none();
    let base = base.unwrap_or(&empty);
    let added = theirs.keys().filter(|field| !ours.contains_key(*field));
    for field in ours.keys().chain(added) {
        let (was, own, other) = (base.get(field), ours.get(field), theirs.get(field));
        if own == other || other == was {
            merged.keeps_ours |= own != other;
            continue;
        }
        let takes_theirs = own == was;
        match (takes_theirs, other) {
            (true, Some(value)) => drop(merged.fields.insert(field.clone(), value.clone())),
            (true, None) => drop(merged.fields.shift_remove(field)),
            // What the repository never had is no matter of it.
            (false, None) if is_first => merged.keeps_ours = true,
            (false, _) => merged.conflicts.push(FieldConflict {
                field: field.clone(),
                ours: own.cloned().unwrap_or(Value::Null),
                theirs: other.cloned().unwrap_or(Value::Null),
            }),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other} is not an object"),
        }
    }

    fn merge(base: Value, ours: Value, theirs: Value) -> MergedEntry {
        merge_entry(Some(&map(base)), &map(ours), &map(theirs))
    }

    #[test]
    fn what_one_side_changed_is_taken_from_that_side() {
        let base = json!({"name": "a", "size": 1, "tags": ["x"], "old": 1});
        let ours = json!({"name": "mine", "size": 1, "tags": ["x"], "note": "n", "old": 1});
        let theirs = json!({"name": "a", "size": 2, "tags": ["x"], "url": "u"});
        let merged = merge(base, ours, theirs);
        assert_eq!(
            Value::Object(merged.fields),
            json!({"name": "mine", "size": 2, "tags": ["x"], "note": "n", "url": "u"})
        );
        assert_eq!((merged.conflicts, merged.keeps_ours), (vec![], true));
    }

    #[test]
    fn what_both_changed_differently_is_a_conflict_and_ours_stays() {
        let merged =
            merge(json!({"name": "a", "x": 1}), json!({"name": "mine"}), json!({"name": "theirs", "x": 2}));
        assert_eq!(Value::Object(merged.fields), json!({"name": "mine"}));
        let fields: Vec<&str> = merged.conflicts.iter().map(|conflict| conflict.field.as_str()).collect();
        assert_eq!(fields, ["name", "x"]);
        assert_eq!(merged.conflicts[1].ours, Value::Null);
    }

    #[test]
    fn without_a_base_only_what_we_lack_is_taken() {
        let merged = merge_entry(
            None,
            &map(json!({"name": "mine", "own": 1})),
            &map(json!({"name": "theirs", "url": "u"})),
        );
        assert_eq!(Value::Object(merged.fields), json!({"name": "mine", "own": 1, "url": "u"}));
        assert_eq!(merged.conflicts.len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn merging_the_same_again_changes_nothing(ours: [Option<u8>; 4], theirs: [Option<u8>; 4], base: [Option<u8>; 4]) {
            let of = |values: [Option<u8>; 4]| -> Map<String, Value> {
                values.iter().enumerate().filter_map(|(at, value)| Some((at.to_string(), (*value)?.into()))).collect()
            };
            let (ours, theirs) = (of(ours), of(theirs));
            let once = merge_entry(Some(&of(base)), &ours, &theirs);
            let twice = merge_entry(Some(&theirs), &once.fields, &theirs);
            proptest::prop_assert_eq!(&twice.fields, &once.fields);
            proptest::prop_assert!(twice.conflicts.is_empty());
        }
    }
}
