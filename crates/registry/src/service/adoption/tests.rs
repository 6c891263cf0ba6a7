//! Adopting folders.
