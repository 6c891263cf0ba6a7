//! U-Nets of Stable Diffusion, and everything that is not the denoiser: VAEs, text encoders, ControlNets,
//! embeddings, upscalers.

use super::rules::Scope::{Adapter, Model};
use super::rules::Test::{Any, Blocks, Has, No, Side, Takes};
use super::rules::{Rule, Test, rule};

/// Text conditioning comes in through the second attention of a block.
const CONTEXT_768: Test = Any(&[Takes("attn2_to_k", &[768]), Takes("attn2_to_v", &[768])]);
const CONTEXT_1024: Test = Any(&[Takes("attn2_to_k", &[1024]), Takes("attn2_to_v", &[1024])]);
const CONTEXT_1280: Test = Any(&[Takes("attn2_to_k", &[1280]), Takes("attn2_to_v", &[1280])]);
const CONTEXT_2048: Test = Any(&[Takes("attn2_to_k", &[2048]), Takes("attn2_to_v", &[2048])]);
const UNET: Test = Any(&[
    Has("input_blocks_#_#"),
    Has("down_blocks_#_attentions_#"),
    Has("middle_block_#"),
    Has("mid_block_attentions_#"),
    Has("output_blocks_#_#"),
    Has("up_blocks_#_attentions_#"),
]);
const FIRST_CONVOLUTION: [&str; 2] = ["input_blocks_0_0_weight", "^conv_in_weight"];

const fn channels(count: &'static [u64]) -> [Test; 2] {
    [Side(FIRST_CONVOLUTION[0], 1, count), Side(FIRST_CONVOLUTION[1], 1, count)]
}

const NINE: &[Test] = &channels(&[9]);
const EIGHT: &[Test] = &channels(&[8]);
const FIVE: &[Test] = &channels(&[5]);

const fn unet(base: &'static str, variant: &'static str, sure: u8, tests: &'static [Test]) -> Rule {
    rule(base, variant, sure, tests).called("unet")
}

/// U-Nets by the width of their text conditioning, the first convolution and the depth of their blocks.
pub(super) const UNETS: &[Rule] = &[
    unet("svd", "", 95, &[Any(&[Has("time_stack"), Has("temporal_transformer_blocks_#")])]),
    unet("sd-1", "inpaint", 95, &[UNET, CONTEXT_768, Any(NINE)]).only(Model),
    unet("sd-1", "pix2pix", 95, &[UNET, CONTEXT_768, Any(EIGHT)]).only(Model),
    unet("sd-2", "inpaint", 95, &[UNET, CONTEXT_1024, Any(NINE)]).only(Model),
    unet("sd-2", "depth", 95, &[UNET, CONTEXT_1024, Any(FIVE)]).only(Model),
    unet("sdxl", "inpaint", 95, &[UNET, CONTEXT_2048, Any(NINE)]).only(Model),
    unet("sdxl", "v-pred", 95, &[UNET, CONTEXT_2048, Any(&[Has("v_pred"), Has("ztsnr")])]).only(Model),
    unet("sdxl", "playground-2.5", 93, &[UNET, CONTEXT_2048, Has("edm_mean")]).only(Model),
    unet(
        "sdxl",
        "ssd-1b",
        88,
        &[
            CONTEXT_2048,
            Has("input_blocks_7_1"),
            Blocks("input_blocks_7_1_transformer_blocks_#", 1, 8),
            No("input_blocks_7_1_transformer_blocks_4"),
        ],
    )
    .only(Model),
    unet("sd-1", "", 95, &[UNET, CONTEXT_768]),
    unet("sd-2", "", 94, &[UNET, CONTEXT_1024]),
    unet("sdxl", "", 95, &[UNET, CONTEXT_2048]),
    unet("sdxl-refiner", "", 93, &[UNET, CONTEXT_1280]),
    // Adapters without the second attention: the names of the blocks tell.
    unet(
        "sdxl",
        "",
        88,
        &[Any(&[
            Has("input_blocks_4_1"),
            Has("input_blocks_5_1"),
            Has("input_blocks_7_1"),
            Has("input_blocks_8_1"),
            Has("output_blocks_0_1"),
            Has("output_blocks_1_1"),
            Has("output_blocks_2_1"),
            Has("output_blocks_3_1"),
            Has("output_blocks_4_1"),
            Has("output_blocks_5_1"),
            Has("middle_block_1_transformer_blocks_1"),
        ])],
    )
    .only(Adapter),
    unet(
        "sdxl",
        "",
        85,
        &[Any(&[
            Has("down_blocks_#_attentions_#_transformer_blocks_2"),
            Has("up_blocks_#_attentions_#_transformer_blocks_2"),
            Has("mid_block_attentions_#_transformer_blocks_2"),
            Has("up_blocks_0_attentions_2"),
        ])],
    )
    .only(Adapter),
    unet(
        "sdxl",
        "",
        80,
        &[Any(&[
            Has("down_blocks_1_attentions_#_transformer_blocks_1"),
            Has("up_blocks_1_attentions_#_transformer_blocks_1"),
            Has("up_blocks_0_attentions_#_transformer_blocks_1"),
        ])],
    )
    .only(Adapter),
    unet("", "", 50, &[Any(&[Has("down_blocks_0_attentions_#"), Has("up_blocks_3_attentions_#")])])
        .only(Adapter)
        .or(&["sd-1", "sd-2"]),
    unet("", "", 45, &[Any(&[UNET, Has("down_blocks_#_resnets_#"), Has("up_blocks_#_resnets_#")])])
        .only(Adapter)
        .or(&["sd-1", "sd-2", "sdxl"]),
];

