//! The pages as a person sees them: in a real browser, against the stand-in.

mod driver;
mod pages;
mod pictures;
