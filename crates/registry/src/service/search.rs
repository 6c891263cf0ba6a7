//! The list of entries for people and programs at size: words, filters, orders, pages, counts.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::catalog::{known_state, status_beside};
use super::{EntryState, Registry, Stats, bad_cursor};
use crate::domain::search::TypedWord;
use crate::domain::{
    Dimension, DownloadState, Entry, EntryFilter, EntryId, EntryQuery, Sort, SortField, StatusWord,
};
use crate::error::{Error, Result};
use crate::library::{Facets, Library, Mark, OrderKey, Search};

/// Longest text that is searched for, bytes.
const LONGEST_TEXT: usize = 512;
/// Most words of it.
const MOST_WORDS: usize = 16;
/// Most values of all dimensions together.
const MOST_VALUES: usize = 200;
/// Longest value, bytes.
const LONGEST_VALUE: usize = 1024;

/// A page of the list.
#[derive(Debug, Clone)]
pub struct EntryPage {
    /// The entries of this page, with where their files stand.
    pub items: Vec<EntryState>,
    /// Opaque; `None` on the last page.
    pub next_cursor: Option<String>,
    /// Entries on all pages.
    pub total: u64,
    /// The values of each dimension with their counts, when asked for.
    pub facets: Option<Facets>,
}

/// What a cursor says: of which query it is, and behind which entry the page starts.
type Cursor = (u64, usize, OrderKey, Uuid);

impl Registry {
    /// A page of the entries that a query wants.
    ///
    /// Pages are stable: an entry that stays as it is comes once, whatever else is added, changed or removed between
    /// two pages. `Invalid` for a query that is too long and for a cursor of another one.
    pub async fn entries(&self, query: EntryQuery) -> Result<EntryPage> {
        // The first search reads every entry, and counting looks at every value: neither belongs on an async thread.
        if query.wants_facets || !self.library().is_ready_to_search() {
            let registry = self.clone();
            return self.blocking("searching entries", move || registry.search_entries(&query)).await?;
        }
        self.search_entries(&query)
    }

    fn search_entries(&self, query: &EntryQuery) -> Result<EntryPage> {
        check(&query.filter)?;
        let sort = sort_of(query);
        let fingerprint = fingerprint(&query.filter, sort);
        let after = query.cursor.as_deref().map(|cursor| mark_of(cursor, fingerprint)).transpose()?;
        let jobs = self.job_states(&query.filter, query.wants_facets);
        let library = self.library();
        let statuses = statuses(&library, jobs);
        let found = library.search(&Search {
            filter: &query.filter,
            sort,
            after,
            rows: query.rows(),
            wants_facets: query.wants_facets,
            statuses: &statuses,
        });
        let mut items = states(&library, &found.entries);
        drop(library);
        items.iter_mut().for_each(|state| self.add_job(state));
        let next_cursor = found.last.map(|mark| cursor_of(fingerprint, mark));
        Ok(EntryPage { items, next_cursor, total: found.total, facets: found.facets })
    }

    /// Every entry that a filter finds. Looks at all of them, so it belongs on no async thread.
    pub(super) fn find_all(&self, filter: &EntryFilter, sort: Sort) -> Result<Vec<Arc<Entry>>> {
        check(filter)?;
        let jobs = self.job_states(filter, false);
        let library = self.library();
        let statuses = statuses(&library, jobs);
        let rows = usize::MAX - 1;
        let search = Search { filter, sort, after: None, rows, wants_facets: false, statuses: &statuses };
        Ok(library.search(&search).entries)
    }

    /// What the jobs do, when it matters. Asked for without the library's lock, so that the two never wait for each other.
    fn job_states(&self, filter: &EntryFilter, wants_facets: bool) -> Vec<EntryJob> {
        let matters = wants_facets || filter.selections.contains_key(&Dimension::Status);
        if matters { self.inner.jobs.states_by_entry() } else { Vec::new() }
    }
}

/// What the job of an entry does, and whether it replaces a present file.
type EntryJob = (EntryId, DownloadState, bool);

fn states(library: &Library, entries: &[Arc<Entry>]) -> Vec<EntryState> {
    entries.iter().map(|entry| known_state(library, entry, &mut Stats::default())).collect()
}

fn statuses(library: &Library, jobs: Vec<EntryJob>) -> Vec<(EntryId, StatusWord)> {
    let status = |(id, job, force)| {
        let is_present = library.file(&library.entry(id)?.path).is_some();
        Some((id, status_beside(job, force, is_present)))
    };
    jobs.into_iter().filter_map(status).collect()
}

/// Without a wish: what fits best when words are looked for, else by name.
fn sort_of(query: &EntryQuery) -> Sort {
    let has_words = !query.filter.text.trim().is_empty();
    query.sort.unwrap_or(Sort::by(if has_words { SortField::Relevance } else { SortField::Name }))
}

fn check(filter: &EntryFilter) -> Result<()> {
    if filter.text.len() > LONGEST_TEXT || TypedWord::all_of(&filter.text).len() > MOST_WORDS {
        let message = format!("a search has at most {LONGEST_TEXT} bytes and {MOST_WORDS} words; shorten it");
        return Err(Error::invalid("query_too_long", "q", message));
    }
    let values = || filter.selections.values().flat_map(|own| own.any.iter().chain(&own.all).chain(&own.not));
    if values().count() > MOST_VALUES || values().any(|value| value.len() > LONGEST_VALUE) {
        let message = format!("filters have at most {MOST_VALUES} values of {LONGEST_VALUE} bytes each");
        return Err(Error::invalid("filter_too_long", "filter", message));
    }
    Ok(())
}

/// As much of a typed text as a search takes: whole words from its beginning, none of them when the first is too long.
pub fn searchable_part(text: &str) -> &str {
    let mut part = text;
    while part.len() > LONGEST_TEXT || TypedWord::all_of(part).len() > MOST_WORDS {
        let last = part.trim_end_matches(|sign: char| !sign.is_alphanumeric());
        let rest = last.trim_end_matches(char::is_alphanumeric);
        part = if rest.len() < part.len() { rest } else { "" };
    }
    part
}

/// Tells cursors of one query from those of another.
fn fingerprint(filter: &EntryFilter, sort: Sort) -> u64 {
    let mut hasher = DefaultHasher::new();
    (filter, sort).hash(&mut hasher);
    hasher.finish()
}

fn cursor_of(fingerprint: u64, mark: Mark) -> String {
    let cursor: Cursor = (fingerprint, mark.rank, mark.key, mark.id.0);
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).expect("numbers and texts are always JSON"))
}

fn mark_of(cursor: &str, fingerprint: u64) -> Result<Mark> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad_cursor())?;
    let (own, rank, key, id): Cursor = serde_json::from_slice(&bytes).map_err(|_| bad_cursor())?;
    if own != fingerprint {
        let message = "the cursor belongs to another search; start without it";
        return Err(Error::invalid("bad_cursor", "cursor", message));
    }
    Ok(Mark { rank, key, id: EntryId(id) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_behind_a_word_and_a_short_one_stays() {
        for short in ["", " film  grain ", "a-b_c"] {
            assert_eq!(searchable_part(short), short);
        }
        let words: Vec<String> = (0..20).map(|number| format!("word{number}")).collect();
        let text = words.join(", ");
        assert_eq!(searchable_part(&text).trim_end_matches([',', ' ']), words[..MOST_WORDS].join(", "));
        assert_eq!(searchable_part(&"ink ".repeat(40)), "ink ".repeat(40), "a word counts once");
        assert_eq!(searchable_part(&"ß".repeat(LONGEST_TEXT)), "");
    }
}
