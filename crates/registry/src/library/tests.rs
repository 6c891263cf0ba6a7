//! What the index answers is what a look at every entry would: random libraries, changes and queries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::DateTime;
use fastrand::Rng;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::orders::OrderKey;
use super::search::each_entry_word;
use super::*;
use crate::domain::search::{TypedWord, each_value, fold, folder_holds};
use crate::domain::{
    BaseModelFamilies, Category, Dimension, EntryDocument, EntryFilter, FileStamp, Selection, Sort,
    SortField, StatusWord,
};

const WORDS: [&str; 12] = [
    "watercolor",
    "watercolour",
    "ink",
    "Inked",
    "anime",
    "animation",
    "style",
    "STYLES",
    "v2",
    "xl",
    "über",
    "水彩",
];
const TYPED: [&str; 15] = [
    "watercolor",
    "watrecolor",
    "watercolr",
    "ink",
    "nk",
    "anmie",
    "animatoin",
    "styel",
    "v",
    "xl",
    "ÜBER",
    "彩",
    "missing",
    "stlyes",
    ".*",
];
const FOLDERS: [&str; 5] = ["loras", "loras/wan", "loras/wan/high", "checkpoints", ""];
const BASE_MODELS: [&str; 5] = ["SDXL 1.0", "Pony", "Wan Video 2.2 T2V-A14B", "brand new", ""];

fn some<'a>(random: &mut Rng, words: &[&'a str]) -> Vec<&'a str> {
    (0..random.usize(0..4)).map(|_| words[random.usize(0..words.len())]).collect()
}

fn document(random: &mut Rng, number: usize) -> EntryDocument {
    let mut fields = Map::new();
    fields.insert("file".into(), format!("{number}-{}.safetensors", some(random, &WORDS).join("_")).into());
    fields.insert("dest".into(), FOLDERS[random.usize(0..FOLDERS.len())].into());
    for (field, words) in [("name", &WORDS[..]), ("notes", &WORDS), ("author", &WORDS[..3])] {
        fields.insert(field.into(), some(random, words).join(" ").into());
    }
    for field in ["tags", "civitai_tags", "trainedWords"] {
        fields.insert(field.into(), json!(some(random, &WORDS)));
    }
    fields.insert("base_model".into(), BASE_MODELS[random.usize(0..BASE_MODELS.len())].into());
    fields.insert("size_bytes".into(), random.u64(0..4).into());
    if random.bool() {
        fields.insert("favorite".into(), true.into());
    }
    fields.into()
}

/// Whether a base model belongs to one of the families.
fn is_family_of(base_model: &str, families: &BTreeSet<String>) -> bool {
    BaseModelFamilies::builtin().of(base_model).iter().any(|family| families.contains(family))
}

