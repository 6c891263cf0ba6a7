//! The pages of `docs/` that readers and programs may want, embedded as they are.

/// One page in Markdown.
pub(crate) struct DocPage {
    /// The last part of its address, without `.md`; links between pages work by it.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What is in it, in one line.
    pub(crate) about: &'static str,
    pub(crate) text: &'static str,
}

macro_rules! pages {
    ($($name:literal $title:literal $about:literal)*) => {
        /// In the order in which somebody would read them.
        pub(crate) const PAGES: &[DocPage] = &[$(DocPage {
            name: $name,
            title: $title,
            about: $about,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/", $name, ".md")),
        },)*];
    };
}

pages! {
    "http-api" "The HTTP API" "every surface in tables: routes, answers, refusals, who is let in"
    "public-api" "The public API" "styles by the key of a team: versions, paging, limits, rendering"
    "styles" "Styles" "making styles of the catalog's LoRAs, and offering them to teams"
    "generations" "Pictures of styles" "having a connected ComfyUI make pictures, and reading their progress"
    "errors" "Errors" "what each error code means and what to do about it"
    "uploads" "Uploads" "uploading LoRAs whole and in pieces, by example"
    "evaluation" "Evaluation" "what each number of an evaluation means and where it comes from"
    "evaluating" "Evaluating with pictures" "asking for pictures through ComfyUI and reading the contact sheet"
    "identification" "Identification" "how a file's kind, base model and trigger words are told from its content"
    "downloads" "Downloads" "how files are fetched, resumed, verified and published"
    "adoption" "Adoption" "taking over the folder of another program, and sidecars"
    "web" "The web page" "what the pages show and the keys that move around in them"
    "configuration" "Configuration" "every setting with its default, its file and its environment variable"
    "operations" "Operations" "backups, updates, metrics, proxies, and what to do when something is wrong"
    "hardening" "Hardening" "what the server withstands and which test proves it"
    "studio-quirks" "Quirks of the studio API" "oddities that are kept for existing clients"
    "performance" "Performance" "measured figures and how to measure them again"
}

/// The page of that name.
pub(crate) fn find(name: &str) -> Option<&'static DocPage> {
    PAGES.iter().find(|page| page.name == name)
}
