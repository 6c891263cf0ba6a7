//! The product through `Registry`, on both databases.

mod bin;
mod catalog;
mod harness;
mod presence;
mod settings;
