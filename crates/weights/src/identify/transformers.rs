//! Which diffusion transformer: block containers, their number and their width decide. Rows go from what
//! only one family has to what several share.
//!
//! Generated from the reference implementations' own modules; see `docs` for what is not covered.

use super::rules::Scope::{Adapter, Model};
use super::rules::Test::{Any, Blocks, Gives, Has, No, Side, Takes};
use super::rules::{Rule, rule};

const DOUBLE: &str = "^double_blocks_#";
const SINGLE: &str = "^single_blocks_#";
const JOINT: &str = "^transformer_blocks_#";
const ALONE: &str = "^single_transformer_blocks_#";

/// Families with a name that no other has.
pub(super) const MARKED: &[Rule] = &[
    rule("chroma", "radiance", 97, &[Has("^distilled_guidance_layer"), Has("nerf_blocks_#")]),
    rule("chroma", "chroma1", 97, &[Has("^distilled_guidance_layer")]).only(Model),
    rule("chroma", "", 97, &[Has("^distilled_guidance_layer")]).only(Adapter),
    rule(
        "wan2.2",
        "animate-14b",
        97,
        &[Any(&[Has("face_adapter"), Has("face_encoder"), Has("motion_encoder")]), Has("^blocks_#")],
    ),
    rule("wan2.2", "s2v-14b", 97, &[Any(&[Has("casual_audio_encoder"), Has("audio_injector")])]),
    rule("wan2.1", "vace-1.3b", 95, &[Has("^vace_blocks_#"), Takes("^vace_blocks_#*", &[1536])]),
    rule("wan2.1", "vace-14b", 95, &[Has("^vace_blocks_#")]),
    rule("hidream-o1", "", 90, &[Has("t_embedder1"), Has("x_embedder_proj1")]),
    rule("hidream-i1", "", 97, &[Has("^double_stream_blocks_#")]),
    rule("hidream-i1", "", 95, &[Has("^single_stream_blocks_#")]),
    rule(
        "kandinsky5",
        "lite",
        95,
        &[Has("^visual_transformer_blocks_#"), Takes("visual_transformer_blocks_#*", &[1792, 2048])],
    ),
    rule("kandinsky5", "", 95, &[Has("^visual_transformer_blocks_#")]),
    rule("krea2", "", 95, &[Any(&[Has("^text_fusion"), Has("^txtfusion")])]),
    rule("auraflow", "", 97, &[Any(&[Has("^joint_transformer_blocks_#"), Has("^double_layers_#")])]),
    rule("auraflow", "", 85, &[Has("^single_layers_#")]),
    rule(
        "minimax-h3",
        "",
        95,
        &[Has("token_refiner_refiner_blocks_#"), Takes("token_refiner_refiner_blocks_#*", &[5376])],
    ),
    rule(
        "ltx2",
        "19b",
        97,
        &[
            Has(JOINT),
            Any(&[
                Has("audio_attn1"),
                Has("audio_to_video_attn"),
                Has("audio_adaln_single"),
                Has("^audio_scale_shift_table"),
            ]),
        ],
    ),
    rule("anima", "", 95, &[Has("llm_adapter")]),
    rule("stable-cascade", "stage-c", 90, &[Any(&[Has("^clip_txt_mapper"), Has("prior:down_blocks_#")])]),
    rule("stable-cascade", "stage-b", 90, &[Has("^clip_mapper"), Has("down_blocks_#_#")]),
    rule("stable-audio", "", 85, &[Has("transformer_rotary_pos_emb_inv_freq")]),
    rule("hunyuan-3d", "", 85, &[Has("^latent_in")]),
    rule("omnigen2", "", 90, &[Has("^time_caption_embed"), Has("^ref_image*")]),
    rule("cosmos", "1", 95, &[Any(&[Has("^learnable_pos_embed"), Has("blocks_block0")])]),
    rule("ideogram4", "", 90, &[Has("embed_image_indicator")]),
    rule("ace-step", "1.5", 80, &[Has("lyric_encoder"), No("lyric_proj")]),
    rule("ace-step", "", 90, &[Any(&[Has("^lyric_proj"), Has("^lyric_embs"), Has("^genre_embedder")])]),
    rule(
        "cogvideox",
        "2b",
        90,
        &[Has("^patch_embed_text_proj"), Has("attn1_norm_q"), Takes("attn1_to_q", &[1920])],
    ),
];

