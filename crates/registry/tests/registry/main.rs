//! The product through `Registry`, on both databases.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod access;
mod adoption;
mod bin;
mod catalog;
mod downloads;
mod harness;
mod linked_folders;
mod presence;
mod settings;
mod styles;
mod teams;
mod verification;