/// A library that changes, and what is true of it.
struct World {
    library: Library,
    random: Rng,
    next: usize,
    statuses: Vec<(EntryId, StatusWord)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut own =
            Self { library: Library::default(), random: Rng::with_seed(seed), next: 0, statuses: vec![] };
        for catalog in CatalogName::ALL {
            let mut change = CatalogChange::of(catalog, CatalogHead::default());
            for (position, id) in ["styles", "other"].into_iter().enumerate() {
                let category = Category::named_after_id(id);
                change.categories.push(PlacedCategory { category, position: position as i64 });
            }
            own.library.apply(change);
        }
        own
    }

    fn ids(&self) -> Vec<EntryId> {
        self.library.all_placed().map(|(_, placed)| placed.entry.id).collect()
    }

    /// Adds, changes or removes some entries of one catalog at once.
    fn change(&mut self, most: usize) {
        let catalog = CatalogName::ALL[self.random.usize(0..2)];
        let mut change = CatalogChange::of(catalog, CatalogHead::default());
        let mut ids = self.ids();
        ids.retain(|id| self.library.entry(*id).unwrap().catalog == catalog);
        self.random.shuffle(&mut ids);
        for _ in 0..self.random.usize(1..=most) {
            match (self.random.u8(0..4), ids.pop()) {
                (0, Some(id)) => change.removed.push(id),
                (1, Some(id)) => {
                    let placed = self.placed(id, catalog);
                    change.entries.push(placed);
                }
                _ => {
                    let id = EntryId::new(DateTime::UNIX_EPOCH);
                    let placed = self.placed(id, catalog);
                    change.entries.push(placed);
                }
            }
        }
        self.library.apply(change);
    }

    fn placed(&mut self, id: EntryId, catalog: CatalogName) -> Placed {
        self.next += 1;
        let category = ["styles", "other"][self.random.usize(0..2)];
        let document = document(&mut self.random, self.next);
        let entry = Entry::from_document(id, catalog, category, document).unwrap();
        Placed { entry: Arc::new(entry), position: self.random.i64(0..50), changed_version: 1 }
    }

    fn touch_file(&mut self) {
        let ids = self.ids();
        let Some(id) = ids.get(self.random.usize(0..ids.len().max(1))) else { return };
        let path = self.library.entry(*id).unwrap().path.clone();
        let stamp = FileStamp { size_bytes: self.random.u64(0..4), modified_ns: 1, inode: 1 };
        let fact = self.random.bool().then(|| FileFact::unverified(stamp));
        self.library.set_file(path, fact);
    }

    fn start_jobs(&mut self) {
        let ids = self.ids();
        let words = [StatusWord::Queued, StatusWord::Downloading, StatusWord::Error];
        self.statuses = (0..self.random.usize(0..4))
            .filter_map(|_| {
                Some((*ids.get(self.random.usize(0..ids.len().max(1)))?, words[self.random.usize(0..3)]))
            })
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .collect();
    }

    fn filter(&mut self) -> EntryFilter {
        let random = &mut self.random;
        let text = some(random, &TYPED).join(" ");
        let mut selections = BTreeMap::new();
        for _ in 0..random.usize(0..3) {
            let dimension = Dimension::ALL[random.usize(0..Dimension::ALL.len())];
            let values: &[&str] = match dimension {
                Dimension::Folder => &FOLDERS,
                Dimension::BaseModel => &BASE_MODELS,
                Dimension::Family => &["sdxl", "wan-14b", "SDXL 1.0", "WAN 2.2"],
                Dimension::Status => &["present", "NOT_downloaded", "queued", "error"],
                Dimension::Catalog => &["models", "loras"],
                Dimension::Category => &["styles", "other", "none"],
                Dimension::Favorite => &["true", "false"],
                Dimension::Kind => &["lora", "checkpoint"],
                _ => &WORDS,
            };
            let mut choose = || some(random, values).into_iter().take(2).map(str::to_owned).collect();
            let selection = Selection { any: choose(), all: choose(), not: choose() };
            selections.insert(
                dimension,
                Selection { all: selection.all.into_iter().take(1).collect(), ..selection },
            );
        }
        EntryFilter { text, selections }
    }

    fn status_of(&self, entry: &Entry) -> &'static str {
        let job = self.statuses.iter().find(|(id, _)| *id == entry.id).map(|(_, word)| *word);
        let on_disk = if self.library.file(&entry.path).is_some() {
            StatusWord::Present
        } else {
            StatusWord::NotDownloaded
        };
        job.unwrap_or(on_disk).as_str()
    }

    fn values(&self, entry: &Entry, dimension: Dimension) -> BTreeSet<String> {
        let mut values = BTreeSet::new();
        each_value(entry, dimension, |value| {
            values.insert(fold(value));
        });
        if dimension == Dimension::Status {
            values.insert(self.status_of(entry).to_owned());
        }
        values
    }

    fn is_selected(&self, entry: &Entry, dimension: Dimension, own: &Selection, with_any: bool) -> bool {
        let values = self.values(entry, dimension);
        let has = |wanted: &String| match dimension {
            Dimension::Folder => values.iter().any(|value| folder_holds(&fold(wanted), value)),
            Dimension::Family if is_family_of(wanted, &values) => true,
            _ => values.contains(&fold(wanted)),
        };
        (!with_any || own.any.is_empty() || own.any.iter().any(has))
            && own.all.iter().all(has)
            && !own.not.iter().any(has)
    }

    /// How badly the words fit the entry, if they do.
    fn rank(entry: &Entry, text: &str) -> Option<usize> {
        let mut words = Vec::new();
        each_entry_word(entry, |word| words.push(word.to_owned()));
        let all = TypedWord::all_of(text);
        if all.is_empty() && !text.trim().is_empty() {
            return None;
        }
        all.iter()
            .map(|typed| words.iter().filter_map(|word| typed.fit(word)).min().map(|fit| fit as usize))
            .sum()
    }

    /// What is to be found, by a look at every entry. A dimension may be left out of account.
    fn wanted(&self, filter: &EntryFilter, without: Option<Dimension>) -> Vec<(usize, &Placed)> {
        let is_wanted = |entry: &Entry| {
            let mut selections = filter.selections.iter();
            selections
                .all(|(dimension, own)| self.is_selected(entry, *dimension, own, Some(*dimension) != without))
        };
        let all = self.library.all_placed().map(|(_, placed)| placed);
        all.filter(|placed| is_wanted(&placed.entry))
            .filter_map(|placed| Some((Self::rank(&placed.entry, &filter.text)?, placed)))
            .collect()
    }

    fn in_order(&self, filter: &EntryFilter, sort: Sort) -> Vec<EntryId> {
        let by_relevance = sort.field == SortField::Relevance;
        let mut keyed: Vec<_> = self
            .wanted(filter, None)
            .into_iter()
            .map(|(rank, placed)| {
                let key = OrderKey::of(&self.library, placed, sort.field);
                (if by_relevance { rank } else { 0 }, key, placed.entry.id)
            })
            .collect();
        keyed.sort();
        if sort.is_descending {
            keyed.reverse();
        }
        keyed.into_iter().map(|(_, _, id)| id).collect()
    }

    fn counts(&self, filter: &EntryFilter, dimension: Dimension) -> BTreeMap<String, u64> {
        let has_any = filter.selections.get(&dimension).is_some_and(|own| !own.any.is_empty());
        let mut counts = BTreeMap::new();
        for (_, placed) in self.wanted(filter, has_any.then_some(dimension)) {
            for value in self.values(&placed.entry, dimension) {
                *counts.entry(value).or_default() += 1;
            }
        }
        counts
    }

    fn search(&self, filter: &EntryFilter, sort: Sort, after: Option<Mark>, rows: usize) -> Found {
        let search = Search { filter, sort, after, rows, wants_facets: true, statuses: &self.statuses };
        self.library.search(&search)
    }

    fn pages(&self, filter: &EntryFilter, sort: Sort, rows: usize) -> (Vec<EntryId>, Found) {
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let found = self.search(filter, sort, after, rows);
            assert!(found.entries.len() <= rows);
            ids.extend(found.entries.iter().map(|entry| entry.id));
            match &found.last {
                Some(last) => after = Some(last.clone()),
                None => return (ids, found),
            }
        }
    }

    fn check(&mut self) {
        let filter = self.filter();
        let field = SortField::ALL[self.random.usize(0..SortField::ALL.len())];
        let is_descending = field != SortField::Relevance && self.random.bool();
        let sort = Sort { field, is_descending };
        let rows = self.random.usize(1..12);
        let (ids, found) = self.pages(&filter, sort, rows);
        let expected = self.in_order(&filter, sort);
        assert_eq!(found.total, expected.len() as u64, "{filter:?}");
        assert_eq!(ids, expected, "{filter:?} {sort:?}");
        for (dimension, counts) in found.facets.unwrap() {
            let shown: BTreeMap<String, u64> =
                counts.iter().map(|own| (fold(&own.value), own.count)).collect();
            assert_eq!(shown, self.counts(&filter, dimension), "{dimension:?} of {filter:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_index_that_followed_every_change_answers_as_a_look_at_every_entry(seed: u64) {
        let mut world = World::new(seed);
        world.change(60);
        world.check();
        for _ in 0..8 {
            match world.random.u8(0..8) {
                0 => world.change(80),
                1..4 => world.change(3),
                4..6 => world.touch_file(),
                _ => world.start_jobs(),
            }
            world.check();
        }
    }

    #[test]
    fn a_catalog_stays_in_the_order_of_its_places(seed: u64) {
        let mut world = World::new(seed);
        for most in [2, 100, 5, 2, 60] {
            world.change(most);
            for catalog in CatalogName::ALL {
                for category in &world.library.catalog(catalog).categories {
                    let ids: Vec<EntryId> = category.entries().map(|entry| entry.id).collect();
                    let all = world.library.all_placed().map(|(_, placed)| placed);
                    let mut expected: Vec<_> = all
                        .filter(|placed| placed.entry.catalog == catalog && placed.entry.category == category.category.id)
                        .map(|placed| (placed.position, placed.entry.id))
                        .collect();
                    expected.sort_unstable();
                    prop_assert_eq!(ids, expected.iter().map(|(_, id)| *id).collect::<Vec<_>>());
                    prop_assert_eq!(category.next_position(), expected.last().map_or(0, |(last, _)| last + 1));
                }
            }
        }
    }

    /// Entries that stay as they are come exactly once, whatever is added, changed and removed between two pages.
    #[test]
    fn pages_lose_and_repeat_nothing_that_did_not_change(seed: u64) {
        let mut world = World::new(seed);
        world.change(60);
        let filter = world.filter();
        let field = SortField::ALL[world.random.usize(0..SortField::ALL.len())];
        let sort = Sort { field, is_descending: field != SortField::Relevance && world.random.bool() };
        let before: BTreeMap<EntryId, Arc<Entry>> =
            world.wanted(&filter, None).into_iter().map(|(_, placed)| (placed.entry.id, Arc::clone(&placed.entry))).collect();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let found = world.search(&filter, sort, after, 3);
            seen.extend(found.entries.iter().map(|entry| entry.id));
            world.change(3);
            match found.last {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        for (id, entry) in before {
            if world.library.entry(id).is_some_and(|now| Arc::ptr_eq(now, &entry)) {
                prop_assert_eq!(seen.iter().filter(|seen| **seen == id).count(), 1);
            }
        }
    }
}

#[test]
fn a_worn_vocabulary_is_made_anew() {
    let mut world = World::new(7);
    world.change(3);
    world.check();
    let id = world.ids()[0];
    let old = world.library.placed(id).unwrap().clone();
    for round in 0..20 {
        let mut document = old.entry.document.clone();
        let notes: Vec<String> = (0..500).map(|word| format!("w{round}x{word}")).collect();
        document.set("notes", Value::from(notes.join(" ")));
        let Entry { id, catalog, ref category, .. } = *old.entry;
        let entry = Arc::new(Entry::from_document(id, catalog, category.as_str(), document).unwrap());
        let mut change = CatalogChange::of(catalog, CatalogHead::default());
        change.entries.push(Placed { entry, ..old.clone() });
        world.library.apply(change);
        world.check();
    }
    let words = world.library.search.get().unwrap().vocabulary.len();
    assert!(words < 6_000, "{words} words: old ones were never thrown away");
    let filter = EntryFilter { text: "w19x499".to_owned(), ..EntryFilter::default() };
    assert_eq!(world.pages(&filter, Sort::by(SortField::Name), 10).0, [id]);
}
