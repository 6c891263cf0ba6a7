//! CivitAI and Hugging Face: what they know of a file, where its bytes are, and what to do when they say no.

pub(crate) mod reference;
