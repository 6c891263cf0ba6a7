//! Where an adoption works: the models folder of an installation that is new, and a scratch folder for a look that must
//! leave no trace.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lorakeep_registry::config::{Config, ValueOrigin, remember_setting};
use lorakeep_registry::models_tree_of;

use crate::args::GlobalArgs;
use crate::commands::config::load;
use crate::connection::server_runs;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// How long hashing may take to begin.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A folder that is gone with the command.
pub(super) struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Best effort: the system empties its folder of temporary files.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The flags to work with. A server that runs, here or elsewhere, has its folders; an installation that names no models
/// folder gets the one of the adopted folder.
pub(super) async fn settle(
    path: &Path,
    is_dry: bool,
    global: &GlobalArgs,
    output: &Output,
) -> Result<(GlobalArgs, Option<Scratch>)> {
    let mut global = global.clone();
    if global.connection.server.as_deref().is_some_and(|server| !server.is_empty()) {
        return Ok((global, None));
    }
    let config = load(&global.configuration)?;
    if server_runs(&config).await? {
        return Ok((global, None));
    }
    let found = models_tree_of(path).filter(|tree| is_free_to_choose(&config) && *tree != config.models_dir);
    if let Some(tree) = &found {
        global.configuration.models_dir = Some(tree.clone());
        if !is_dry {
            remember(&config, tree, output);
        }
    }
    let is_new = config.database_url.is_none() && !config.data_dir.join("lorakeep.db").exists();
    if !(is_dry && is_new) {
        return Ok((global, None));
    }
    let scratch = scratch()?;
    let models_dir = found.unwrap_or(config.models_dir);
    // Opening makes the models folder when there is none.
    let models_dir = if models_dir.is_dir() { models_dir } else { scratch.0.join("models") };
    global.configuration.models_dir = Some(models_dir);
    global.configuration.data_dir = Some(scratch.0.clone());
    Ok((global, Some(scratch)))
}

/// Whether nobody said where the models are.
fn is_free_to_choose(config: &Config) -> bool {
    let models = config.shown().iter().find(|value| value.name == "models_dir");
    config.comfyui.dir.is_none() && models.is_some_and(|value| value.origin == ValueOrigin::Default)
}

/// Lets the server find the models at its next start.
fn remember(config: &Config, tree: &Path, output: &Output) {
    let comfyui = tree.parent().filter(|parent| {
        tree.file_name().is_some_and(|name| name == "models") && parent.join("input").is_dir()
    });
    let (name, folder) = comfyui.map_or(("models_dir", tree), |comfyui| ("comfyui.dir", comfyui));
    let made = std::fs::create_dir_all(&config.data_dir).map_err(|error| error.to_string());
    let kept = made.and_then(|()| {
        remember_setting(&config.data_dir, name, &folder.display().to_string())
            .map_err(|error| error.to_string())
    });
    match kept {
        Ok(()) => output.say(&format!(
            "the models stay in `{}`; `{name}` says so in `{}`",
            tree.display(),
            config.data_dir.join("lorakeep.toml").display()
        )),
        Err(error) => output.warn(&format!("{error}; start the server with --models-dir {}", tree.display())),
    }
}

fn scratch() -> Result<Scratch> {
    use std::os::unix::fs::DirBuilderExt;
    let path = std::env::temp_dir().join(format!("lorakeep-look-{}", std::process::id()));
    // A run that was killed had the same number.
    drop(std::fs::remove_dir_all(&path));
    std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
        Failure::new(format!("cannot make the folder `{}` for a look", path.display())).caused_by(&error)
    })?;
    Ok(Scratch(path))
}

/// The path as the server is told it.
pub(super) fn named(path: &Path) -> Result<String> {
    let absolute = std::path::absolute(path)
        .map_err(|error| Failure::new(format!("`{}` is no path", path.display())).caused_by(&error))?;
    let text = absolute.to_str().map(str::to_owned);
    text.ok_or_else(|| Failure::usage(format!("`{}` is not UTF-8; rename the folder", path.display())))
}
