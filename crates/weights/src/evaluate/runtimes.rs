//! What each program would apply of a file: names it maps, algorithms it knows, and what it does differently
//! than the trainer. The rules are data, `data/runtimes.toml`, each with the version it was made from.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::aggregate::{self, NAMES};
use super::measure::{Measured, Module};
use super::module::{self, Parts};
use super::report::{Basis, Code, Deviation, Finding, RuntimeFit, Severity};

/// The table, read once.
static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let text = include_str!("../../data/runtimes.toml");
    toml::from_str(text).expect("the table is checked by a test")
});

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    with_layout: Vec<String>,
    layouts: BTreeMap<String, Vec<String>>,
    runtime: Vec<Runtime>,
}

/// One program at one version.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Runtime {
    name: String,
    version: String,
    /// Architectures for which names were checked by loading.
    measured: Vec<String>,
    /// Architectures that it runs at all; all when absent.
    families: Option<Vec<String>>,
    algorithms: Vec<String>,
    /// How the name of an outer factor may end.
    endings: Vec<String>,
    /// Whether one tensor that it does not know makes it refuse the file.
    #[serde(default)]
    refuses_others: bool,
    names: Vec<NameRule>,
    deviations: Vec<DeviationRule>,
}

/// Names that it maps.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameRule {
    start: String,
    /// Words stand between `_` instead of `.`.
    #[serde(default)]
    flat: bool,
    layouts: Option<Vec<String>>,
    families: Option<Vec<String>>,
    /// The projections of an attention stand behind the word `processor`.
    #[serde(default)]
    processor: bool,
}

/// Something that it does differently.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviationRule {
    when: String,
    message: String,
}

/// The programs that there are rules for.
pub fn runtime_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = TABLE.runtime.iter().map(|runtime| &*runtime.name).collect();
    names.dedup();
    names
}

/// What a program would do with the file; none when there are no rules for it.
pub(super) fn fit(
    name: &str,
    architecture: Option<&str>,
    modules: &[Module<'_>],
    measured: &[Measured],
) -> Option<RuntimeFit> {
    let runtime = TABLE.runtime.iter().rfind(|runtime| runtime.name == name)?;
    let refused = runtime.refuses_others
        && modules
            .iter()
            .any(|(_, parts)| !runtime.algorithms.iter().any(|known| known == table_algorithm(parts)));
    let mut fit = RuntimeFit {
        runtime: runtime.name.clone(),
        version: runtime.version.clone(),
        evidence: runtime.evidence(architecture).to_owned(),
        unknown_architecture: architecture.is_none(),
        ..RuntimeFit::default()
    };
    let (mut applied, mut total) = (0.0, 0.0);
    let mut deviating: BTreeMap<&str, u64> = BTreeMap::new();
    for ((name, parts), module) in modules.iter().zip(measured) {
        let energy = aggregate::energy(&module.report).unwrap_or(0.0);
        total += energy;
        let problem =
            if refused { Some("file_refused") } else { runtime.problem(architecture, name, parts, module) };
        let Some(problem) = problem else {
            fit.loaded_modules += 1;
            applied += energy;
            for found in traits(parts, module) {
                *deviating.entry(found).or_default() += 1;
            }
            continue;
        };
        fit.ignored_modules += 1;
        *fit.ignored_reasons.entry(problem.to_owned()).or_default() += 1;
        if fit.ignored_examples.len() < NAMES {
            fit.ignored_examples.push(crate::safetensors::display_name(name));
        }
    }
    fit.applied_energy = (total > 0.0).then(|| applied / total);
    let deviations = runtime.deviations.iter().filter_map(|rule| {
        let modules = *deviating.get(&*rule.when)?;
        Some(Deviation { code: rule.when.clone(), modules, message: rule.message.clone() })
    });
    fit.deviations = deviations.collect();
    Some(fit)
}

impl Runtime {
    fn evidence(&self, architecture: Option<&str>) -> &'static str {
        let is_measured = architecture.is_some_and(|known| self.measured.iter().any(|own| own == known));
        if is_measured { "measured" } else { "source" }
    }

    /// Why it ignores a module.
    fn problem(
        &self,
        architecture: Option<&str>,
        name: &str,
        parts: &Parts<'_>,
        module: &Measured,
    ) -> Option<&'static str> {
        let runs =
            |families: &Vec<String>| architecture.is_none_or(|own| families.iter().any(|known| known == own));
        if !module.report.valid {
            return Some("module_invalid");
        }
        if !self.families.as_ref().is_none_or(runs) {
            return Some("architecture_unsupported");
        }
        if !self.algorithms.iter().any(|known| known == table_algorithm(parts)) {
            return Some("algorithm_unsupported");
        }
        let is_spelled = parts.get("up").is_none_or(|tensor| {
            self.endings.iter().any(|ending| tensor.name.strip_prefix(name) == Some(ending))
        });
        let is_mapped = self.names.iter().any(|rule| rule.maps(architecture, name));
        (!is_mapped || !is_spelled).then_some("key_not_mapped")
    }
}

