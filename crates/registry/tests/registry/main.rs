//! The product through `Registry`, on both databases.

mod catalog;
mod harness;
mod presence;
mod settings;
