"""The catalog list against nginx serving the same bytes as a file, with wrk."""

import os
import re
import subprocess
import time

import library
import report
import servers
from measure import alternate, median, rounds_of, spread

PATH = "/api/admin/models"


def measure(bench):
    library.large_library(bench.binary, bench.folder, bench.entries)
    served = os.path.join(bench.folder, "served")
    os.makedirs(served)
    # Each file that is hashed in the background is news for the list, and there would be some every second.
    quiet = {"LORAKEEP_BACKGROUND_HASHING": "false"}
    with servers.lorakeep(bench.binary, bench.folder, extra_env=quiet) as (_, port):
        _, body = settled_list(port)
        with open(os.path.join(served, "models.json"), "wb") as file:
            file.write(body)
        with servers.nginx(bench.folder, served) as address:
            results = alternate(contestants(bench, port, f"{address}/models.json"), bench.rounds)
    return text(bench, results, len(body))


def settled_list(port, limit=30):
    """The list and its validator once the start's work is over, which may move both."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        status, headers, body = servers.get(port, PATH)
        if status != 200:
            raise RuntimeError(f"GET {PATH} answered {status}")
        time.sleep(1)
        if servers.get(port, PATH, {"If-None-Match": headers["ETag"]})[0] == 304:
            return headers["ETag"], body
    raise RuntimeError(f"GET {PATH} with its own ETag is never answered with 304")


def contestants(bench, port, theirs):
    ours = f"http://127.0.0.1:{port}{PATH}"
    named = {}
    for connections in (1, 16):
        named[f"lorakeep, {connections}"] = lambda count=connections: wrk(bench, ours, count)
        named[f"nginx, {connections}"] = lambda count=connections: wrk(bench, theirs, count)
    named["lorakeep unchanged (304), 16"] = lambda: wrk(bench, ours, 16, {"If-None-Match": settled_list(port)[0]})
    return named


def wrk(bench, url, connections, headers=None):
    """Requests per second."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{bench.seconds}s"]
    for name, value in ({"X-API-Key": servers.API_KEY} | (headers or {})).items():
        command += ["-H", f"{name}: {value}"]
    output = subprocess.run(command + [url], capture_output=True, text=True, check=True).stdout
    if "Socket errors" in output or "Non-2xx" in output:
        raise RuntimeError(f"wrk met errors:\n{output}")
    return float(re.search(r"Requests/sec:\s*([\d.]+)", output)[1])


def text(bench, results, size):
    rate = {name: median(values) for name, values in results.items()}
    rows = [[name, spread(values, digits=0), f"{rate[name] * size / 1e6:,.0f} MB/s" if "304" not in name else ""]
            for name, values in results.items()]
    goals = [
        report.Goal(f"requests/s against nginx, {count} connection{'s' if count > 1 else ''}",
                    rate[f"lorakeep, {count}"] / rate[f"nginx, {count}"], 0.7, True)
        for count in (1, 16)
    ]
    explanation = (
        f"`GET {PATH}` with {bench.entries:,} entries ({size / 1e6:.1f} MB of JSON) against nginx serving the same "
        f"bytes as a file; wrk with one thread for {bench.seconds} s, {rounds_of(results)} alternating rounds, median (least to most). "
        "Nothing is hashed in the background meanwhile, so that the validator rests."
    )
    return report.section("The catalog list", explanation, ["server, connections", "requests/s", "data"], rows, goals)
