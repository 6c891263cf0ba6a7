//! The transfer engine against the stand-in, over real sockets and on a real disk.

mod basics;
mod crash;
mod disk;
mod faults;
mod limits;
mod security;
mod support;
