"""A large file over loopback: `lorakeep download`, the engine alone, aria2c, curl, dd. Everyone ends with a sync."""

import os
import shutil

import library
import report
import servers
from measure import alternate, median, rounds_of, run, spread

FILE = "bench.safetensors"


def measure(bench):
    source = os.path.join(bench.folder, "served", FILE)
    os.makedirs(os.path.dirname(source))
    print(f"  writing {bench.size >> 20} MiB to serve", flush=True)
    sha256 = library.weight_file(source, bench.size)
    with servers.nginx(bench.folder, os.path.dirname(source)) as address:
        race = Race(bench, source, f"{address}/{FILE}", sha256)
        results = alternate(race.contestants(), bench.rounds)
    return text(bench, results)


class Race:
    """The contestants; each starts without an output file and leaves none behind."""

    def __init__(self, bench, source, url, sha256):
        self.bench, self.source, self.url, self.sha256 = bench, source, url, sha256
        self.out = os.path.join(bench.folder, "out")
        self.target = os.path.join(self.out, FILE)

    def contestants(self):
        named = {"lorakeep download": self.end_to_end}
        engine = os.path.join(os.path.dirname(self.bench.binary), "examples", "fetch")
        if os.path.exists(engine):
            named["transfer engine alone"] = lambda: self.plain([engine, self.url, self.target, self.sha256])
        aria2c = ["aria2c", "--no-conf", "-q", "-x4", "-s4", "--file-allocation=falloc",
                  f"--checksum=sha-256={self.sha256}", "-d", self.out, "-o", FILE, self.url]
        both = f'curl -sSfo "{self.target}" "{self.url}" && echo "{self.sha256}  {self.target}" | sha256sum -c --quiet'
        return named | {
            "aria2c -x4 -s4 with checksum": lambda: self.plain(aria2c),
            "curl, then sha256sum": lambda: self.plain(["sh", "-c", both]),
            "curl alone": lambda: self.plain(["curl", "-sSfo", self.target, self.url]),
            "dd conv=fsync": lambda: self.plain(["dd", f"if={self.source}", f"of={self.target}", "bs=4M", "conv=fsync"]),
        }

    def plain(self, command):
        self.clear()
        env = servers.environment()
        cost = run(command, self.bench.folder, env)
        self.check(self.target)
        return cost

    def end_to_end(self):
        """The whole command: queue, transfer, hash, content check, publication, database."""
        self.clear()
        entry = {"name": "Bench", "file": FILE, "dest": "checkpoints", "url": self.url, "sha256": self.sha256,
                 "size_bytes": self.bench.size}
        library.import_entries(self.bench.binary, self.out, [entry])
        command = [self.bench.binary, "--data-dir", os.path.join(self.out, "data"), "download", FILE, "--quiet"]
        cost = run(command, self.bench.folder, servers.environment())
        self.check(os.path.join(self.out, "data", "models", "checkpoints", FILE))
        return cost

    def clear(self):
        shutil.rmtree(self.out, ignore_errors=True)
        os.makedirs(self.out)

    def check(self, path):
        if os.path.getsize(path) != self.bench.size:
            raise RuntimeError(f"{path} has {os.path.getsize(path)} bytes")
        self.clear()


def text(bench, results):
    wall = {name: median([cost.wall for cost in costs]) for name, costs in results.items()}
    cpu = {name: median([cost.cpu for cost in costs]) for name, costs in results.items()}
    rows = [
        [name, spread([cost.wall for cost in costs], " s"), f"{bench.size / wall[name] / 1e6:,.0f} MB/s",
         spread([cost.cpu for cost in costs], " s")]
        for name, costs in results.items()
    ]
    ours, aria2c = "lorakeep download", "aria2c -x4 -s4 with checksum"
    bare = max(wall["curl alone"], wall["dd conv=fsync"])
    goals = [
        report.Goal("speed against aria2c", wall[aria2c] / wall[ours], 1.3, True),
        report.Goal("CPU against aria2c", cpu[ours] / cpu[aria2c], 0.6, False),
        report.Goal("speed against curl and sha256sum", wall["curl, then sha256sum"] / wall[ours], 1.0, True),
        report.Goal("time against the larger of curl alone and dd", wall[ours] / bare, 1.3, False),
    ]
    explanation = (
        f"{bench.size >> 20} MiB from nginx over loopback, {rounds_of(results)} alternating rounds, median (least to most). "
        "Every clock stops after a `sync` of the file system; CPU is user + system of the whole command. Ours includes "
        "the hash, the content check, the publication and the database."
    )
    return report.section("A large file", explanation, ["command", "wall", "speed", "CPU"], rows, goals)
