//! What the server says of itself: documents, reference, pages.

mod documents;
mod examples;
mod pages;
