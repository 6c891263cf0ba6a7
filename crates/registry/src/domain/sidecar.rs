//! Files that other programs keep beside a model: their kinds and their names.

use super::{ModelPath, SafeName};

/// A kind of sidecar, in the order in which what CivitAI says is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SidecarFlavour {
    /// `<stem>.civitai.info` of Civitai Helper.
    CivitaiInfo,
    /// `<stem>.metadata.json` of LoRA Manager.
    LoraManager,
    /// `<stem>.cm-info.json` of Stability Matrix.
    StabilityMatrix,
    /// `<stem>.json` of A1111 and its relatives.
    A1111,
}

impl SidecarFlavour {
    /// Every flavour.
    pub const ALL: [Self; 4] = [Self::CivitaiInfo, Self::LoraManager, Self::StabilityMatrix, Self::A1111];

    /// The word of settings and of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CivitaiInfo => "civitai_info",
            Self::LoraManager => "lora_manager",
            Self::StabilityMatrix => "stability_matrix",
            Self::A1111 => "a1111",
        }
    }

    /// The flavour of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flavour| flavour.as_str() == word)
    }

    /// The sidecar of a model; `None` when its name would be none.
    pub fn beside(self, model: &ModelPath) -> Option<ModelPath> {
        let ending = match self {
            Self::CivitaiInfo => ".civitai.info",
            Self::LoraManager => ".metadata.json",
            Self::StabilityMatrix => ".cm-info.json",
            Self::A1111 => ".json",
        };
        model.beside(ending)
    }
}

impl ModelPath {
    /// The file beside this one whose name is this one's without its extension, and that ending. `None` when such a name
    /// is refused, as one that is too long.
    pub fn beside(&self, ending: &str) -> Option<Self> {
        let file = SafeName::parse("file", &format!("{}{ending}", self.file.stem())).ok()?;
        Some(Self { folder: self.folder.clone(), file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_has_the_models_stem_in_the_models_folder() {
        let model = ModelPath::parse("loras/deep", "a.b.safetensors").unwrap();
        let names = SidecarFlavour::ALL.map(|flavour| flavour.beside(&model).unwrap().relative());
        assert_eq!(
            names,
            [
                "loras/deep/a.b.civitai.info",
                "loras/deep/a.b.metadata.json",
                "loras/deep/a.b.cm-info.json",
                "loras/deep/a.b.json",
            ]
        );
        let long = ModelPath::parse("loras", &format!("{}.pt", "x".repeat(250))).unwrap();
        assert_eq!(SidecarFlavour::CivitaiInfo.beside(&long), None);
        for flavour in SidecarFlavour::ALL {
            assert_eq!(SidecarFlavour::parse(flavour.as_str()), Some(flavour));
        }
    }
}
