//! The surfaces over real sockets, against a real registry on SQLite and the stand-in for downloads.

mod access;
mod bin;
mod bodies;
mod catalog;
mod client;
mod downloads;
mod events;
mod files;
mod harness;
mod installation;
mod one_file;
mod slow_clients;
mod verification;
mod wire;
