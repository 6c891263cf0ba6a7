//! The pages as a person sees them: in a real browser, against the stand-in.

mod accessible;
mod driver;
mod library;
mod moving_in;
mod pages;
mod payloads;
mod pictures;
mod queue;
mod size;
mod styles;
mod teams;
mod walk;
