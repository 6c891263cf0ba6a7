//! Which names of base models mean models that share LoRAs (decision 11).
//!
//! The table is data (`data/base_models.toml`); this file only compares.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// The families of base models.
#[derive(Debug)]
pub struct BaseModelFamilies {
    /// Folded name → ids of the families it stands in.
    families: HashMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    family: Vec<FamilyRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FamilyRow {
    id: String,
    names: Vec<String>,
}

static BUILTIN: LazyLock<BaseModelFamilies> = LazyLock::new(|| {
    BaseModelFamilies::parse(include_str!("../../data/base_models.toml"))
        .expect("the built-in table is tested")
});

impl BaseModelFamilies {
    /// The table that ships with the program.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let table: Table = toml::from_str(text)?;
        let mut families: HashMap<String, Vec<String>> = HashMap::new();
        for row in table.family {
            for name in &row.names {
                families.entry(folded(name)).or_default().push(row.id.clone());
            }
        }
        Ok(Self { families })
    }

    /// The families of a name; none when the table does not know it.
    pub fn of(&self, name: &str) -> &[String] {
        self.families.get(&folded(name)).map_or(&[], Vec::as_slice)
    }

    /// Whether LoRAs for one are meant for the other: the same name but for case and separators, or a shared family.
    pub fn meet(&self, one: &str, other: &str) -> bool {
        !one.is_empty()
            && (folded(one) == folded(other)
                || self.of(one).iter().any(|family| self.of(other).contains(family)))
    }

    /// Whether two names mean models of different architectures, as far as the table knows both. Families that begin with
    /// the same word (`flux2-dev`, `flux2-klein-9b`) are of one architecture.
    pub fn differ(&self, one: &str, other: &str) -> bool {
        let architectures = |name: &str| -> Vec<&str> {
            self.of(name).iter().map(|family| family.split('-').next().unwrap_or(family)).collect()
        };
        let (one, other) = (architectures(one), architectures(other));
        !one.is_empty() && !other.is_empty() && one.iter().all(|own| !other.contains(own))
    }
}

/// Lower case, `-`, `_` and runs of spaces as one space.
fn folded(name: &str) -> String {
    let spaced = name.to_lowercase().replace(['-', '_'], " ");
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meet(one: &str, other: &str) -> bool {
        BaseModelFamilies::builtin().meet(one, other)
    }

    #[test]
    fn words_of_civitai_studios_and_folders_meet() {
        assert!(meet("Wan Video 2.2 I2V-A14B", "WAN 2.1"));
        assert!(meet("WAN 2.1", "wan-i2v-14b"));
        assert!(meet("Flux.1 D", "FLUX.1"));
        assert!(meet("HunyuanVideo", "Hunyuan Video"));
        assert!(meet("LTX-Video", "LTXV"));
        assert!(meet("Pony", "SDXL 1.0"));
        assert!(meet("sdxl_1.0", "SDXL 1.0"), "separators do not matter");
    }

    #[test]
    fn models_that_share_no_lora_stay_apart() {
        assert!(!meet("SD 1.5", "SDXL 1.0"));
        assert!(!meet("Wan Video 1.3B t2v", "wan-i2v-14b"));
        assert!(!meet("Flux.1 D", "Flux.2 D"));
        assert!(!meet("SD 3.5 Large", "SD 3.5 Medium"));
        assert!(!meet("", ""), "an unknown base model matches nothing");
    }

    #[test]
    fn a_name_that_the_table_does_not_know_meets_itself() {
        assert!(meet("Brand New Model 7", "brand-new model 7"));
        assert!(!meet("Brand New Model 7", "Brand New Model 8"));
    }
}
