//! What an image's generation data says it was made with: LoRA tags, embeddings, the kind of workflow.
//!
//! Everything here reads what strangers wrote; whatever cannot be read is passed over.

use serde_json::Value;

/// One thing that an image was made with and that may have to be fetched.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependency {
    /// Its name as written.
    pub name: String,
    /// The weight written beside it (the model's, when there are two).
    pub weight: Option<f64>,
    /// `lora`, `lycoris`, `embedding`; absent for a tag of the prompt.
    pub kind: Option<String>,
    /// A short hash, when one stands beside it.
    pub hash: Option<String>,
    /// Where it was found.
    pub source: DependencySource,
}

/// Where a dependency was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DependencySource {
    /// `<lora:…>` in the prompt.
    Prompt,
    /// A bare token in the negative prompt.
    NegativePrompt,
    /// The list of resources in the metadata.
    MetaResources,
}

/// A `<lora:name:weight>` tag.
#[derive(Debug, Clone, PartialEq)]
struct LoraTag {
    name: String,
    weight: Option<f64>,
    start: usize,
    end: usize,
}

impl DependencySource {
    /// The name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::NegativePrompt => "negative_prompt",
            Self::MetaResources => "meta_resources",
        }
    }
}

/// The prompt without its LoRA tags, spaces and commas tidied.
pub fn clean_prompt(prompt: &str) -> String {
    let mut kept = String::with_capacity(prompt.len());
    let mut from = 0;
    for tag in lora_tags(prompt) {
        kept.push_str(&prompt[from..tag.start]);
        from = tag.end;
    }
    kept.push_str(&prompt[from..]);
    tidied(&kept)
}

/// What the data names, in the order prompt, negative prompt, metadata; `known` are names that the resources list already
/// has, in lower case.
pub fn dependencies(meta: &Value, known: &[String]) -> Vec<Dependency> {
    let text = |field: &str| meta.get(field).and_then(Value::as_str).unwrap_or_default();
    let mut found: Vec<Dependency> =
        lora_tags(text("prompt")).into_iter().map(Dependency::from_tag).collect();
    found.extend(embeddings(text("negativePrompt")));
    let listed = listed_resources(meta);
    for resource in &listed {
        let name = resource.name.to_lowercase();
        let is_known = known.contains(&name) || found.iter().any(|other| other.name.to_lowercase() == name);
        if matches!(resource.kind.as_deref(), Some("lora" | "lycoris")) && !is_known {
            found.push(resource.clone());
        }
    }
    for dependency in &mut found {
        if dependency.hash.is_none() {
            dependency.hash =
                listed.iter().find(|listed| listed.name == dependency.name).and_then(|l| l.hash.clone());
        }
    }
    deduplicated(found)
}

/// `t2i`, `i2i`, `t2v`, `i2v` or `unknown`.
pub fn workflow_type(data: &Value) -> &'static str {
    let lower = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let techniques: Vec<String> = techniques(data);
    let has = |words: &[&str]| techniques.iter().any(|technique| words.contains(&technique.as_str()));
    if lower(data.get("type")) == "video" {
        let workflow = lower(data.pointer("/meta/workflow"));
        let bases: Vec<String> = resources(data).map(|resource| lower(resource.get("baseModel"))).collect();
        let names = |word: &str| bases.iter().any(|base| base.contains(word));
        return if ["img2vid", "i2v"].iter().any(|word| workflow.contains(word)) {
            "i2v"
        } else if ["txt2vid", "t2v"].iter().any(|word| workflow.contains(word)) {
            "t2v"
        } else if has(&["img2vid"]) || (!has(&["txt2vid"]) && names("i2v")) {
            "i2v"
        } else {
            "t2v"
        };
    }
    let process = lower(data.get("process"));
    if process == "txt2img" || has(&["txt2img"]) {
        "t2i"
    } else if process.contains("img2img") || has(&["img2img"]) {
        "i2i"
    } else {
        "unknown"
    }
}

/// `txt2img` or `img2img` as far as the metadata tell, for records that do not say it themselves.
pub fn inferred_process(meta: &Value) -> Option<&'static str> {
    let has = |field: &str| meta.get(field).is_some_and(|value| !value.is_null());
    if has("Denoising strength") && !has("Hires upscale") && !has("Hires upscaler") {
        return Some("img2img");
    }
    (has("prompt") && has("steps")).then_some("txt2img")
}

impl Dependency {
    fn from_tag(tag: LoraTag) -> Self {
        Self { name: tag.name, weight: tag.weight, kind: None, hash: None, source: DependencySource::Prompt }
    }
}

