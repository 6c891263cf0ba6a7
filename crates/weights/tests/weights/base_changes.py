"""Computes what adapters make of base weights whole, in float64, and prints the norms as JSON: `base_changes.py FOLDER`.

Each algorithm is spread out as its trainer applies it: LyCORIS for DoRA, IA3, GLoRA, OFT and BOFT, PEFT for its own
IA3, OFT and BOFT. `base.safetensors` in the folder has the weights.
"""

import json
import os
import sys

import numpy
from safetensors.numpy import load_file


def flat(tensor):
    return tensor.reshape(tensor.shape[0], -1)


def cayley(skew):
    one = numpy.eye(len(skew))
    return (one + skew) @ numpy.linalg.inv(one - skew)


def diagonal(blocks):
    side = blocks[0].shape[0]
    whole = numpy.zeros((len(blocks) * side, len(blocks) * side))
    for place, block in enumerate(blocks):
        whole[place * side : (place + 1) * side, place * side : (place + 1) * side] = block
    return whole


def scale(part, rank):
    return float(part["alpha"]) / rank if "alpha" in part else 1.0


def dora(part, weight):
    up, down = flat(part["lora_up.weight"]), flat(part["lora_down.weight"])
    whole = weight + (scale(part, len(down)) * (up @ down)).reshape(weight.shape)
    stored = part["dora_scale"]
    axes = tuple(axis for axis in range(weight.ndim) if stored.shape[axis] == 1)
    return whole / numpy.sqrt((whole**2).sum(axis=axes, keepdims=True)) * stored


def multiplied(part, weight):
    kernel = (1,) * (weight.ndim - 2)
    if "ia3_l" in part:
        return weight * part["ia3_l"].reshape(part["ia3_l"].shape[:2] + kernel)
    line = part["weight"].reshape(-1)
    shape = (1, -1) + kernel if part["on_input"] else (-1, 1) + kernel
    return weight * (1 + line.reshape(shape))


def lycoris_oft(part, weight):
    stored = part["oft_blocks"]
    skew = stored - stored.swapaxes(-1, -2)
    cap = float(part.get("alpha", 0.0)) * len(weight)
    if 0 < cap < numpy.linalg.norm(skew):
        skew = skew * cap / numpy.linalg.norm(skew)
    if stored.ndim == 3:
        turned = diagonal([cayley(block) for block in skew]).T @ flat(weight)
    else:
        turned = flat(weight)
        side = stored.shape[-1]
        for factor, blocks in enumerate(skew):
            run = 2**factor * (side // 2)
            columns = turned.shape[1]
            turned = turned.reshape(-1, 2, run, columns).swapaxes(1, 2).reshape(-1, columns)
            turned = diagonal([cayley(block) for block in blocks]) @ turned
            turned = turned.reshape(-1, run, 2, columns).swapaxes(1, 2).reshape(-1, columns)
    if "rescale" in part:
        turned = turned * part["rescale"].reshape(-1, 1)
    return turned.reshape(weight.shape)


def triangle(line):
    side = int((1 + (1 + 8 * len(line)) ** 0.5) / 2)
    skew = numpy.zeros((side, side))
    skew[numpy.triu_indices(side, 1)] = line
    return skew - skew.T


def peft_oft(part, weight):
    blocks = [cayley(triangle(line)) for line in part["oft_R.weight"]]
    if len(blocks) == 1:
        blocks = blocks * (flat(weight).shape[1] // len(blocks[0]))
    return (flat(weight) @ diagonal(blocks)).reshape(weight.shape)


def permutation(length, side, factor):
    """Of each group of 2^factor blocks the halves at even places first, then those at odd ones."""
    group, half = side * 2**factor, side // 2
    halves = numpy.arange(group).reshape(-1, half)
    sorted_group = numpy.concatenate([halves[0::2], halves[1::2]]).reshape(-1)
    indices = numpy.concatenate([start + sorted_group for start in range(0, length, group)])
    matrix = numpy.zeros((length, length))
    matrix[numpy.arange(length), indices] = 1
    return matrix


def peft_boft(part, weight):
    stored = part["boft_R"]
    whole = numpy.eye(flat(weight).shape[1])
    for factor, blocks in enumerate(stored):
        skew = (blocks - blocks.swapaxes(-1, -2)) / 2
        one = numpy.eye(blocks.shape[-1])
        rotation = diagonal([(one - block) @ numpy.linalg.inv(one + block) for block in skew])
        if len(stored) > 1:
            move = permutation(len(whole), blocks.shape[-1], factor)
            rotation = move @ rotation @ move.T
        whole = rotation @ whole
    return ((whole @ flat(weight).T).T * part["boft_s"]).reshape(weight.shape)


def glora(part, weight):
    one, two = part["a1.weight"], part["a2.weight"]
    left, right = part["b1.weight"], part["b2.weight"]
    rank = min(one.shape[:2])
    if rank != two.shape[0]:  # Old files have the inner factors first.
        one, two, left, right = two, one, right, left
    mixer = flat(one) @ flat(two)
    mixed = numpy.einsum("oi...,ij->oj...", weight, mixer)
    return weight + scale(part, rank) * (mixed + (flat(left) @ flat(right)).reshape(weight.shape))


def changed(part, weight):
    """The weight as the module leaves it."""
    if "dora_scale" in part:
        return dora(part, weight)
    if "ia3_l" in part or "on_input" in part:
        return multiplied(part, weight)
    if "oft_blocks" in part:
        return lycoris_oft(part, weight)
    if "oft_R.weight" in part:
        return peft_oft(part, weight)
    if "boft_R" in part:
        return peft_boft(part, weight)
    if "a1.weight" in part:
        return glora(part, weight)
    if "diff" in part:
        return weight + part["diff"]
    up, down = flat(part["lora_up.weight"]), flat(part["lora_down.weight"])
    return weight + (scale(part, len(down)) * (up @ down)).reshape(weight.shape)


def main():
    folder = sys.argv[1]
    weights = load_file(os.path.join(folder, "base.safetensors"))
    modules = {}
    for name, tensor in load_file(os.path.join(folder, "adapter.safetensors")).items():
        module, _, end = name.partition(".")
        modules.setdefault(module, {})[end] = tensor.astype(numpy.float64)
    answer = {}
    for module, part in modules.items():
        weight = weights[module.removeprefix("lora_unet_") + ".weight"].astype(numpy.float64)
        change = flat(changed(part, weight) - weight)
        answer[module] = {
            "base_frobenius": numpy.linalg.norm(weight),
            "base_spectral": numpy.linalg.norm(flat(weight), 2),
            "change_frobenius": numpy.linalg.norm(change),
            "change_spectral": numpy.linalg.norm(change, 2),
        }
    print(json.dumps(answer))


main()