impl NameRule {
    fn maps(&self, architecture: Option<&str>, name: &str) -> bool {
        let Some(path) = name.strip_prefix(&*self.start) else { return false };
        if path.is_empty() || (self.flat && path.contains('.')) || !self.is_for(architecture) {
            return false;
        }
        if !self.flat && !path.contains('.') {
            return false;
        }
        if self.processor && path.contains(".to_") && !path.contains(".processor.to_") {
            return false;
        }
        let words: Vec<&str> = path.split(['.', '_']).collect();
        self.layouts.as_ref().is_none_or(|layouts| {
            let beginnings = layouts.iter().filter_map(|layout| TABLE.layouts.get(layout)).flatten();
            beginnings.into_iter().any(|beginning| begins(&words, beginning))
        })
    }

    fn is_for(&self, architecture: Option<&str>) -> bool {
        let Some(families) = &self.families else { return true };
        let is_other = |own: &str| !TABLE.with_layout.iter().any(|known| known == own);
        match architecture {
            // A rule for some architectures says nothing of an unknown one unless it knows the words.
            None => self.layouts.is_some() || families.iter().any(|family| family == "other"),
            Some(own) => families.iter().any(|family| family == own || (family == "other" && is_other(own))),
        }
    }
}

/// Whether a path begins with these words; `#` is a number.
fn begins(words: &[&str], beginning: &str) -> bool {
    let mut words = words.iter();
    beginning.split('_').all(|wanted| {
        words.next().is_some_and(|word| {
            if wanted == "#" { word.bytes().all(|byte| byte.is_ascii_digit()) } else { *word == wanted }
        })
    })
}

