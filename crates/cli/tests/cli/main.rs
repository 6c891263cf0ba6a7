//! The built program against the stand-in: what it prints, what it answers to the shell, what it leaves on disk.

mod adopting;
mod adoption_kills;
mod bad_input;
mod customers;
mod disks;
mod evaluating;
mod everyday;
mod harness;
mod hostile_costs;
mod identifying;
mod keeping;
mod kills;
mod offline;
mod serving;
mod syncing;
mod upload_kills;
mod uploading;
