//! What the crate promises about whole files, tried through its public face.

mod safetensors_mutation;
