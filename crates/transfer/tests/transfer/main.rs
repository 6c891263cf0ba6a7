//! The transfer engine against the stand-in, over real sockets and on a real disk.

mod basics;
mod disk;
mod faults;
mod security;
mod support;
