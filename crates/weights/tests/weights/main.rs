//! What the crate promises about whole files, tried through its public face.

mod adapters;
mod base_changes;
mod benign;
mod comparing;
mod compatibility;
mod corpus;
mod evaluation;
mod full_changes;
mod hostile_adapters;
mod hostile_corpus;
mod hostile_names;
mod hostile_pickles;
mod hostile_zips;
mod identification;
mod invariance;
mod pickles;
mod resizing;
mod safetensors_mutation;
mod torch_mutation;
mod zips;