/// The tags of a prompt: `<lora:name>`, `<lora:name:0.8>`, `<lora:name:-1>`, `<lora:name:0.8:0.5>`, `<lyco:…>`.
fn lora_tags(prompt: &str) -> Vec<LoraTag> {
    let mut tags = Vec::new();
    let mut from = 0;
    while let Some(open) = prompt[from..].find('<').map(|at| from + at) {
        let Some(close) = prompt[open..].find('>').map(|at| open + at) else { break };
        let start = prompt[open..close].rfind('<').map_or(open, |at| open + at);
        if let Some((name, weight)) = tag_parts(&prompt[start + 1..close]) {
            tags.push(LoraTag { name, weight, start, end: close + 1 });
        }
        from = close + 1;
    }
    tags
}

fn tag_parts(inside: &str) -> Option<(String, Option<f64>)> {
    let mut parts = inside.split(':');
    let kind = parts.next()?.trim().to_ascii_lowercase();
    let name = parts.next()?.trim();
    if !matches!(kind.as_str(), "lora" | "lyco" | "lycoris") || name.is_empty() {
        return None;
    }
    let weight = parts.next().and_then(|text| text.trim().trim_start_matches("te=").parse::<f64>().ok());
    Some((name.to_owned(), weight.filter(|weight| weight.is_finite())))
}

/// Embeddings of a negative prompt: a line that is one bare token, and parts of comma lists that look like a file's name.
fn embeddings(negative: &str) -> impl Iterator<Item = Dependency> {
    negative
        .lines()
        .flat_map(|line| {
            let whole = Some(line.trim()).filter(|line| is_bare_token(line)).map(|line| (line, None));
            let parts = line.split(',').map(|part| weighted_token(part.trim()));
            let parts =
                parts.map(|(token, weight)| (token.strip_prefix("embedding:").unwrap_or(token), weight));
            let named = parts.filter(|(token, _)| is_embedding_name(token));
            // A bare line has one part, which is the line itself.
            whole.into_iter().chain(named.take(if whole.is_some() { 0 } else { usize::MAX }))
        })
        .map(|(name, weight)| Dependency {
            name: name.to_owned(),
            weight,
            kind: Some("embedding".into()),
            hash: None,
            source: DependencySource::NegativePrompt,
        })
}

/// `(name:1.2)` as name and weight; a bare token as itself.
fn weighted_token(part: &str) -> (&str, Option<f64>) {
    let inner = part.trim_start_matches(['(', '[']).trim_end_matches([')', ']']).trim();
    match inner.rsplit_once(':') {
        Some((name, weight)) if weight.trim().parse::<f64>().is_ok() => {
            (name.trim(), weight.trim().parse().ok())
        }
        _ => (inner, None),
    }
}

/// Letters, digits, `-` and `_`, and nothing else.
fn is_bare_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// A token of letters, digits, `-` and `_` that no dictionary has: with a digit, an inner capital, a `-` or a `_`.
fn is_embedding_name(token: &str) -> bool {
    let is_token = token.len() >= 4 && is_bare_token(token);
    let looks_made = token.chars().any(|c| c.is_ascii_digit() || c == '_')
        || token.chars().skip(1).any(|c| c.is_ascii_uppercase())
            && token.chars().any(|c| c.is_ascii_lowercase());
    is_token && looks_made && token.chars().any(|c| c.is_ascii_alphabetic())
}

/// `meta.resources` as dependencies, whatever their type.
fn listed_resources(meta: &Value) -> Vec<Dependency> {
    let list = meta.get("resources").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .filter_map(|resource| {
            let text =
                |field: &str| resource.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
            Some(Dependency {
                name: text("name")?.to_owned(),
                weight: resource.get("weight").and_then(Value::as_f64),
                kind: text("type").map(str::to_lowercase),
                hash: text("hash").map(str::to_owned),
                source: DependencySource::MetaResources,
            })
        })
        .collect()
}

fn resources(data: &Value) -> impl Iterator<Item = &Value> {
    data.get("resources").and_then(Value::as_array).into_iter().flatten()
}

/// Names of techniques, which come as strings or as objects.
fn techniques(data: &Value) -> Vec<String> {
    let list = data.get("techniques").and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|item| item.as_str().or_else(|| item.get("name").and_then(Value::as_str)))
        .map(str::to_lowercase)
        .collect()
}

/// The first of each name and source.
fn deduplicated(found: Vec<Dependency>) -> Vec<Dependency> {
    let mut kept: Vec<Dependency> = Vec::with_capacity(found.len());
    for dependency in found {
        if !kept.iter().any(|other| other.name == dependency.name && other.source == dependency.source) {
            kept.push(dependency);
        }
    }
    kept
}