/// Adapters of text encoders alone: which encoders there are tells the model.
pub(super) const TEXT_ADAPTERS: &[Rule] = &[
    rule("sd3", "", 80, &[Has("te1:text_model*"), Has("te2:text_model*"), Has("te3:encoder_block_#")])
        .only(Adapter)
        .or(&["sd3 medium", "sd3.5 medium", "sd3.5 large"]),
    rule("flux1", "", 85, &[Any(&[Has("te3:encoder_block_#"), Has("te2:encoder_block_#")])]).only(Adapter),
    rule("sdxl", "", 90, &[Has("te1:text_model*"), Has("te2:text_model*")]).only(Adapter),
    rule("sdxl", "", 85, &[Takes("te2:text_model_encoder_layers_#*", &[1280])]).only(Adapter),
    rule("sd-1", "", 90, &[Takes("te:text_model*", &[768])]).only(Adapter),
    rule("sd-2", "", 90, &[Takes("te:text_model*", &[1024])]).only(Adapter),
    rule("sd-2", "", 75, &[Takes("text:text_model*", &[1024])]).only(Adapter),
    rule(
        "language-model",
        "",
        85,
        &[Any(&[
            Has("^model_layers_#_self_attn_q_proj"),
            Has("^model_layers_#_self_attn_v_proj"),
            Has("^model_layers_#_mlp_down_proj"),
        ])],
    )
    .only(Adapter),
    rule("sd-1", "", 90, &[Any(&[Takes("simo:#", &[768]), Takes("simo_te:#", &[768])])]).only(Adapter),
    rule("sd-2", "", 85, &[Any(&[Takes("simo:#", &[1024]), Takes("simo_te:#", &[1024])])]).only(Adapter),
    rule("flux1", "", 60, &[Has("te1:text_model*")]).only(Adapter).or(&["flux1", "sdxl", "sd3 medium"]),
    rule("sd-1", "", 65, &[Takes("text:text_model*", &[768])]).only(Adapter).or(&["sd-1", "sdxl", "flux1"]),
];

const fn part(
    kind: &'static str,
    base: &'static str,
    variant: &'static str,
    sure: u8,
    tests: &'static [Test],
) -> Rule {
    rule(base, variant, sure, tests).kind(kind)
}

const CONTROL: Test = Any(&[
    Has("controlnet_cond_embedding"),
    Has("input_hint_block"),
    Has("control_model_input_hint_block"),
    Has("zero_convs_#"),
]);
const BLOCKS_OUT: Test =
    Any(&[Has("^controlnet_blocks_#"), Has("^controlnet_x_embedder"), Has("^controlnet_single_blocks_#")]);

