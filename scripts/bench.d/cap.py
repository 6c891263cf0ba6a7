"""A server that caps each connection: how much of connections × cap arrives."""

import contextlib
import json
import os
import shutil
import subprocess

import library
import report
import servers
from measure import alternate, median, rounds_of, run, spread

FILE = "capped.safetensors"
CAP = 16 << 20  # bytes a second of each connection
CONNECTIONS = 4  # what one file uses by default, and what aria2c is told


def measure(bench):
    size = bench.size // 4
    with standin(bench, size) as file:
        out = os.path.join(bench.folder, "out")
        entry = {"name": "Capped", "file": FILE, "dest": "checkpoints", "url": file["url"], "sha256": file["sha256"],
                 "size_bytes": size}

        def ours():
            fresh(out)
            library.import_entries(bench.binary, out, [entry])
            command = [bench.binary, "--data-dir", os.path.join(out, "data"), "download", FILE, "--quiet"]
            return run(command, bench.folder, servers.environment())

        def aria2c():
            fresh(out)
            return run(["aria2c", "--no-conf", "-q", f"-x{CONNECTIONS}", f"-s{CONNECTIONS}", "--file-allocation=falloc",
                        f"--checksum=sha-256={file['sha256']}", "-d", out, "-o", FILE, file["url"]], bench.folder)

        results = alternate({"lorakeep download": ours, "aria2c -x4 -s4 with checksum": aria2c}, bench.rounds)
    return text(bench, size, results)


@contextlib.contextmanager
def standin(bench, size):
    """The stand-in with one capped file; yields what it says about the file."""
    command = [bench.standin, "--civitai-port", "0", "--huggingface-port", "0", "--storage-port", "0",
               "--cap", str(CAP), "--file", f"{FILE}={size}", "--json"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the stand-in did not start")
        yield json.loads(line)["files"][0]
    finally:
        servers.end(process)
        process.stdout.close()


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)


def text(bench, size, results):
    share = {name: [size / cost.wall / (CONNECTIONS * CAP) for cost in costs] for name, costs in results.items()}
    rows = [[name, spread([cost.wall for cost in costs], " s"), spread(share[name])] for name, costs in results.items()]
    goals = [report.Goal("share of connections × cap", median(share["lorakeep download"]), 0.95, True)]
    explanation = (
        f"{size >> 20} MiB from the stand-in, which gives each connection {CAP >> 20} MiB/s; {CONNECTIONS} connections. "
        f"The whole command counts. {rounds_of(results)} alternating rounds, median (least to most)."
    )
    header = ["command", "wall", "share of connections × cap"]
    return report.section("A server that caps each connection", explanation, header, rows, goals)
