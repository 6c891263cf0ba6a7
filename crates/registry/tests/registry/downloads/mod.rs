//! Downloads from the stand-in over sockets: the queue, its controls, refusals, and what a killed process leaves.

mod adding;
mod content;
mod control;
mod happy;
mod refusals;
mod restart;
mod secrets;
pub(crate) mod support;
