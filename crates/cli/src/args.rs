//! The command line as clap sees it. Each command's own arguments stand beside its code in `commands/`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::commands;

const ABOUT: &str = "Keeps a diffusion studio's model files: catalogs, fetches, verifies and serves them";

const LONG_ABOUT: &str = "\
Keeps a diffusion studio's model files: catalogs, fetches, verifies and serves them.

Without a command it starts the server (`lorakeep serve`). Every other command finds by itself whom to talk to:
  1. the server named by --server or LORAKEEP_SERVER, with the key of --key or LORAKEEP_KEY;
  2. else the server that runs on the data folder, through its socket (no key needed);
  3. else nobody: the command opens the data folder itself, does its work and leaves.";

const AFTER_HELP: &str = "\
Examples:
  lorakeep                                      start the server on http://127.0.0.1:8000
  lorakeep import --builtin                     put well-known public models into the catalog
  lorakeep add hf:Comfy-Org/flux1-dev/flux1-dev-fp8.safetensors --download
  lorakeep add 'https://civitai.com/models/4384?modelVersionId=128713'
  lorakeep download --all-missing               fetch whatever the catalogs name and the disk lacks
  lorakeep list --status present --json         what is here, for a script
  lorakeep --server https://gpu-box:8000 --key KEY queue";

const AFTER_LONG_HELP: &str = "\
Examples:
  lorakeep                                      start the server on http://127.0.0.1:8000
  lorakeep import --builtin                     put well-known public models into the catalog
  lorakeep add hf:Comfy-Org/flux1-dev/flux1-dev-fp8.safetensors --download
  lorakeep add 'https://civitai.com/models/4384?modelVersionId=128713'
  lorakeep download --all-missing               fetch whatever the catalogs name and the disk lacks
  lorakeep list --status present --json         what is here, for a script
  lorakeep --server https://gpu-box:8000 --key KEY queue

Configuration: flags, then environment, then `lorakeep.toml` in the data folder, then defaults; `lorakeep config show`
prints every value and where it comes from. Beside the variables named at the flags above:
  API_KEY                    the admin key of the server; made at the first start when it is not set
  CIVITAI_API_KEY, HF_TOKEN  credentials for CivitAI and Hugging Face, each sent there and nowhere else
  MAX_CONCURRENT_DOWNLOADS   downloads at once (3)
  LORAKEEP_BANDWIDTH         bytes per second for all downloads together
  LORAKEEP_MODELS_LINKS      folders outside that links below the models folder may lead to
  LORAKEEP_ALLOW_HOSTS       private hosts that downloads may reach, comma-separated
  LORAKEEP_CIVITAI_URL, HF_ENDPOINT       other addresses of CivitAI and Hugging Face
  LORAKEEP_BIN_DAYS          days until a deleted file is purged (7)
  LORAKEEP_SIDECARS          flavours that are written beside models when asked to (civitai_info,stability_matrix,a1111)
  LORAKEEP_KEEP_SIDECARS     whether they follow their entries by themselves (false)
  LORAKEEP_BACKGROUND_HASHING  whether files are hashed without being asked to (true)
  LORAKEEP_MAX_UPLOAD_BYTES  the largest upload (524288000)
  LORAKEEP_TIME_ZONE         zone of the dates in catalogs (UTC)
  LORAKEEP_PUBLIC_URL, LORAKEEP_HOST_NAMES, LORAKEEP_TRUSTED_PROXIES, LORAKEEP_CORS_ORIGINS
                             how people outside reach the server, and who may stand in between
  LORAKEEP_JWT_SECRET, LORAKEEP_JWT_PUBLIC_KEY, LORAKEEP_JWT_JWKS, LORAKEEP_JWT_AUDIENCE, LORAKEEP_JWT_ISSUER
                             whose tokens open the vault
  REPO_URL, REPO_BRANCH      git repository with catalogs, and its branch (main)
  LORAKEEP_LOG, LORAKEEP_LOG_FORMAT       what is logged (as RUST_LOG), as `text` or `json`
  LORAKEEP_TOKEN             a token of the vault, for `upload`
  NO_COLOR                   no colours

Exit codes: 0 done, 1 failed, 2 wrong usage.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "lorakeep", version, about = ABOUT, long_about = LONG_ABOUT,
    after_help = AFTER_HELP, after_long_help = AFTER_LONG_HELP,
    max_term_width = 110, propagate_version = false, disable_help_subcommand = false
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// `serve` when absent.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Flags that every command takes, before or after its name.
#[derive(Debug, Clone, Args)]
pub(crate) struct GlobalArgs {
    #[command(flatten)]
    pub(crate) configuration: ConfigurationArgs,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// Print the API's objects as JSON on standard output
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// Say nothing but data and errors
    #[arg(long, short, global = true, help_heading = "Output")]
    pub(crate) quiet: bool,
    /// Say more: causes of errors, and with -vv the log of what runs in this process
    #[arg(long, short, global = true, action = ArgAction::Count, help_heading = "Output")]
    pub(crate) verbose: u8,
}