/// BFL's names: `double_blocks` and `single_blocks`. Shared by FLUX.1, FLUX.2, HunyuanVideo and Chroma.
pub(super) const BFL: &[Rule] = &[
    rule(
        "hunyuan-image-2.1",
        "",
        95,
        &[
            Any(&[
                Has("^byt5_in"),
                Takes("^double_blocks_#_img_attn*", &[3584]),
                Takes("^single_blocks_#_linear1", &[3584]),
            ]),
            Any(&[Has(DOUBLE), Has(SINGLE)]),
        ],
    ),
    rule(
        "hunyuan-video",
        "i2v",
        95,
        &[Has("^txt_in_individual_token_refiner"), Side("^img_in_proj_weight", 1, &[33])],
    ),
    rule(
        "hunyuan-video",
        "skyreels-i2v",
        95,
        &[Has("^txt_in_individual_token_refiner"), Side("^img_in_proj_weight", 1, &[32])],
    ),
    rule(
        "hunyuan-video",
        "t2v",
        95,
        &[Has("^txt_in_individual_token_refiner"), Side("^img_in_proj_weight", 1, &[16])],
    ),
    rule(
        "hunyuan-video",
        "",
        95,
        &[Any(&[
            Has("^txt_in_individual_token_refiner"),
            Has("double_blocks_#_img_mod_linear"),
            Has("double_blocks_#_img_mlp_fc1"),
            Has("single_blocks_#_modulation_linear"),
            Blocks(DOUBLE, 20, 20),
            Blocks(SINGLE, 39, 40),
        ])],
    ),
    rule(
        "flux2",
        "dev",
        95,
        &[Any(&[
            Takes("^double_blocks_#_img_attn*", &[6144]),
            Takes("^single_blocks_#_linear1", &[6144]),
            Blocks(SINGLE, 41, 48),
        ])],
    ),
    rule(
        "flux2",
        "klein-9b",
        95,
        &[Any(&[Takes("^double_blocks_#_img_attn*", &[4096]), Takes("^single_blocks_#_linear1", &[4096])])],
    ),
    rule(
        "flux2",
        "klein-4b",
        92,
        &[Any(&[
            Gives("double_blocks_#_img_mlp_0", &[18432]),
            Gives("double_blocks_#_txt_mlp_0", &[18432]),
            Takes("double_blocks_#_img_mlp_2", &[9216]),
            Takes("double_blocks_#_txt_mlp_2", &[9216]),
            Gives("single_blocks_#_linear1", &[27648]),
            Takes("single_blocks_#_linear2", &[12288]),
        ])],
    ),
    rule(
        "flux2",
        "",
        85,
        &[Any(&[Has("^double_stream_modulation_img*"), Has("^single_stream_modulation*")])],
    ),
    rule("flux1", "fill", 95, &[Has(DOUBLE), Side("^img_in_weight", 1, &[384])]).only(Model),
    rule("flux1", "depth/canny", 95, &[Has(DOUBLE), Side("^img_in_weight", 1, &[128])])
        .only(Model)
        .or(&["flux1 depth", "flux1 canny"]),
    rule("flux1", "flex.2", 92, &[Blocks(DOUBLE, 8, 8), Side("^img_in_weight", 1, &[196])]).only(Model),
    rule("flux1", "flex.1/lite-8B-like", 90, &[Blocks(DOUBLE, 8, 8), Has(SINGLE)]).only(Model),
    rule("flux1", "schnell", 93, &[Blocks(DOUBLE, 19, 19), No("^guidance_in")]).only(Model),
    rule("flux1", "dev", 93, &[Blocks(DOUBLE, 19, 19), Has("^guidance_in")]).only(Model).or(&[
        "flux1 dev",
        "flux1 kontext",
        "flux1 krea-dev",
    ]),
    rule("flux1", "", 95, &[Any(&[Has("^double_blocks_#_processor"), Has("^single_blocks_#_processor")])])
        .only(Adapter),
    rule(
        "flux1",
        "",
        93,
        &[Any(&[
            Has("double_blocks_#_img_mod_lin"),
            Has("double_blocks_#_txt_mod_lin"),
            Has("single_blocks_#_modulation_lin"),
            Has("^guidance_in"),
        ])],
    )
    .only(Adapter),
    rule(
        "flux1",
        "",
        82,
        &[Any(&[
            Gives("double_blocks_#_img_mlp_0", &[12288]),
            Gives("double_blocks_#_txt_mlp_0", &[12288]),
            Gives("single_blocks_#_linear1", &[21504]),
            Takes("single_blocks_#_linear2", &[15360]),
            Blocks(DOUBLE, 9, 19),
            Blocks(SINGLE, 25, 38),
        ])],
    )
    .only(Adapter)
    .or(&["flux1", "chroma"]),
    rule("flux1", "", 75, &[Blocks(DOUBLE, 6, 19), Takes("^double_blocks_#_img_attn*", &[3072])])
        .only(Adapter)
        .or(&["flux1", "chroma"]),
    rule(
        "",
        "",
        50,
        &[
            Any(&[Has(DOUBLE), Has(SINGLE)]),
            Any(&[Takes("^double_blocks_#*", &[3072]), Takes("^single_blocks_#*", &[3072])]),
        ],
    )
    .only(Adapter)
    .or(&["flux1", "flux2 klein-4b", "chroma", "hunyuan-video"]),
];

