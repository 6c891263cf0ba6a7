"""The studio's look-ups with a large catalog, many watchers of the event stream, and a metadata fetch under a limit."""

import contextlib
import http.client
import json
import os
import resource
import socket
import subprocess
import time

import library
import report
import servers
from measure import median, spread

MIB = 1 << 20
WATCHERS = 500
WATCHED = 10  # seconds
FETCHED = 1000  # entries
RATE = 6  # requests a second that the stand-in takes
LOOKS = 200  # requests of one round
BASES = ["SDXL 1.0", "Pony", "Illustrious", "SD 1.5", "Flux.1 D", "Flux.1 S", "Wan Video 14B i2v 480p", "HunyuanVideo",
         "LTXV", "CogVideoX"]
PATHS = {
    "civitai-map": "/api/admin/models/civitai-map",
    "compatible, one family": "/api/admin/loras/compatible/SDXL%201.0",
    "compatible, every pair": "/api/admin/loras/compatible/all",
}


def measure(bench):
    pairs = os.path.join(bench.folder, "pairs")
    os.makedirs(pairs)
    library.import_entries(bench.binary, pairs, [paired(number) for number in range(bench.entries)])
    with servers.lorakeep(bench.binary, pairs) as (process, port):
        looks = {name: [look(port, path) for _ in range(bench.rounds)] for name, path in PATHS.items()}
        watching = watch(process, port)
    fetching = fetch(bench)
    return text(bench, looks, watching, fetching)


def paired(number):
    """A typical entry that is one half of a pair."""
    role = ["high", "low"][number % 2]
    return library.typical_entry(number) | {
        "dest": "loras", "pair_id": f"pair-{number // 2}", "pair_role": role, "base_model": BASES[number // 2 % len(BASES)]}


def look(port, path):
    """Milliseconds of the median request on one connection, its whole body read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    times = []
    with contextlib.closing(connection):
        for _ in range(LOOKS):
            started = time.perf_counter()
            connection.request("GET", path, headers={"X-API-Key": servers.API_KEY})
            answer = connection.getresponse()
            body = answer.read()
            times.append((time.perf_counter() - started) * 1000)
            if answer.status != 200 or not body:
                raise RuntimeError(f"GET {path} answered {answer.status}")
    return median(times)


def watch(process, port):
    """CPU seconds a second and resident bytes that many watchers of the idle event stream cost."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    before = resident(process.pid)
    request = f"GET /api/admin/models/status HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {servers.API_KEY}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(WATCHERS):
            watcher = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            watcher.sendall(request)
            sockets.append(watcher)
        for watcher in sockets:
            if not watcher.recv(4096).startswith(b"HTTP/1.1 200"):
                raise RuntimeError("a watcher was refused")
        time.sleep(1)
        started, cpu = time.perf_counter(), cpu_seconds(process.pid)
        time.sleep(WATCHED)
        share = (cpu_seconds(process.pid) - cpu) / (time.perf_counter() - started)
        return share * 100, (resident(process.pid) - before) / MIB


def fetch(bench):
    """Seconds, requests and refusals of a metadata fetch for many entries from a stand-in with a limit."""
    folder = os.path.join(bench.folder, "fetch")
    os.makedirs(folder)
    entries = [library.typical_entry(number) | {"dest": "loras"} for number in range(FETCHED)]
    library.import_entries(bench.binary, folder, entries)
    with standin(bench) as facts, servers.lorakeep(bench.binary, folder, extra_env=facts["environment"]) as (_, port):
        started = time.perf_counter()
        status, _, body = servers.get(port, "/api/admin/models/fetch-metadata", method="POST")
        if status != 200 or json.loads(body)["queued"] != FETCHED:
            raise RuntimeError(f"the fetch was not queued: {status} {body[:200]!r}")
        words = wait_for_fetch(port)
        seconds = time.perf_counter() - started
        seen = json.loads(control(facts, "requests"))
    statuses = [one["status"] for one in seen if one["upstream"] == "civitai"]
    return seconds, len(statuses), statuses.count(429), words.count("done")


def wait_for_fetch(port, limit=600):
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        states = json.loads(servers.get(port, "/api/admin/models/metadata-status")[2])
        words = [state["status"] for state in states.values()]
        if all(word in ("done", "error") for word in words):
            return words
        time.sleep(0.1)
    raise RuntimeError(f"the metadata fetch did not end within {limit} s")


@contextlib.contextmanager
def standin(bench):
    """A CivitAI of its own with as many models as are fetched; yields its addresses."""
    ports = [str(servers.free_port()) for _ in range(4)]
    flags = ["--civitai-port", "--huggingface-port", "--storage-port", "--comfyui-port"]
    command = [bench.standin, "--json", "--models", str(FETCHED), "--rate", str(RATE)]
    for flag, port in zip(flags, ports):
        command += [flag, port]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline())
        finally:
            servers.end(process)


def control(facts, what):
    host = facts["control"].split("/")[2]
    connection = http.client.HTTPConnection(host, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", f"/__control/{what}")
        return connection.getresponse().read()


def cpu_seconds(pid):
    """User and system time of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def text(bench, looks, watching, fetching):
    share, grown = watching
    seconds, asked, refused, done = fetching
    rows = [[name, spread(values, " ms")] for name, values in looks.items()]
    rows += [
        [f"{WATCHERS} watchers of `models/status`, CPU", f"{share:.1f} % of one core"],
        [f"{WATCHERS} watchers, resident memory", f"{grown:+.1f} MiB"],
        [f"metadata for {FETCHED:,} entries", f"{seconds:.1f} s, {asked} requests, {refused} refused, {done} done"],
    ]
    goals = [report.Goal(name, median(values), 5, False, " ms") for name, values in looks.items()]
    goals += [
        report.Goal(f"CPU of {WATCHERS} watchers", share, 5, False, " %"),
        report.Goal(f"memory of {WATCHERS} watchers", grown, 64, False, " MiB"),
        report.Goal("requests that broke the limit", refused, 0, False, ""),
        report.Goal("entries with metadata", done, FETCHED, True, ""),
    ]
    explanation = (
        f"Look-ups with {bench.entries:,} entries in {bench.entries // 2:,} pairs: the median of {LOOKS} requests on one "
        f"connection, bodies read, {bench.rounds} rounds, median (least to most). Watchers of an idle event stream for {WATCHED} s. "
        f"A metadata fetch from a stand-in that takes {RATE} requests a second and answers 429 beyond."
    )
    return report.section("The studio", explanation, ["what", "measured"], rows, goals)
