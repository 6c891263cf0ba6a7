//! One file a command: its arguments with their help, and what it does.

pub(crate) mod add;
pub(crate) mod admin_key;
pub(crate) mod adopt;
pub(crate) mod bin;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod download;
pub(crate) mod duplicates;
pub(crate) mod edit;
pub(crate) mod evaluate;
pub(crate) mod events;
pub(crate) mod export;
mod filters;
pub(crate) mod identify;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod names;
pub(crate) mod openapi;
pub(crate) mod quarantine;
pub(crate) mod queue;
pub(crate) mod resize;
pub(crate) mod rm;
pub(crate) mod scan;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod settings;
pub(crate) mod show;
pub(crate) mod sidecars;
pub(crate) mod style;
pub(crate) mod sync;
pub(crate) mod tags;
pub(crate) mod team;
pub(crate) mod token;
pub(crate) mod update_check;
pub(crate) mod upload;
pub(crate) mod verify;
pub(crate) mod version;

use crate::api::Api;
use crate::args::{Cli, Command, GlobalArgs};
use crate::connection::Connection;
use crate::failure::Result;
use crate::output::Output;

/// How a command that could run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything that was asked for is done.
    Done,
    /// Something of it is not, and the command has said what.
    Failed,
}

impl Ended {
    /// `Failed` when anything failed.
    pub(crate) fn failed_if(failed: bool) -> Self {
        if failed { Self::Failed } else { Self::Done }
    }
}

/// Runs the command of that line; `serve` when there is none.
pub(crate) async fn run(cli: Cli, output: &Output) -> Result<Ended> {
    let global = &cli.global;
    match cli.command {
        None | Some(Command::Serve(_)) => serve::run(global, output).await,
        Some(Command::Config(args)) => config::run(&args, global, output),
        Some(Command::Completions(args)) => completions::run(&args),
        Some(Command::Adopt(args)) => adopt::run(&args, global, output).await,
        Some(Command::Evaluate(args)) => evaluate::run(&args, global, output).await,
        Some(Command::Inspect(args)) => inspect::run(&args, output),
        Some(Command::Openapi(args)) => openapi::run(&args),
        Some(Command::Resize(args)) => resize::run(&args, output),
        Some(Command::Token(args)) => token::run(&args, global, output),
        Some(Command::Version(_)) => version::run(global, output).await,
        Some(command) => talk(command, global, output).await,
    }
}

/// Runs a command that talks to a server, and leaves the data folder as it should be whatever came of it.
async fn talk(command: Command, global: &GlobalArgs, output: &Output) -> Result<Ended> {
    command.check()?;
    let api = Api::new(Connection::open(global, output).await?);
    let ended = call(command, &api, output).await;
    api.close().await;
    ended
}

async fn call(command: Command, api: &Api, output: &Output) -> Result<Ended> {
    match command {
        Command::List(args) => list::run(&args, api, output).await,
        Command::Search(args) => search::run(&args, api, output).await,
        Command::Show(args) => show::run(&args, api, output).await,
        Command::Edit(args) => edit::run(&args, api, output).await,
        Command::Add(args) => add::run(&args, api, output).await,
        Command::Download(args) => download::run(&args, api, output).await,
        Command::Queue(args) => queue::run(args, api, output).await,
        Command::Import(args) => import::run(&args, api, output).await,
        Command::Export(args) => export::run(&args, api, output).await,
        Command::Verify(args) => verify::run(&args, api, output).await,
        Command::Rm(args) => rm::run(&args, api, output).await,
        Command::Scan(args) => scan::run(&args, api, output).await,
        Command::Bin(args) => bin::run(args, api, output).await,
        Command::Sync(args) => sync::run(&args, api, output).await,
        Command::UpdateCheck(_) => update_check::run(api, output).await,
        Command::Sidecars(args) => sidecars::run(&args, api, output).await,
        Command::Tags(args) => tags::run(&args, api, output).await,
        Command::Events(args) => events::run(&args, api, output).await,
        Command::Identify(args) => identify::run(&args, api, output).await,
        Command::Duplicates(args) => duplicates::run(&args, api, output).await,
        Command::Upload(args) => upload::run(&args, api, output).await,
        Command::Quarantine(args) => quarantine::run(args, api, output).await,
        Command::Doctor(_) => doctor::run(api, output).await,
        Command::Style(args) => style::run(args, api, output).await,
        Command::Team(args) => team::run(args, api, output).await,
        Command::Key(args) => key::run(args, api, output).await,
        Command::AdminKey(args) => admin_key::run(&args, api, output).await,
        Command::Settings(args) => settings::run(&args, api, output).await,
        Command::Serve(_)
        | Command::Adopt(_)
        | Command::Config(_)
        | Command::Completions(_)
        | Command::Evaluate(_)
        | Command::Inspect(_)
        | Command::Openapi(_)
        | Command::Resize(_)
        | Command::Token(_)
        | Command::Version(_) => {
            unreachable!("these talk to no server and are run above")
        }
    }
}

impl Command {
    /// Refuses what clap cannot see, before anything is opened.
    fn check(&self) -> Result<()> {
        match self {
            Self::Add(args) => args.check(),
            Self::Upload(args) => args.check(),
            Self::Settings(args) => args.check(),
            _ => Ok(()),
        }
    }
}
