//! The transfer engine against the stand-in, over real sockets and on a real disk.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod basics;
mod chaos;
mod crash;
mod disk;
mod faults;
mod limits;
mod odd_servers;
mod security;
mod support;