/// Models that steer a denoiser. Asked before the denoisers, whose names they share.
pub(super) const CONTROLS: &[Rule] = &[
    part("controlnet", "sd-1", "", 95, &[CONTROL, CONTEXT_768]),
    part("controlnet", "sd-2", "", 95, &[CONTROL, CONTEXT_1024]),
    part("controlnet", "sdxl", "", 95, &[CONTROL, CONTEXT_2048]),
    part("controlnet", "sdxl", "", 80, &[CONTROL, Has("label_emb")]),
    part(
        "controlnet",
        "sd3",
        "",
        90,
        &[
            BLOCKS_OUT,
            Any(&[
                Takes("^transformer_blocks_#_attn_to_q", &[1536]),
                Takes("context_embedder", &[4096]),
                Has("^pos_embed_pos_embed"),
            ]),
            No("^single_transformer_blocks_#"),
            No("^txt_norm"),
        ],
    ),
    part("controlnet", "qwen-image", "", 94, &[BLOCKS_OUT, Has("^txt_norm")]),
    part(
        "controlnet",
        "flux1",
        "",
        92,
        &[
            BLOCKS_OUT,
            Any(&[
                Has("^single_transformer_blocks_#"),
                Takes("^transformer_blocks_#_attn_to_q", &[3072]),
                Has("^double_blocks_#"),
                Has("^x_embedder"),
            ]),
        ],
    ),
    part("controlnet", "z-image", "", 90, &[Has("^control_layers_#")]),
    part("controlnet", "sdxl", "", 85, &[Has("lora_controlnet")]),
    part("controlnet", "", "", 70, &[CONTROL, Has("down_blocks_0_attentions_#")]).or(&["sd-1", "sd-2"]),
    part("controlnet", "", "", 60, &[Any(&[CONTROL, BLOCKS_OUT, Has("control_model*")])]),
    part("ip_adapter", "flux1", "", 92, &[Has("double_blocks_#_processor_ip_adapter*")]),
    part("ip_adapter", "sd-1", "", 92, &[Takes("ip_adapter_#_to_k_ip_weight", &[768])]),
    part("ip_adapter", "sdxl", "", 92, &[Takes("ip_adapter_#_to_k_ip_weight", &[2048])]),
    part("ip_adapter", "", "", 80, &[Any(&[Has("^ip_adapter_#"), Has("image_proj_model*")])]),
    part("flux_redux", "flux1", "redux", 94, &[Has("^redux_down")]),
    part("t2i_adapter", "", "", 85, &[Any(&[Has("^adapter_body_#"), Has("^body_#_resnets_#")])]),
    part(
        "motion-module",
        "sdxl",
        "",
        80,
        &[Has("motion_modules_#"), No("mid_block_motion_modules_#"), No("down_blocks_3_motion_modules_#")],
    ),
    part("motion-module", "sd-1", "", 90, &[Has("motion_modules_#")]),
    part("clip_vision", "siglip", "", 88, &[Has("vision_model_head_attention")]),
    part(
        "clip_vision",
        "clip-vision",
        "",
        88,
        &[Has("vision_model_encoder_layers_#"), No("text_model_encoder_layers_#")],
    ),
];

/// VAEs by the first convolution of the decoder.
pub(super) const VAES: &[Rule] = &[
    part(
        "vae",
        "taesd",
        "",
        92,
        &[Any(&[Has("^decoder_layers_#"), Has("taesd_decoder*")]), No("self_attn*")],
    ),
    part(
        "vae",
        "sana",
        "",
        92,
        &[
            Has("^decoder_up_blocks_#"),
            Has("^encoder_down_blocks_#_#_conv1"),
            Side("^encoder_conv_in_weight", 1, &[3]),
        ],
    ),
    part("vae", "mochi", "", 93, &[Any(&[Has("^encoder_block_in"), Has("^decoder_block_in")])]),
    part(
        "vae",
        "ltx2",
        "",
        90,
        &[Has("^latents_mean"), Side("encoder_down_blocks_#_downsamplers_#_conv_conv_weight", 0, &[64])],
    ),
    part(
        "vae",
        "ltxv",
        "",
        88,
        &[Any(&[
            Has("^latents_mean"),
            Has("decoder_up_blocks_#_res_blocks_#"),
            Has("per_channel_statistics*"),
        ])],
    ),
    part(
        "vae",
        "wan2.2",
        "",
        93,
        &[Any(&[Side("^encoder_conv_in_weight", 1, &[12]), Side("^encoder_conv1_weight", 1, &[12])])],
    ),
    part(
        "vae",
        "",
        "",
        88,
        &[
            Any(&[Has("^decoder_middle_#_residual_#"), Side("^decoder_conv_in_weight", 1, &[16])]),
            Any(&[Side("^decoder_conv_in_weight", 4, &[3]), Has("^decoder_middle_#_residual_#")]),
        ],
    )
    .or(&["wan2.1", "qwen-image"]),
    part("vae", "hunyuan-video", "", 90, &[Has("^decoder_conv_in_conv")]),
    part(
        "vae",
        "flux2",
        "",
        92,
        &[Any(&[Side("decoder_conv_in_weight", 1, &[32]), Has("bn_running_mean")]), Has("decoder_conv_in")],
    ),
    part("vae", "", "", 85, &[Side("decoder_conv_in_weight", 1, &[16])]).or(&["flux1", "sd3", "z-image"]),
    part("vae", "", "", 88, &[Side("decoder_conv_in_weight", 1, &[4])]).or(&["sd-1", "sd-2", "sdxl"]),
    part("vae", "", "", 60, &[Has("decoder_conv_in"), Has("decoder_conv_out*")]),
];

