"""Resident memory, idle and while three downloads run at full speed."""

import json
import os
import time

import library
import report
import servers
from measure import median, spread

MIB = 1 << 20
DOWNLOADS = 3

# The start's work is over, and the allocator has given back what it needed: it waits ten seconds with that.
IDLE_SECONDS = 20


def measure(bench):
    served = os.path.join(bench.folder, "served")
    os.makedirs(served)
    library.large_library(bench.binary, bench.folder, bench.entries)
    sha256 = library.weight_file(os.path.join(served, "bench.safetensors"), bench.size // 4)
    idle, growth = [], []
    with servers.nginx(bench.folder, served) as address:
        names = [f"download_{number}.safetensors" for number in range(DOWNLOADS)]
        library.import_entries(bench.binary, bench.folder, [
            {"name": name, "file": name, "dest": "downloads", "url": f"{address}/bench.safetensors?{name}",
             "sha256": sha256, "size_bytes": bench.size // 4} for name in names])
        for number in range(1, bench.rounds + 1):
            before, peak = one_run(bench, names)
            idle.append(before / MIB)
            growth.append((peak - before) / MIB)
            print(f"  round {number}/{bench.rounds}: idle {idle[-1]:.1f} MiB, {growth[-1]:+.1f} MiB", flush=True)
    rows = [["idle", spread(idle, " MiB", 1)], [f"more at the peak of {DOWNLOADS} downloads", spread(growth, " MiB", 1)]]
    goals = [
        report.Goal("idle", median(idle), 60, False, " MiB"),
        report.Goal("growth while downloading", median(growth), 48, False, " MiB"),
    ]
    explanation = (
        f"Resident memory (`VmRSS`, `VmHWM`) with {bench.entries:,} entries, {IDLE_SECONDS} s after one answered list, and "
        f"at the peak of {DOWNLOADS} downloads of {bench.size // 4 >> 20} MiB at full speed. {bench.rounds} runs, median "
        "(least to most)."
    )
    return report.section("Memory", explanation, ["state", "resident"], rows, goals)


def one_run(bench, names):
    """Resident bytes idle, and at the peak of the downloads."""
    with servers.lorakeep(bench.binary, bench.folder) as (process, port):
        servers.get(port, "/api/admin/models")
        time.sleep(IDLE_SECONDS)
        before = status_bytes(process.pid, "VmRSS")
        with open(f"/proc/{process.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # the peak counts from here
        for name in names:
            status, _, body = servers.get(port, f"/api/admin/models/download/{name}?force=true", method="POST")
            if status != 200:
                raise RuntimeError(f"download of {name} answered {status}: {body!r}")
        wait_until_done(port, names)
        return before, status_bytes(process.pid, "VmHWM")


def wait_until_done(port, names, limit=60):
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        page = json.loads(servers.get(port, "/api/admin/downloads?limit=1000")[2])
        states = {item["file"]: item["status"] for item in page["items"]}
        if any(states.get(name) == "error" for name in names):
            raise RuntimeError(f"a download failed: {page['items']}")
        if not any(states.get(name) in ("queued", "downloading") for name in names):
            return
        time.sleep(0.1)
    raise RuntimeError("the downloads did not end")


def status_bytes(pid, field):
    return int(report.proc(f"/proc/{pid}/status")[field].split()[0]) * 1024
