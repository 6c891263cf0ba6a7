//! The product through `Registry`, on both databases.

mod bin;
mod catalog;
mod downloads;
mod harness;
mod presence;
mod settings;
mod verification;
