"""Makes what is measured: a weight file of a given size, and a catalog of many entries with their files on disk."""

import hashlib
import json
import os
import struct
import subprocess

import servers

MIB = 1 << 20
FOLDERS = ["checkpoints", "loras", "vae", "text_encoders", "upscale_models"]


def weight_file(path, size):
    """Writes a valid safetensors file of exactly `size` bytes and returns its SHA-256."""
    header_size = 512
    tensor = {"weight": {"dtype": "U8", "shape": [size - 8 - header_size], "data_offsets": [0, size - 8 - header_size]}}
    head = struct.pack("<Q", header_size) + json.dumps(tensor).encode().ljust(header_size)
    block = os.urandom(MIB)
    digest = hashlib.sha256(head)
    with open(path, "wb") as file:
        file.write(head)
        left = size - len(head)
        while left > 0:
            piece = block[: min(left, MIB)]
            file.write(piece)
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()


def catalog(entries):
    """A catalog file with one category a folder."""
    categories = {}
    for entry in entries:
        name = entry["dest"].split("/")[0]
        categories.setdefault(name, {"id": name, "name": name.capitalize(), "models": []})["models"].append(entry)
    return {"version": 1, "date": "2026-01-01 00:00", "categories": list(categories.values())}


def write_catalog(path, entries):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(catalog(entries), file)


def typical_entry(number):
    """An entry with the fields that one from CivitAI has; sizes differ so that files can be told apart."""
    size = 100 * MIB + number * 4096
    return {
        "name": f"Example Model {number:05} [SDXL FP16]",
        "file": f"example_model_{number:05}.safetensors",
        "dest": FOLDERS[number % len(FOLDERS)],
        "size_gb": round(size / 1e9, 2),
        "size_bytes": size,
        "base_model": "SDXL 1.0",
        "tags": ["sdxl", "general", "photo"],
        "source": "civitai",
        "civitai_model_id": 100_000 + number,
        "civitai_version_id": str(1_000_000 + number),
        "sha256": hashlib.sha256(str(number).encode()).hexdigest(),
        "trigger_words": ["example style", f"token{number}"],
        "description": "What the author says about this model, in a sentence or two of usual length.",
    }


def large_library(binary, folder, count):
    """A data folder with `count` entries whose files (sparse) are on disk; returns the entries."""
    entries = [typical_entry(number) for number in range(count)]
    models = os.path.join(folder, "data", "models")
    for name in FOLDERS:
        os.makedirs(os.path.join(models, name), exist_ok=True)
    for entry in entries:
        sparse_file(os.path.join(models, entry["dest"], entry["file"]), entry["size_bytes"])
    import_entries(binary, folder, entries)
    return entries


def sparse_file(path, size):
    with open(path, "wb") as file:
        file.truncate(size)


def import_entries(binary, folder, entries):
    path = os.path.join(folder, "import.json")
    write_catalog(path, entries)
    command = [binary, "--data-dir", os.path.join(folder, "data"), "import", path]
    done = subprocess.run(command, env=servers.environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"`lorakeep import` failed: {done.stderr.strip() or done.stdout.strip()}")
