//! Evaluations of a registry, without a server.
