//! `lorakeep completions`: what a shell needs to complete commands, flags and values.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::commands::Ended;
use crate::failure::Result;
use crate::output::Output;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep completions bash > ~/.local/share/bash-completion/completions/lorakeep
  lorakeep completions zsh > ~/.zfunc/_lorakeep
  lorakeep completions fish > ~/.config/fish/completions/lorakeep.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<Ended> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "lorakeep", &mut script);
    Output::raw(&script)?;
    Ok(Ended::Done)
}
