"""Writes an adapter with the modules that a trainer gives a real network: `adapters.py sdxl|flux|wan RANK FILE`.

Names and shapes are those of the networks; the numbers are noise of a trained file's size.
"""

import json
import struct
import sys

import numpy

BLOCK = 1 << 22  # numbers of noise that are drawn; every tensor is a run of them


def sdxl():
    """kohya's 722 modules of the UNet."""
    places = [(f"input_blocks_{number}_1", width, depth) for number, width, depth in
              ((4, 640, 2), (5, 640, 2), (7, 1280, 10), (8, 1280, 10))]
    places.append(("middle_block_1", 1280, 10))
    places += [(f"output_blocks_{number}_1", 1280 if number < 3 else 640, 10 if number < 3 else 2) for number in range(6)]
    for place, width, depth in places:
        start = f"lora_unet_{place}"
        yield f"{start}_proj_in", width, width
        yield f"{start}_proj_out", width, width
        for number in range(depth):
            block = f"{start}_transformer_blocks_{number}"
            for part, context in (("attn1", width), ("attn2", 2048)):
                yield f"{block}_{part}_to_q", width, width
                yield f"{block}_{part}_to_k", width, context
                yield f"{block}_{part}_to_v", width, context
                yield f"{block}_{part}_to_out_0", width, width
            yield f"{block}_ff_net_0_proj", 8 * width, width
            yield f"{block}_ff_net_2", width, 4 * width


def flux():
    """The 494 linear layers of all blocks in diffusers' names."""
    width = 3072
    for number in range(19):
        block = f"transformer.transformer_blocks.{number}"
        for part in ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj", "to_out.0", "to_add_out"):
            yield f"{block}.attn.{part}", width, width
        for part in ("ff", "ff_context"):
            yield f"{block}.{part}.net.0.proj", 4 * width, width
            yield f"{block}.{part}.net.2", width, 4 * width
        yield f"{block}.norm1.linear", 6 * width, width
        yield f"{block}.norm1_context.linear", 6 * width, width
    for number in range(38):
        block = f"transformer.single_transformer_blocks.{number}"
        for part in ("to_q", "to_k", "to_v"):
            yield f"{block}.attn.{part}", width, width
        yield f"{block}.proj_mlp", 4 * width, width
        yield f"{block}.proj_out", width, 5 * width
        yield f"{block}.norm.linear", 3 * width, width


def wan():
    """The 400 linear layers of the 14B's blocks."""
    width = 5120
    for number in range(40):
        block = f"diffusion_model.blocks.{number}"
        for attention in ("self_attn", "cross_attn"):
            for part in "qkvo":
                yield f"{block}.{attention}.{part}", width, width
        yield f"{block}.ffn.0", 13824, width
        yield f"{block}.ffn.2", width, 13824


def tensors(kind, rank):
    """Name, shape, of every tensor."""
    kohya = kind == "sdxl"
    down, up = ("lora_down.weight", "lora_up.weight") if kohya else ("lora_A.weight", "lora_B.weight")
    for name, out, inner in {"sdxl": sdxl, "flux": flux, "wan": wan}[kind]():
        if kohya:
            yield f"{name}.alpha", ()
        yield f"{name}.{down}", (rank, inner)
        yield f"{name}.{up}", (out, rank)


def noise(is_brain):
    """Bits of sixteen: half precision, or the upper half of single precision."""
    drawn = numpy.random.default_rng(7).normal(0, 0.02, BLOCK).astype(numpy.float32)
    return (drawn.view(numpy.uint32) >> 16).astype("<u2") if is_brain else drawn.astype("<f2").view("<u2")


def main():
    kind, rank, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    dtype, header, end = "BF16" if kind == "wan" else "F16", {}, 0
    for name, shape in tensors(kind, rank):
        size = 2 * int(numpy.prod(shape, dtype=numpy.int64))
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    bits, place = noise(dtype == "BF16"), 0
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for entry in header.values():
            left = (entry["data_offsets"][1] - entry["data_offsets"][0]) // 2
            while left:
                count = min(left, BLOCK - place)
                bits[place:place + count].tofile(file)
                place, left = (place + count) % BLOCK, left - count


main()
