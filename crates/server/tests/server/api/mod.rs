//! What every surface shares: access, bodies, the wire; and the studio's models, downloads, files and bin.

mod access;
mod adoption;
mod bin;
mod bodies;
mod catalog;
mod downloads;
mod entries;
mod events;
mod files;
mod installation;
mod one_file;
mod slow_clients;
mod verification;
mod wire;
