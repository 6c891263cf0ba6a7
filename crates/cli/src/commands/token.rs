//! `lorakeep token`: bearer tokens of the vault, made with the configured secret, and looked into.

use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand, ValueEnum};
use lorakeep_server::bearer::{self, Verifier};
use serde_json::{Value, json};

use crate::args::GlobalArgs;
use crate::commands::Ended;
use crate::commands::config::load;
use crate::failure::{Failure, Result};
use crate::output::{Output, printable};

/// Make a bearer token for the vault, or look into one
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep token create --role admin --ttl 1h
  lorakeep token create --role user --ttl 7d --subject render-farm --scope 'lora:read lora:upload'
  lorakeep token inspect eyJhbGciOiJIUzI1NiIs…")]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print a new token, signed with LORAKEEP_JWT_SECRET
    Create {
        /// What its holder may do
        #[arg(long, value_enum)]
        role: RoleArg,
        /// How long it holds: a number with s, m, h or d
        #[arg(long, value_name = "TIME", value_parser = parse_span)]
        ttl: TimeDelta,
        /// Cuts the role's rights: words of lora:read, lora:upload, lora:delete, evaluation:run
        #[arg(long, value_name = "WORDS")]
        scope: Option<String>,
        /// Who holds it
        #[arg(long, value_name = "NAME", default_value = "lorakeep-cli")]
        subject: String,
    },
    /// Show what a token says, and whether it opens this installation's vault
    Inspect {
        /// The token
        token: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArg {
    /// Everything on the vault
    Admin,
    /// Upload, list and read, run evaluations
    User,
}

pub(crate) fn run(args: &TokenArgs, global: &GlobalArgs, output: &Output) -> Result<Ended> {
    match &args.action {
        Action::Create { role, ttl, scope, subject } => {
            create(*role, *ttl, scope.as_deref(), subject, global, output)
        }
        Action::Inspect { token } => inspect(token, global, output),
    }
}

fn create(
    role: RoleArg,
    ttl: TimeDelta,
    scope: Option<&str>,
    subject: &str,
    global: &GlobalArgs,
    output: &Output,
) -> Result<Ended> {
    let access = load(&global.configuration)?.access;
    let Some(secret) = &access.jwt_secret else {
        return Err(Failure::new("there is no secret to sign a token with").hint(
            "set LORAKEEP_JWT_SECRET, for the server too; tokens for a public key are made by whoever has its private key",
        ));
    };
    // What no server takes is not made.
    Verifier::load(&access).map_err(|error| Failure::new(error.to_string()))?;
    let now = Utc::now();
    let expires = now + ttl;
    let role = match role {
        RoleArg::Admin => "admin",
        RoleArg::User => "user",
    };
    let mut claims = json!({
        "sub": subject, "role": role, "iat": now.timestamp(), "nbf": now.timestamp(), "exp": expires.timestamp(),
    });
    let more =
        [("scope", scope), ("aud", access.jwt_audience.as_deref()), ("iss", access.jwt_issuer.as_deref())];
    for (name, value) in more {
        if let Some(value) = value {
            claims[name] = value.into();
        }
    }
    let token = bearer::issue(secret, &claims);
    if output.is_json() {
        output.json(&json!({"token": token, "claims": claims, "expires_at": expires.to_rfc3339()}))?;
    } else {
        Output::line(&token)?;
        output.say(&format!("holds until {}", expires.format("%Y-%m-%d %H:%M:%S UTC")));
    }
    Ok(Ended::Done)
}

fn inspect(token: &str, global: &GlobalArgs, output: &Output) -> Result<Ended> {
    let token = token.trim();
    let (header, claims) = bearer::unverified(token).map_err(|error| Failure::new(error.to_string()))?;
    let verifier = Verifier::load(&load(&global.configuration)?.access)
        .map_err(|error| Failure::new(error.to_string()))?;
    let verdict = match &verifier {
        None => Err("no key for tokens is configured here".to_owned()),
        Some(verifier) => verifier.verify(token, Utc::now()).map_err(|error| error.to_string()),
    };
    let refusal = verdict.as_ref().err();
    if output.is_json() {
        output.json(&json!({
            "header": header, "claims": claims, "is_valid": verdict.is_ok(), "reason": refusal,
        }))?;
        return Ok(Ended::failed_if(verdict.is_err()));
    }
    Output::line(&printable(&format!("header  {header}\nclaims  {claims}")))?;
    if let Some(expires) =
        claims.get("exp").and_then(Value::as_i64).and_then(|exp| DateTime::from_timestamp(exp, 0))
    {
        output.say(&format!("expires {}", expires.format("%Y-%m-%d %H:%M:%S UTC")));
    }
    match refusal {
        None => output.say("it opens the vault"),
        Some(reason) => output.error(&format!("it does not open the vault: {reason}")),
    }
    Ok(Ended::failed_if(verdict.is_err()))
}

/// `90s`, `15m`, `1h`, `7d`.
pub(crate) fn parse_span(text: &str) -> std::result::Result<TimeDelta, String> {
    let wrong = || format!("`{text}` is not a time span; write it like `15m`, `1h` or `7d`");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let span = number
        .parse::<i64>()
        .ok()
        .filter(|number| *number > 0)
        .and_then(|number| number.checked_mul(seconds));
    // A century is long enough for any token and far from the end of the calendar.
    span.filter(|span| *span <= 100 * 366 * 86_400).map(TimeDelta::seconds).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_a_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 604_800)] {
            assert_eq!(parse_span(text), Ok(TimeDelta::seconds(seconds)));
        }
        for text in ["", "1", "h", "-1h", "0h", "1.5h", "1w", "é", "99999999999999d"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }
}