/// Flags that say what a server, or a command that finds none, works on. The environment and the file are read where the
/// configuration is put together, so that `config show` can tell the three apart.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct ConfigurationArgs {
    /// Folder of database, catalogs, bin and socket [env: LORAKEEP_DATA_DIR] [default: ./data]
    #[arg(long, global = true, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Root of the model folders [env: LORAKEEP_MODELS_DIR] [default: ComfyUI's models/, else models/ in the data folder]
    #[arg(long, global = true, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub(crate) models_dir: Option<PathBuf>,
    /// Address that the server listens on; port 0 takes a free one [env: LORAKEEP_LISTEN] [default: 127.0.0.1:8000]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// `postgres://…` instead of SQLite in the data folder [env: LORAKEEP_DATABASE_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Folder of ComfyUI; gives models/ and input/ [env: COMFYUI_DIR]
    #[arg(long, global = true, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub(crate) comfyui_dir: Option<PathBuf>,
    /// Address of ComfyUI [env: COMFYUI_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) comfyui_url: Option<String>,
}

/// Flags that say which server to talk to.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// Talk to that server, such as http://gpu-box:8000
    #[arg(long, global = true, value_name = "URL", env = "LORAKEEP_SERVER")]
    pub(crate) server: Option<String>,
    /// Its admin key
    #[arg(long, global = true, value_name = "KEY", env = "LORAKEEP_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(commands::serve::ServeArgs),
    List(commands::list::ListArgs),
    Search(commands::search::SearchArgs),
    Show(commands::show::ShowArgs),
    Edit(commands::edit::EditArgs),
    Add(commands::add::AddArgs),
    Adopt(commands::adopt::AdoptArgs),
    Download(commands::download::DownloadArgs),
    Queue(commands::queue::QueueArgs),
    Import(commands::import::ImportArgs),
    Export(commands::export::ExportArgs),
    Verify(commands::verify::VerifyArgs),
    Rm(commands::rm::RmArgs),
    Scan(commands::scan::ScanArgs),
    Bin(commands::bin::BinArgs),
    Sync(commands::sync::SyncArgs),
    UpdateCheck(commands::update_check::UpdateCheckArgs),
    Sidecars(commands::sidecars::SidecarsArgs),
    Tags(commands::tags::TagsArgs),
    Events(commands::events::EventsArgs),
    Upload(commands::upload::UploadArgs),
    Quarantine(commands::quarantine::QuarantineArgs),
    Inspect(commands::inspect::InspectArgs),
    Identify(commands::identify::IdentifyArgs),
    Duplicates(commands::duplicates::DuplicatesArgs),
    Evaluate(commands::evaluate::EvaluateArgs),
    Resize(commands::resize::ResizeArgs),
    Token(commands::token::TokenArgs),
    Style(commands::style::StyleArgs),
    Team(commands::team::TeamArgs),
    Key(commands::key::KeyArgs),
    AdminKey(commands::admin_key::AdminKeyArgs),
    Doctor(commands::doctor::DoctorArgs),
    Config(commands::config::ConfigArgs),
    Settings(commands::settings::SettingsArgs),
    Completions(commands::completions::CompletionsArgs),
    Openapi(commands::openapi::OpenapiArgs),
    Version(commands::version::VersionArgs),
}

/// One of the two catalogs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Catalog {
    /// Checkpoints, VAEs, text encoders, technical LoRAs
    Models,
    /// Style LoRAs
    Loras,
}

impl Catalog {
    /// Both, in the order in which names are looked up.
    pub(crate) const ALL: [Self; 2] = [Self::Models, Self::Loras];

    /// The word of the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Loras => "loras",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_or_after_the_command() {
        for line in [
            ["lorakeep", "--data-dir", "/d", "--json", "list"],
            ["lorakeep", "list", "--data-dir", "/d", "--json"],
        ] {
            let cli = Cli::try_parse_from(line).expect("both orders parse");
            assert_eq!(cli.global.configuration.data_dir, Some(PathBuf::from("/d")));
            assert!(cli.global.json);
        }
        let nested = Cli::try_parse_from(["lorakeep", "bin", "list", "--server", "http://h", "--key", "k"]);
        assert_eq!(
            nested.expect("nested commands take them too").global.connection.key.as_deref(),
            Some("k")
        );
    }

    #[test]
    fn no_command_means_serve() {
        let cli = Cli::try_parse_from(["lorakeep", "--listen", "127.0.0.1:0"]).expect("parses");
        assert!(cli.command.is_none());
        assert_eq!(cli.global.configuration.listen.as_deref(), Some("127.0.0.1:0"));
    }
}