/// Text encoders by layers and width.
pub(super) const TEXT_ENCODERS: &[Rule] = &[
    part("text_encoder", "umt5-xxl", "", 93, &[Side("shared_weight", 0, &[256_384])]),
    part("text_encoder", "umt5-xxl", "", 93, &[Side("token_embedding_weight", 0, &[256_384])]),
    part(
        "text_encoder",
        "t5-xxl",
        "",
        93,
        &[
            Has("encoder_block_23_layer*"),
            Any(&[Takes("DenseReluDense_wi_#*", &[4096]), Takes("DenseReluDense_wi_0", &[4096])]),
        ],
    ),
    part("text_encoder", "t5", "", 80, &[Has("encoder_block_#_layer*")]),
    part(
        "text_encoder",
        "gemma2-2b",
        "",
        92,
        &[Has("post_feedforward_layernorm*"), Side("embed_tokens_weight", 1, &[2304])],
    ),
    part("text_encoder", "gemma", "", 80, &[Has("layers_#_post_feedforward_layernorm*")]),
    part(
        "text_encoder",
        "qwen2.5-vl",
        "",
        90,
        &[Has("visual_blocks_#"), Has("layers_#_self_attn_k_proj_bias")],
    ),
    part("text_encoder", "qwen2.5-vl", "7b", 85, &[Side("layers_#_self_attn_k_proj_bias", 0, &[512])]),
    part("text_encoder", "qwen2.5-vl", "3b", 85, &[Side("layers_#_self_attn_k_proj_bias", 0, &[256])]),
    part(
        "text_encoder",
        "qwen3-0.6b",
        "",
        90,
        &[Has("layers_#_self_attn_q_norm"), Side("embed_tokens_weight", 1, &[1024])],
    ),
    part(
        "text_encoder",
        "qwen3-4b",
        "",
        92,
        &[Has("layers_#_self_attn_q_norm"), Side("embed_tokens_weight", 1, &[2560])],
    ),
    part(
        "text_encoder",
        "qwen3-8b",
        "",
        92,
        &[Has("layers_#_self_attn_q_norm"), Side("embed_tokens_weight", 1, &[4096])],
    ),
    part(
        "text_encoder",
        "clip-l",
        "",
        92,
        &[Has("encoder_layers_11"), No("encoder_layers_12"), Takes("encoder_layers_#_mlp_fc1*", &[768])],
    ),
    part(
        "text_encoder",
        "clip-h",
        "",
        90,
        &[Takes("encoder_layers_#_mlp_fc1*", &[1024]), Has("token_embedding*")],
    ),
    part(
        "text_encoder",
        "clip-g",
        "",
        92,
        &[Has("encoder_layers_31"), Takes("encoder_layers_#_mlp_fc1*", &[1280])],
    ),
    part(
        "text_encoder",
        "llama",
        "",
        70,
        &[Has("layers_#_self_attn_q_proj"), Has("embed_tokens"), Has("layers_#_mlp_gate_proj")],
    ),
];

/// Small things: embeddings and upscalers.
pub(super) const SMALL: &[Rule] = &[
    part("embedding", "sdxl", "", 93, &[Has("^clip_g"), Has("^clip_l")]),
    part(
        "embedding",
        "sd-1",
        "",
        90,
        &[Any(&[Side("^emb_params", 1, &[768]), Side("^string_to_param*", 1, &[768])])],
    ),
    part(
        "embedding",
        "sd-2",
        "",
        90,
        &[Any(&[Side("^emb_params", 1, &[1024]), Side("^string_to_param*", 1, &[1024])])],
    ),
    part("embedding", "", "", 70, &[Any(&[Has("^emb_params"), Has("^string_to_param*")])]),
    part(
        "upscaler",
        "",
        "",
        85,
        &[Any(&[
            Has("params_ema*"),
            Has("body_#_rdb1*"),
            Has("RDB1*"),
            Has("model_#_sub_#_RDB1*"),
            Has("layers_#_residual_group*"),
        ])],
    ),
];
