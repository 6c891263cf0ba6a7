//! What tests send to the vault: forms, and small files of both kinds of weights.

use serde_json::{Value, json};

use crate::client::Call;

const BOUNDARY: &str = "form-end";

/// A form with one file and text fields.
pub(crate) fn with_form(call: Call, name: &str, content: &[u8], fields: &[(&str, &str)]) -> Call {
    let (kind, body) = form(name, content, fields);
    call.body(&kind, body)
}

/// Content type and body of a form.
pub(crate) fn form(name: &str, content: &[u8], fields: &[(&str, &str)]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (field, text) in fields {
        body.extend(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{text}\r\n")
                .bytes(),
        );
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    body.extend(head.bytes());
    body.extend(content);
    body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
    (format!("multipart/form-data; boundary={BOUNDARY}"), body)
}

/// A safetensors file of exactly `size` bytes, which must be more than a hundred; `seed` makes contents differ.
pub(crate) fn safetensors(size: usize, seed: u8) -> Vec<u8> {
    let header = |data: usize| {
        let text = format!(r#"{{"a.weight":{{"dtype":"U8","shape":[{data}],"data_offsets":[0,{data}]}}}}"#);
        // Spaces at the end keep the length of the header the same whatever the number.
        format!("{text:<96}")
    };
    let data = size - 8 - 96;
    let mut file = 96_u64.to_le_bytes().to_vec();
    file.extend(header(data).bytes());
    file.resize(size, seed);
    file
}

/// A kohya LoRA for SDXL as far as its names and shapes tell, with trigger words in its metadata.
pub(crate) fn sdxl_lora() -> Vec<u8> {
    let module = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k";
    let mut tensors = serde_json::Map::new();
    let metadata = json!({
        "ss_base_model_version": "sdxl_base_v1-0",
        "ss_network_dim": "4",
        "ss_network_alpha": "2",
        "ss_tag_frequency": r#"{"10_moss": {"mossy knight": 12, "forest": 3}}"#,
    });
    tensors.insert("__metadata__".into(), metadata);
    let mut end = 0;
    for (name, shape) in [("lora_down.weight", [4, 2048]), ("lora_up.weight", [640, 4])] {
        let start = end;
        end += shape[0] * shape[1] * 2;
        let tensor = json!({"dtype": "F16", "shape": shape, "data_offsets": [start, end]});
        tensors.insert(format!("{module}.{name}"), tensor);
    }
    let header = Value::Object(tensors).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.resize(8 + header.len() + end, 1);
    file
}

/// A LoRA with SDXL names whose one module has these singular values, its scale included: the factors are diagonal, and
/// alpha over rank is made up for.
pub(crate) fn lora(singular_values: &[f32], alpha: f32) -> Vec<u8> {
    let (rank, side) = (singular_values.len(), 8);
    let scale = alpha / rank as f32;
    let (mut down, mut up) = (vec![0.0; rank * side], vec![0.0; side * rank]);
    for (place, value) in singular_values.iter().enumerate() {
        down[place * side + place] = 0.5;
        up[place * rank + place] = value / scale / 0.5;
    }
    let module = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q";
    let tensors = [
        ("alpha", vec![], vec![alpha]),
        ("lora_down.weight", vec![rank, side], down),
        ("lora_up.weight", vec![side, rank], up),
    ];
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    header.insert("__metadata__".into(), json!({"ss_base_model_version": "sdxl_base_v1-0"}));
    for (name, shape, values) in tensors {
        let start = data.len();
        values.iter().for_each(|value| data.extend(value.to_le_bytes()));
        let tensor = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(format!("{module}.{name}"), tensor);
    }
    let header = Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend(data);
    file
}
