//! `lorakeep openapi`: the description of the HTTP API for programs.

use clap::Args;
use clap::builder::PossibleValuesParser;
use lorakeep_server::Surface;

use crate::commands::Ended;
use crate::failure::Result;
use crate::output::Output;

/// Print the OpenAPI 3.1 document of a part of the HTTP API
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep openapi studio > studio.json
  lorakeep openapi vault | jq '.paths | keys'

A running server has the same documents at /openapi/studio.json and so on, and shows them at /docs.")]
pub(crate) struct OpenapiArgs {
    /// Which part
    #[arg(value_parser = PossibleValuesParser::new(Surface::ALL.map(Surface::as_str)))]
    surface: String,
}

pub(crate) fn run(args: &OpenapiArgs) -> Result<Ended> {
    let surface = Surface::parse(&args.surface).expect("only names of surfaces are let in");
    Output::raw(surface.openapi().as_bytes())?;
    Ok(Ended::Done)
}
