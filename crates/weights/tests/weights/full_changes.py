"""Computes the changes of adapters whole, in float64, and prints what they measure as JSON: `full_changes.py FOLDER`.

Nothing here knows how the program computes them: every change is spread out as its algorithm defines it, and numpy's
singular value decomposition does the rest.
"""

import json
import os
import sys

import numpy
from safetensors.numpy import load_file


def modules(tensors):
    """The tensors by module and end of name."""
    found = {}
    for name, tensor in tensors.items():
        module, _, end = name.partition(".")
        found.setdefault(module, {})[end] = tensor.astype(numpy.float64)
    return found


def flat(tensor):
    return tensor.reshape(tensor.shape[0], -1)


def core(middle, outer, inner):
    """Tucker: outer (out, r), middle (r, r, kh, kw), inner (r, in)."""
    return numpy.einsum("or,rskl,si->oikl", outer, middle, inner)


def half(part, number):
    left, right = part[f"hada_w{number}_a"], part[f"hada_w{number}_b"]
    if f"hada_t{number}" in part:
        return flat(core(part[f"hada_t{number}"], left.T, right))
    return left @ right


def block(part, number):
    """One factor of a LoKr, with its kernel when it has one."""
    if f"lokr_w{number}" in part:
        return part[f"lokr_w{number}"]
    left, right = part[f"lokr_w{number}_a"], part[f"lokr_w{number}_b"]
    if f"lokr_t{number}" in part:
        return core(part[f"lokr_t{number}"], left.T, right)
    return left @ right


def kronecker(first, second):
    while first.ndim < second.ndim:
        first = first[..., None]
    return flat(numpy.kron(first, second))


def rank(part):
    for end in ("lora_down.weight", "lora_A", "hada_w1_b", "lokr_w2_b", "lokr_w1_b"):
        if end in part:
            return part[end].shape[0]
    return part["a2.weight"].shape[0] if "a2.weight" in part else None


def scale(part):
    divisor = rank(part)
    return float(part["alpha"]) / divisor if "alpha" in part and divisor else 1.0


def change(part):
    """The whole change without its scale; none when it needs the base."""
    if "lora_mid.weight" in part:
        up, down = flat(part["lora_up.weight"]), flat(part["lora_down.weight"])
        return flat(core(part["lora_mid.weight"], up, down))
    if "lora_up.weight" in part:
        return flat(part["lora_up.weight"]) @ flat(part["lora_down.weight"])
    if "lora_E" in part:
        return part["lora_B"] @ numpy.diag(part["lora_E"][:, 0]) @ part["lora_A"]
    if "hada_w1_a" in part:
        return half(part, 1) * half(part, 2)
    if "lokr_w1" in part or "lokr_w1_a" in part:
        return kronecker(block(part, 1), block(part, 2))
    if "b1.weight" in part:
        return flat(part["b1.weight"]) @ flat(part["b2.weight"])
    if "diff" in part:
        return flat(part["diff"])
    if "w_norm" in part:
        return part["w_norm"][:, None]
    return None


def spectrum(matrix):
    values = numpy.linalg.svd(matrix, compute_uv=False)
    energies = values**2 / (values**2).sum()
    kept = energies[energies > 0]
    sums = (values / values.sum())[values > 0]
    return {
        "frobenius": numpy.linalg.norm(matrix),
        "values": values.tolist(),
        "nuclear": values.sum(),
        "stable_rank": 1 / energies[0],
        "effective_rank": numpy.exp(-(kept * numpy.log(kept)).sum()),
        "effective_rank_l1": numpy.exp(-(sums * numpy.log(sums)).sum()),
    }


def skews(part):
    """The skew matrices of all blocks."""
    if "oft_R.weight" in part:
        for line in part["oft_R.weight"]:
            side = int((1 + (1 + 8 * len(line)) ** 0.5) / 2)
            upper = numpy.zeros((side, side))
            upper[numpy.triu_indices(side, 1)] = line
            yield upper - upper.T
    elif "boft_R" in part:
        for stored in part["boft_R"].reshape((-1,) + part["boft_R"].shape[-2:]):
            yield (stored - stored.T) / 2
    else:
        for stored in part["oft_blocks"].reshape((-1,) + part["oft_blocks"].shape[-2:]):
            yield stored - stored.T


def turned(part):
    """The angles of an OFT or BOFT from the eigenvalues of its rotations."""
    angles, distance = [], 0.0
    for skew in skews(part):
        one = numpy.eye(len(skew))
        rotation = (one + skew) @ numpy.linalg.inv(one - skew)
        angles += numpy.abs(numpy.angle(numpy.linalg.eigvals(rotation))).tolist()
        distance += numpy.linalg.norm(rotation - one) ** 2
    return {"angle_max": max(angles), "angle_mean": numpy.mean(angles), "distance": distance**0.5}


def measured(part):
    if any(end in part for end in ("oft_blocks", "oft_R.weight", "boft_R")):
        return turned(part)
    whole = change(part)
    return {"scale": scale(part)} | spectrum(whole * scale(part)) if whole is not None else {}


def pairs(one, other):
    """What two files give whose modules have the same names and shapes."""
    inner, energies = 0.0, [0.0, 0.0]
    for name in one:
        first, second = change(one[name]), change(other[name])
        if first is None or second is None:
            continue
        first, second = first * scale(one[name]), second * scale(other[name])
        inner += (first * second).sum()
        energies[0] += (first**2).sum()
        energies[1] += (second**2).sum()
    return {"cosine": inner / (energies[0] * energies[1]) ** 0.5, "norm_ratio": (energies[1] / energies[0]) ** 0.5}


def truncated(part, kept):
    """The share of the energy of the best change of that rank."""
    values = numpy.linalg.svd(change(part), compute_uv=False)
    return (values[:kept] ** 2).sum() / (values**2).sum()


def overlap(one, other):
    """How much of the column spaces of two factors is shared."""
    first, second = numpy.linalg.qr(one)[0], numpy.linalg.qr(other)[0]
    return numpy.linalg.norm(first.T @ second) ** 2 / min(first.shape[1], second.shape[1])


def main():
    folder = sys.argv[1]
    files = {name: modules(load_file(os.path.join(folder, name))) for name in sorted(os.listdir(folder))}
    one, other = files["one.safetensors"], files["other.safetensors"]
    both = pairs(one, other)
    ups = [file["lora_unet_linear"]["lora_up.weight"] for file in (one, other)]
    downs = [file["lora_unet_linear"]["lora_down.weight"].T for file in (one, other)]
    both |= {"left": overlap(*ups), "right": overlap(*downs), "kept": truncated(one["lora_unet_linear"], 2)}
    answer = {name: {module: measured(part) for module, part in file.items()} for name, file in files.items()}
    print(json.dumps({"files": answer, "pair": both}))


main()