/// Runs of spaces and of commas become one, none at the ends.
fn tidied(text: &str) -> String {
    let parts = text.split(',').map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tags_are_read_with_every_kind_of_weight() {
        let meta = json!({"prompt": "a <lora:one:0.8>, <lora:two:-1> b <lora:three:0.7:0.2><lora:four> <lyco:five:1>"});
        let found: Vec<(String, Option<f64>)> =
            dependencies(&meta, &[]).into_iter().map(|found| (found.name, found.weight)).collect();
        let expected = [
            ("one", Some(0.8)),
            ("two", Some(-1.0)),
            ("three", Some(0.7)),
            ("four", None),
            ("five", Some(1.0)),
        ];
        assert_eq!(found, expected.map(|(name, weight)| (name.to_owned(), weight)));
    }

    #[test]
    fn a_clean_prompt_has_no_tags_and_no_gaps() {
        assert_eq!(clean_prompt("woman <lora:a:1> <lora:b:0.5>, soft"), "woman, soft");
        assert_eq!(clean_prompt("<lora:a:1>, x,, y ,"), "x, y");
        assert_eq!(clean_prompt("a < b and c > d"), "a < b and c > d");
        assert_eq!(clean_prompt("no end <lora:a:1"), "no end <lora:a:1");
    }

    #[test]
    fn embeddings_are_found_in_lines_and_in_comma_lists() {
        let meta = json!({"negativePrompt": "worst quality, EasyNegative, (bad-hands-5:1.2)\nveryBadImageNegative_v1.3\ntext, no"});
        let names: Vec<String> = dependencies(&meta, &[]).into_iter().map(|found| found.name).collect();
        assert_eq!(names, ["EasyNegative", "bad-hands-5"]);
    }

    #[test]
    fn a_line_that_is_one_bare_token_is_an_embedding() {
        let meta = json!({"negativePrompt": "blurry, text\n  handfix \nEasyNegative\ntwo words\n"});
        let names: Vec<String> = dependencies(&meta, &[]).into_iter().map(|found| found.name).collect();
        assert_eq!(names, ["handfix", "EasyNegative"]);
    }

    #[test]
    fn listed_loras_are_added_once_and_lend_their_hashes() {
        let meta = json!({"prompt": "<lora:One:1>", "resources": [
            {"type": "lora", "name": "One", "hash": "abc"}, {"type": "lora", "name": "Two", "hash": "def", "weight": 0.5},
            {"type": "model", "name": "Base", "hash": "123"}, {"type": "lora", "name": "Known"}, "junk", null]});
        let found = dependencies(&meta, &["known".into()]);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].name.as_str(), found[0].hash.as_deref()), ("One", Some("abc")));
        assert_eq!((found[1].name.as_str(), found[1].weight), ("Two", Some(0.5)));
    }

    #[test]
    fn the_kind_of_workflow_follows_type_process_and_techniques() {
        assert_eq!(workflow_type(&json!({"type": "image", "process": "txt2img"})), "t2i");
        assert_eq!(workflow_type(&json!({"type": "image", "process": "img2img"})), "i2i");
        assert_eq!(workflow_type(&json!({"type": "image", "techniques": [{"name": "txt2img"}]})), "t2i");
        assert_eq!(workflow_type(&json!({"type": "image"})), "unknown");
        assert_eq!(workflow_type(&json!({"type": "video"})), "t2v");
        assert_eq!(workflow_type(&json!({"type": "video", "meta": {"workflow": "img2vid-x"}})), "i2v");
        assert_eq!(workflow_type(&json!({"type": "video", "techniques": ["img2vid"]})), "i2v");
        assert_eq!(
            workflow_type(&json!({"type": "video", "resources": [{"baseModel": "Wan Video 14B i2v 480p"}]})),
            "i2v"
        );
    }

    #[test]
    fn a_process_is_inferred_from_denoising_and_steps() {
        assert_eq!(inferred_process(&json!({"prompt": "a", "steps": 20})), Some("txt2img"));
        let hires = json!({"prompt": "a", "steps": 20, "Denoising strength": 0.4, "Hires upscale": 2});
        assert_eq!(inferred_process(&hires), Some("txt2img"));
        assert_eq!(inferred_process(&json!({"steps": 20, "Denoising strength": 0.4})), Some("img2img"));
        assert_eq!(inferred_process(&json!(null)), None);
    }

    #[test]
    fn shapes_that_nobody_expects_give_nothing() {
        for data in [
            json!(null),
            json!([]),
            json!("x"),
            json!({"prompt": 7, "resources": {"a": 1}, "techniques": "x"}),
        ] {
            assert!(dependencies(&data, &[]).is_empty());
            assert_eq!(workflow_type(&data), "unknown");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_prompt_is_read_without_a_panic(prompt in ".{0,200}") {
            clean_prompt(&prompt);
            dependencies(&json!({"prompt": prompt, "negativePrompt": prompt}), &[]);
        }
    }
}