/// The algorithm as the table calls it: what PEFT stores in its own way has its own name.
fn table_algorithm(parts: &Parts<'_>) -> &'static str {
    match module::algorithm(parts) {
        "dora" if is_magnitude_vector(parts) => "peft_dora",
        "oft" if parts.contains_key("oft_triangle") => "peft_oft",
        "boft" if parts.contains_key("boft") => "peft_boft",
        "ia3" if parts.contains_key("ia3_factor") => "peft_ia3",
        own => own,
    }
}

fn is_magnitude_vector(parts: &Parts<'_>) -> bool {
    parts.get("magnitude").is_some_and(|tensor| tensor.name.contains("lora_magnitude_vector"))
}

/// What about a module some program does differently.
fn traits(parts: &Parts<'_>, module: &Measured) -> Vec<&'static str> {
    let magnitude = parts.get("magnitude");
    let is_scale = magnitude.is_some() && !is_magnitude_vector(parts);
    let is_output = magnitude.is_some_and(|tensor| tensor.shape.first().is_some_and(|side| *side > 1));
    let is_turned = matches!(&*module.report.algo, "oft" | "boft");
    let order = [
        (is_scale, "dora_scale"),
        (is_scale && is_output, "dora_output_axis"),
        (is_magnitude_vector(parts), "dora_magnitude_vector"),
        (parts.contains_key("adaptive"), "adalora_values"),
        (is_turned && parts.contains_key("rescale"), "oft_rescale"),
        (is_turned && module.report.alpha.is_some_and(|alpha| alpha > 0.0), "oft_constraint"),
        (parts.contains_key("kron2_t"), "lokr_convolution_core"),
    ];
    order.into_iter().filter(|(holds, _)| *holds).map(|(_, name)| name).collect()
}

/// What somebody should know of it.
pub(super) fn findings(fit: &RuntimeFit) -> Vec<Finding> {
    let modules = fit.loaded_modules + fit.ignored_modules;
    let program = format!("{} {}", fit.runtime, fit.version);
    let mut found = Vec::new();
    let severity = if fit.loaded_modules == 0 { Severity::Error } else { Severity::Warning };
    for (reason, count) in &fit.ignored_reasons {
        let (code, why) = match &**reason {
            "key_not_mapped" => (Code::KeysNotMapped, "their names are none that it knows"),
            "algorithm_unsupported" => (Code::AlgoUnsupportedInRuntime, "it does not know their algorithm"),
            "architecture_unsupported" => {
                (Code::AlgoUnsupportedInRuntime, "it does not run that architecture")
            }
            "file_refused" => (Code::AlgoUnsupportedInRuntime, "it refuses a file that is not all LoRA"),
            _ => continue,
        };
        let message = format!("{program} would apply {} of {modules} modules: {why}", fit.loaded_modules);
        let finding = Finding::new(code, severity, message).at(&fit.runtime).on(Basis::Metadata);
        found.push(finding.with("ignored", *count).with("examples", fit.ignored_examples.clone()));
    }
    for deviation in &fit.deviations {
        let message = format!("{program} differs for {} modules: {}", deviation.modules, deviation.message);
        let finding = Finding::new(Code::RuntimeDeviation, Severity::Warning, message).at(&fit.runtime);
        found.push(finding.on(Basis::Metadata).with("deviation", deviation.code.clone()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps(runtime: &str, architecture: &str, name: &str) -> bool {
        let runtime = TABLE.runtime.iter().rfind(|own| own.name == runtime).unwrap();
        runtime.names.iter().any(|rule| rule.maps(Some(architecture), name))
    }

    #[test]
    fn every_rule_names_a_layout_that_there_is() {
        assert_eq!(runtime_names(), ["comfyui", "diffusers", "a1111", "forge"]);
        for rule in TABLE.runtime.iter().flat_map(|runtime| &runtime.names) {
            for layout in rule.layouts.iter().flatten() {
                assert!(TABLE.layouts.contains_key(layout), "{layout}");
            }
        }
    }

    #[test]
    fn comfyui_maps_the_names_of_sdxl_that_it_was_seen_to_map() {
        let tail = "transformer_blocks_0_attn1_to_q";
        for name in [
            format!("lora_unet_input_blocks_4_1_{tail}"),
            "diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q".to_owned(),
            format!("lora_unet_down_blocks_1_attentions_0_{tail}"),
            format!("lycoris_down_blocks_1_attentions_0_{tail}"),
            "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q".to_owned(),
            "down_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q".to_owned(),
            "lora_te2_text_model_encoder_layers_3_mlp_fc1".to_owned(),
        ] {
            assert!(maps("comfyui", "sdxl", &name), "{name}");
        }
        for name in [
            "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
            "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
            "base_model.model.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
            "unet.base_model.model.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
        ] {
            assert!(!maps("comfyui", "sdxl", name), "{name}");
        }
    }

    #[test]
    fn comfyui_maps_the_names_of_flux_that_it_was_seen_to_map() {
        for name in [
            "lora_unet_double_blocks_0_img_attn_qkv",
            "transformer.transformer_blocks.0.attn.to_q",
            "diffusion_model.double_blocks.0.img_attn.qkv",
            "lora_transformer_transformer_blocks_0_attn_to_q",
            "lycoris_transformer_blocks_0_attn_to_q",
        ] {
            assert!(maps("comfyui", "flux1", name), "{name}");
        }
        for name in ["transformer_blocks.0.attn.to_q", "base_model.model.transformer_blocks.0.attn.to_q"] {
            assert!(!maps("comfyui", "flux1", name), "{name}");
        }
    }

    #[test]
    fn each_program_has_its_own_names() {
        let diffusers = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q";
        assert!(maps("diffusers", "sdxl", diffusers) && !maps("a1111", "sdxl", diffusers));
        assert!(!maps(
            "diffusers",
            "sdxl",
            "diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q"
        ));
        assert!(maps("diffusers", "wan2.1", "diffusion_model.blocks.0.self_attn.q"));
        assert!(maps("comfyui", "wan2.1", "diffusion_model.blocks.0.self_attn.q"));
        assert!(!maps("comfyui", "wan2.1", "transformer.blocks.0.attn1.to_q"));
    }
}
