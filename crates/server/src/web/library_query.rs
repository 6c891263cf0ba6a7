//! The library's address: what is looked for, filtered and sorted, so that a link or a bookmark keeps it.

use lorakeep_registry::domain::{Dimension, EntryFilter, Sort};
use url::form_urlencoded;

/// How entries are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum View {
    /// Cards with pictures.
    #[default]
    Grid,
    /// One line an entry.
    List,
}

/// Everything that the address says; what it does not know in it is left out.
#[derive(Debug, Clone, Default)]
pub(super) struct LibraryQuery {
    pub(super) filter: EntryFilter,
    pub(super) sort: Option<Sort>,
    sort_name: String,
    pub(super) view: View,
    pub(super) cursor: Option<String>,
}

impl LibraryQuery {
    /// Reads the part of an address behind `?`.
    pub(super) fn parse(query: &str) -> Self {
        let mut own = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            own.take(&name, &value);
        }
        own
    }

    fn take(&mut self, name: &str, value: &str) {
        match name {
            "q" => value.clone_into(&mut self.filter.text),
            "view" if value == "list" => self.view = View::List,
            "cursor" => self.cursor = Some(value.to_owned()),
            "sort" => {
                self.sort = Sort::parse(value);
                self.sort_name = self.sort.map(|_| value.to_owned()).unwrap_or_default();
            }
            _ if value.is_empty() => {}
            _ => {
                if let Some(dimension) = Dimension::parse(name) {
                    self.filter.selections.entry(dimension).or_default().any.push(value.to_owned());
                }
            }
        }
    }

    /// The chosen values of a dimension.
    pub(super) fn chosen(&self, dimension: Dimension) -> &[String] {
        self.filter.selections.get(&dimension).map_or(&[], |selection| selection.any.as_slice())
    }

    /// Whether not everything is shown.
    pub(super) fn is_filtered(&self) -> bool {
        !self.filter.text.trim().is_empty() || !self.filter.selections.is_empty()
    }

    /// The address without one chosen value.
    pub(super) fn without(&self, dimension: Dimension, value: &str) -> String {
        let mut own = self.clone();
        if let Some(selection) = own.filter.selections.get_mut(&dimension) {
            selection.any.retain(|one| one != value);
        }
        own.address()
    }

    /// Every chosen value with its dimension.
    pub(super) fn all_chosen(&self) -> impl Iterator<Item = (Dimension, &str)> {
        self.filter
            .selections
            .iter()
            .flat_map(|(dimension, selection)| selection.any.iter().map(|value| (*dimension, value.as_str())))
    }

    /// The sort as the address names it; empty for the usual one.
    pub(super) fn sort_name(&self) -> &str {
        &self.sort_name
    }

    /// The address of the first page.
    pub(super) fn address(&self) -> String {
        self.address_with(self.view, None)
    }

    /// The address of the page behind `cursor`.
    pub(super) fn next(&self, cursor: &str) -> String {
        self.address_with(self.view, Some(cursor))
    }

    /// The same in the other view.
    pub(super) fn as_grid(&self) -> String {
        self.address_with(View::Grid, None)
    }

    /// The same in the other view.
    pub(super) fn as_list(&self) -> String {
        self.address_with(View::List, None)
    }

    fn address_with(&self, view: View, cursor: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let mut add = |name: &str, value: &str| {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        };
        add("q", self.filter.text.trim());
        for (dimension, selection) in &self.filter.selections {
            selection.any.iter().for_each(|value| add(dimension.as_str(), value));
        }
        add("sort", &self.sort_name);
        add("view", if view == View::List { "list" } else { "" });
        add("cursor", cursor.unwrap_or_default());
        let query = query.finish();
        if query.is_empty() { "/".to_owned() } else { format!("/?{query}") }
    }
}

/// What a dimension is called for people.
pub(super) fn title(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Catalog => "Catalog",
        Dimension::Category => "Category",
        Dimension::BaseModel => "Base model",
        Dimension::Family => "Family",
        Dimension::Status => "Status",
        Dimension::Source => "Source",
        Dimension::Tag => "Tag",
        Dimension::Folder => "Folder",
        Dimension::Kind => "Kind",
        Dimension::Creator => "Creator",
        Dimension::Favorite => "Favourite",
    }
}

/// How a value of a facet is written for people.
pub(super) fn shown(dimension: Dimension, value: &str) -> &str {
    match (dimension, value) {
        (_, "") => "(none)",
        (Dimension::Status, status) => match shown_status(status) {
            "" => value,
            shown => shown,
        },
        (Dimension::Catalog, "models") => "Models",
        (Dimension::Catalog, "loras") => "LoRAs",
        (Dimension::Favorite, "true") => "yes",
        (Dimension::Favorite, "false") => "no",
        (Dimension::Source, "civitai") => "CivitAI",
        (Dimension::Source, "huggingface") => "Hugging Face",
        _ => value,
    }
}

/// A status word for people.
pub(super) fn shown_status(status: &str) -> &'static str {
    match status {
        "present" => "Present",
        "not_downloaded" => "Missing",
        "downloading" => "Downloading",
        "queued" => "Queued",
        "error" => "Failed",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_was_and_unknown_words_are_left_out() {
        let query = LibraryQuery::parse(
            "q=%20film%20grain&base_model=SDXL+1.0&tag=a%26b&tag=c&sort=-size&view=list&x=y&status=",
        );
        let address = query.address();
        assert_eq!(address, "/?q=film+grain&base_model=SDXL+1.0&tag=a%26b&tag=c&sort=-size&view=list");
        assert_eq!(LibraryQuery::parse(&address[2..]).address(), address);
        assert_eq!(query.next("c"), format!("{address}&cursor=c"));
        assert_eq!(query.without(Dimension::Tag, "c"), address.replace("&tag=c", ""));
        assert_eq!(query.all_chosen().count(), 3);
        assert!(query.is_filtered() && !LibraryQuery::parse("sort=name").is_filtered());
    }

    #[test]
    fn a_sort_that_nobody_knows_is_the_usual_one() {
        let query = LibraryQuery::parse("sort=colour");
        assert_eq!((query.sort, query.sort_name(), query.address().as_str()), (None, "", "/"));
    }
}
