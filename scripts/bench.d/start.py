"""From exec to the first answered list, with every entry's file on disk."""

import json
import os
import time

import library
import report
import servers
from measure import median, spread


def measure(bench):
    entries = library.large_library(bench.binary, bench.folder, bench.entries)
    moving = os.path.join(bench.folder, "data", "models", entries[0]["dest"], entries[0]["file"])
    one_start(bench, present=bench.entries)  # the first start indexes; later ones compare
    times = []
    for number in range(1, bench.rounds + 1):
        # A file that comes or goes between two starts shows that the first answer follows the disk.
        is_there = number % 2 == 0
        library.sparse_file(moving, entries[0]["size_bytes"]) if is_there else os.remove(moving)
        times.append(one_start(bench, bench.entries if is_there else bench.entries - 1) * 1000)
        print(f"  round {number}/{bench.rounds}: {times[-1]:.0f} ms", flush=True)
    rows = [["start to first list", spread(times, " ms", 0)]]
    goals = [report.Goal("time to the first answer", median(times), 200, False, " ms")]
    explanation = (
        f"{bench.entries:,} entries whose files are on disk: from exec to the last byte of the first answered "
        f"`GET /api/admin/models`. One file comes or goes before each start, and the answer must say so. "
        f"{bench.rounds} starts, median (least to most), warm cache."
    )
    return report.section("Start", explanation, ["what", "time"], rows, goals)


def one_start(bench, present):
    port = servers.free_port()
    started = time.perf_counter()
    with servers.lorakeep(bench.binary, bench.folder, port):
        status, _, body = servers.get(port, "/api/admin/models")
        elapsed = time.perf_counter() - started
        counted = json.loads(body)["stats"]["present_count"] if status == 200 else None
        if counted != present:
            raise RuntimeError(f"the first list was {status} with {counted} files present, not {present}")
    return elapsed