/// diffusers' names: `transformer_blocks` and `single_transformer_blocks`.
pub(super) const DIFFUSERS: &[Rule] = &[
    rule(
        "flux2",
        "dev",
        95,
        &[
            Any(&[
                Has("^double_stream_modulation_img*"),
                Has("single_transformer_blocks_#_attn_to_qkv_mlp_proj"),
                Has("transformer_blocks_#_ff_linear_in"),
            ]),
            Any(&[
                Takes("attn_to_q", &[6144]),
                Takes("attn_to_qkv_mlp_proj", &[6144]),
                Takes("ff_linear_in", &[6144]),
            ]),
        ],
    ),
    rule(
        "flux2",
        "klein-9b",
        95,
        &[
            Any(&[
                Has("^double_stream_modulation_img*"),
                Has("single_transformer_blocks_#_attn_to_qkv_mlp_proj"),
                Has("transformer_blocks_#_ff_linear_in"),
            ]),
            Any(&[
                Takes("attn_to_q", &[4096]),
                Takes("attn_to_qkv_mlp_proj", &[4096]),
                Takes("ff_linear_in", &[4096]),
            ]),
        ],
    ),
    rule(
        "flux2",
        "klein-4b",
        95,
        &[
            Any(&[
                Has("^double_stream_modulation_img*"),
                Has("single_transformer_blocks_#_attn_to_qkv_mlp_proj"),
                Has("transformer_blocks_#_ff_linear_in"),
            ]),
            Any(&[
                Takes("attn_to_q", &[3072]),
                Takes("attn_to_qkv_mlp_proj", &[3072]),
                Takes("ff_linear_in", &[3072]),
            ]),
        ],
    ),
    rule("hunyuan-video", "framepack", 96, &[Has("^clean_x_embedder")]),
    rule(
        "hunyuan-video-1.5",
        "",
        95,
        &[Any(&[Has("^cond_type_embed"), Has("^image_embedder_norm_in")]), Has(JOINT)],
    ),
    rule(
        "hunyuan-image-2.1",
        "",
        95,
        &[
            Has("context_embedder*"),
            Any(&[
                Takes("^transformer_blocks_#_attn_to_q", &[3584]),
                Takes("^single_transformer_blocks_#_attn_to_q", &[3584]),
            ]),
        ],
    ),
    rule(
        "hunyuan-image-2.1",
        "",
        90,
        &[Any(&[
            Takes("^transformer_blocks_#_attn_to_*", &[3584]),
            Takes("^single_transformer_blocks_#_attn_to_*", &[3584]),
        ])],
    ),
    rule(
        "hunyuan-video",
        "i2v",
        95,
        &[Has("^context_embedder_token_refiner"), Side("^x_embedder_proj_weight", 1, &[32, 33])],
    ),
    rule(
        "hunyuan-video",
        "t2v",
        95,
        &[Has("^context_embedder_token_refiner"), Side("^x_embedder_proj_weight", 1, &[16])],
    ),
    rule("hunyuan-video", "", 93, &[Has("^context_embedder_token_refiner")])
        .or(&["hunyuan-video", "hunyuan-video framepack"]),
    rule(
        "hunyuan-video",
        "",
        88,
        &[
            Any(&[Blocks(ALONE, 39, 40), Blocks(JOINT, 20, 20)]),
            Takes("^single_transformer_blocks_#_attn_to_q", &[3072]),
        ],
    )
    .or(&["hunyuan-video", "hunyuan-video framepack"]),
    rule(
        "ovis-image",
        "",
        94,
        &[Any(&[Has("^context_embedder_norm"), Blocks(ALONE, 27, 27)]), Has(JOINT), Has(ALONE)],
    ),
    rule("bria-fibo", "", 95, &[Has("^caption_projection_#"), Has(ALONE)]),
    rule("longcat-image", "", 94, &[Has(ALONE), Takes("^context_embedder_weight", &[3584])]).only(Model),
    rule("flux1", "fill", 95, &[Has(ALONE), Takes("^x_embedder_weight", &[384])]).only(Model),
    rule("flux1", "depth/canny", 95, &[Has(ALONE), Takes("^x_embedder_weight", &[128])])
        .only(Model)
        .or(&["flux1 depth", "flux1 canny"]),
    rule(
        "flux1",
        "schnell",
        92,
        &[
            Blocks(JOINT, 19, 19),
            Blocks(ALONE, 38, 38),
            Has("^x_embedder"),
            No("^time_text_embed_guidance_embedder"),
        ],
    )
    .only(Model),
    rule(
        "flux1",
        "dev",
        92,
        &[Blocks(JOINT, 19, 19), Blocks(ALONE, 38, 38), Has("^time_text_embed_guidance_embedder")],
    )
    .only(Model)
    .or(&["flux1 dev", "flux1 kontext", "flux1 krea-dev"]),
    rule(
        "flux2",
        "dev",
        88,
        &[Any(&[
            Takes("^single_transformer_blocks_#_*", &[6144]),
            Takes("^transformer_blocks_#_attn_add_*", &[6144]),
        ])],
    ),
    rule("flux2", "klein-9b", 80, &[Has(ALONE), Takes("^transformer_blocks_#_attn_to_*", &[4096])]),
    rule(
        "flux1",
        "",
        70,
        &[
            Any(&[Has(ALONE), Blocks(JOINT, 19, 19)]),
            Any(&[Takes("^single_transformer_blocks_#*", &[3072]), Takes("^transformer_blocks_#*", &[3072])]),
            No("transformer_blocks_#_attn1"),
        ],
    )
    .only(Adapter)
    .or(&["flux1", "longcat-image", "chroma", "bria-fibo"]),
    // No single blocks from here on.
    rule("qwen-image", "layered", 95, &[Has("time_text_embed_addition_t_embedding")]),
    rule(
        "qwen-image-2.1",
        "",
        93,
        &[
            Has(JOINT),
            Any(&[
                Takes("^transformer_blocks_#_attn_to_q", &[4096]),
                Takes("^transformer_blocks_#_attn_to_k", &[4096]),
            ]),
            No(ALONE),
            No("transformer_blocks_#_attn1"),
        ],
    ),
    rule(
        "qwen-image",
        "",
        95,
        &[
            Any(&[
                Has("transformer_blocks_#_img_mlp_net"),
                Has("transformer_blocks_#_img_mod_1"),
                Has("transformer_blocks_#_txt_mod_1"),
                Has("transformer_blocks_#_img_mod"),
            ]),
            Has(JOINT),
        ],
    )
    .or(&["qwen-image", "qwen-image edit"]),
    rule(
        "qwen-image",
        "",
        88,
        &[
            Blocks(JOINT, 21, 60),
            Takes("^transformer_blocks_#_attn_to_*", &[3072]),
            No(ALONE),
            No("transformer_blocks_#_attn1"),
        ],
    )
    .or(&["qwen-image", "qwen-image edit"]),
    rule(
        "hunyuan-video-1.5",
        "",
        92,
        &[Takes("^transformer_blocks_#_attn_to_*", &[2048]), No("transformer_blocks_#_attn1"), No(ALONE)],
    ),
    rule("sd3.5", "large", 94, &[Takes("^transformer_blocks_#_attn_to_*", &[2432])]),
    rule(
        "sd3.5",
        "medium",
        94,
        &[
            Takes("^transformer_blocks_#_attn2_to_*", &[1536]),
            Has("transformer_blocks_#_attn_add_q_proj"),
            No("transformer_blocks_#_attn1"),
        ],
    ),
    rule(
        "sd3.5",
        "medium",
        93,
        &[Takes("^transformer_blocks_#_attn_to_*", &[1536]), Has("transformer_blocks_#_attn_norm_added_q")],
    )
    .only(Model),
    rule("sd3", "medium", 93, &[Takes("^transformer_blocks_#_attn_to_*", &[1536])]).only(Model),
    rule(
        "sd3",
        "medium",
        80,
        &[Takes("^transformer_blocks_#_attn_to_*", &[1536]), No("transformer_blocks_#_attn1")],
    )
    .only(Adapter)
    .or(&["sd3 medium", "sd3.5 medium"]),
    rule("ace-step", "1", 90, &[Takes("^transformer_blocks_#_attn_to_q", &[2560])]),
    rule(
        "mochi",
        "",
        95,
        &[Any(&[
            Takes("transformer_blocks_#_attn1_add_k_proj", &[1536]),
            Takes("transformer_blocks_#_attn1_add_q_proj", &[1536]),
        ])],
    ),
    rule("mochi", "", 90, &[Any(&[Has("^pos_frequencies"), Has("blocks_#_attn_qkv_x"), Has("^t5_yproj")])]),
    rule(
        "pixart-alpha",
        "",
        94,
        &[Takes("^transformer_blocks_#_attn1_to_q", &[1152]), Has("^adaln_single_emb_resolution_embedder")],
    )
    .only(Model),
    rule("pixart-sigma", "", 93, &[Takes("^transformer_blocks_#_attn1_to_q", &[1152])]).only(Model),
    rule("pixart", "", 90, &[Takes("^transformer_blocks_#_attn1_to_*", &[1152])])
        .only(Adapter)
        .or(&["pixart-alpha", "pixart-sigma"]),
    rule("sana", "1.6b", 94, &[Takes("^transformer_blocks_#_attn1_to_*", &[2240])]),
    rule("sana", "0.6b", 85, &[Takes("^transformer_blocks_#_attn1_to_q", &[1152]), Has("^caption_norm")]),
    rule("cogvideox", "2b", 92, &[Takes("^transformer_blocks_#_attn1_to_*", &[1920])]),
    rule(
        "cogvideox",
        "5b",
        90,
        &[
            Takes("^transformer_blocks_#_attn1_to_*", &[3072]),
            No("transformer_blocks_#_attn2"),
            Blocks(JOINT, 1, 42),
        ],
    ),
    rule("cogview4", "", 94, &[Has("^time_condition_embed")]),
    rule(
        "cogview4",
        "",
        85,
        &[
            Takes("^transformer_blocks_#_attn1_to_*", &[4096]),
            No("transformer_blocks_#_attn2"),
            Blocks(JOINT, 1, 28),
        ],
    ),
    rule(
        "ltxv",
        "13b",
        94,
        &[Takes("^transformer_blocks_#_attn1_to_*", &[4096]), Has("transformer_blocks_#_attn2")],
    )
    .only(Model),
    rule("ltxv", "2b", 94, &[Takes("^transformer_blocks_#_attn1_to_*", &[2048])]),
    rule(
        "ltxv",
        "13b",
        78,
        &[Takes("^transformer_blocks_#_attn1_to_*", &[4096]), Has("transformer_blocks_#_attn2")],
    )
    .only(Adapter)
    .or(&["ltxv 13b", "ltx2 19b"]),
    rule("", "", 50, &[Takes("^transformer_blocks_#_attn1_to_*", &[4096])])
        .only(Adapter)
        .or(&["ltxv 13b", "ltx2 19b", "cogview4"]),
    rule("ltxv", "13b", 85, &[Has("^patchify_proj")]),
    rule("minimax-h3", "", 90, &[Takes("^transformer_blocks_#*", &[5376])]),
];

/// Names with `blocks`, `layers` or `joint_blocks` alone.
pub(super) const PLAIN: &[Rule] = &[
    rule("sd3.5", "large", 95, &[Has("^joint_blocks_#"), Takes("^joint_blocks_#*", &[2432])]),
    rule("sd3.5", "medium", 95, &[Has("joint_blocks_#_x_block_attn2")]),
    rule("sd3.5", "medium", 92, &[Has("^joint_blocks_#"), Has("joint_blocks_#_x_block_attn_ln_q")]),
    rule("sd3", "medium", 93, &[Has("^joint_blocks_#")]).only(Model),
    rule("sd3", "medium", 80, &[Takes("^joint_blocks_#*", &[1536])])
        .only(Adapter)
        .or(&["sd3 medium", "sd3.5 medium"]),
    rule("mochi", "", 95, &[Has("^blocks_#_attn_qkv_x")]),
    rule(
        "hunyuan-dit",
        "",
        95,
        &[Any(&[
            Has("^blocks_#_attn1_Wqkv"),
            Takes("^blocks_#_attn1_to_q", &[1408]),
            Has("^text_embedding_padding"),
        ])],
    ),
    rule(
        "cosmos-predict2",
        "2b",
        93,
        &[Takes("^blocks_#_self_attn_q_proj", &[2048]), Has("^t_embedding_norm")],
    )
    .only(Model),
    rule(
        "cosmos-predict2",
        "2b",
        85,
        &[
            Takes("^blocks_#_self_attn_*", &[2048]),
            Any(&[
                Has("blocks_#_self_attn_q_proj"),
                Has("blocks_#_mlp_layer1"),
                Has("blocks_#_self_attn_output_proj"),
            ]),
        ],
    )
    .or(&["cosmos-predict2 2b", "anima"]),
    rule(
        "cosmos-predict2",
        "14b",
        93,
        &[
            Takes("^blocks_#_self_attn_*", &[5120]),
            Any(&[Has("blocks_#_self_attn_q_proj"), Has("blocks_#_mlp_layer1")]),
        ],
    ),
    rule(
        "wan2.1",
        "fun-control-14b",
        95,
        &[
            Has("^ref_conv"),
            Side("^patch_embedding_weight", 1, &[48]),
            Takes("^blocks_#_self_attn_q", &[5120]),
        ],
    ),
    rule("wan2.1", "flf2v-14b", 95, &[Has("^img_emb_emb_pos"), Takes("^blocks_#_self_attn_q", &[5120])]),
    rule("wan2.2", "fun-control-a14b", 95, &[Has("^ref_conv"), Side("^patch_embedding_weight", 1, &[52])]),
    rule(
        "wan2.2",
        "ti2v-5b",
        95,
        &[Any(&[
            Takes("^blocks_#_self_attn_*", &[3072]),
            Takes("^blocks_#_attn1_to_*", &[3072]),
            Takes("^blocks_#_ffn_#", &[3072]),
        ])],
    ),
    rule(
        "wan2.1",
        "fun-control-1.3b",
        94,
        &[Side("^patch_embedding_weight", 1, &[48]), Takes("^blocks_#_self_attn_q", &[1536])],
    ),
    rule(
        "wan2.1",
        "fun-inp-1.3b",
        94,
        &[Side("^patch_embedding_weight", 1, &[36]), Takes("^blocks_#_self_attn_q", &[1536])],
    ),
    rule(
        "wan2.1",
        "t2v-1.3b",
        94,
        &[Any(&[
            Takes("^blocks_#_self_attn_*", &[1536]),
            Takes("^blocks_#_attn1_to_*", &[1536]),
            Takes("^blocks_#_cross_attn_*", &[1536]),
        ])],
    ),
    rule(
        "wan2.1",
        "i2v-14b",
        93,
        &[
            Any(&[
                Has("blocks_#_cross_attn_k_img"),
                Has("blocks_#_attn2_add_k_proj"),
                Has("^img_emb_proj"),
                Has("^condition_embedder_image_embedder"),
            ]),
            Takes("^blocks_#*", &[5120]),
        ],
    )
    .or(&["wan2.1 i2v-14b", "wan2.1 fun-inp-14b"]),
    rule(
        "wan2.2",
        "i2v-a14b",
        94,
        &[Side("^patch_embedding_weight", 1, &[36]), Takes("^blocks_#*", &[5120])],
    )
    .only(Model)
    .or(&["wan2.2 i2v-a14b high", "wan2.2 i2v-a14b low"]),
    rule(
        "wan",
        "t2v-14b",
        90,
        &[Any(&[
            Takes("^blocks_#_self_attn_*", &[5120]),
            Takes("^blocks_#_cross_attn_*", &[5120]),
            Takes("^blocks_#_ffn*", &[5120]),
            Takes("^blocks_#_attn1_to_*", &[5120]),
            Takes("^blocks_#_attn2_to_*", &[5120]),
        ])],
    )
    .or(&["wan2.1 t2v-14b", "wan2.2 t2v-a14b", "wan2.2 i2v-a14b"]),
    rule(
        "lumina2",
        "",
        94,
        &[Any(&[
            Takes("^layers_#_attention_*", &[2304]),
            Takes("^layers_#_attn_*", &[2304]),
            Takes("^layers_#_feed_forward_*", &[2304]),
        ])],
    ),
    rule(
        "z-image",
        "",
        94,
        &[Any(&[
            Takes("^layers_#_attention_*", &[3840]),
            Takes("^layers_#_feed_forward_*", &[3840]),
            Has("^x_pad_token"),
        ])],
    )
    .or(&["z-image turbo", "z-image base"]),
    rule(
        "ideogram4",
        "",
        93,
        &[Any(&[Takes("^layers_#_attention_*", &[4608]), Takes("^layers_#_feed_forward_*", &[4608])])],
    ),
    rule("ernie-image", "", 93, &[Any(&[Has("^layers_#_self_attention"), Has("^layers_#_mlp_linear_fc2")])]),
    rule("omnigen", "1", 93, &[Has("layers_#_mlp_gate_up_proj"), Takes("^layers_#*", &[3072])]),
    rule("omnigen", "1", 90, &[Has("^patch_embedding_output_image_proj")]),
    rule("ace-step", "", 90, &[Takes("^layers_#_self_attn_to_q", &[2048])]),
    rule(
        "z-image",
        "",
        85,
        &[Any(&[Takes("^noise_refiner_#*", &[3840]), Takes("^context_refiner_#*", &[3840])])],
    ),
];
