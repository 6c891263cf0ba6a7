"""The customers' list of styles: a page of 100 of 10,000 against nginx serving the same bytes, and its times at a fixed rate."""

import http.client
import json
import os
import subprocess

import listing
import report
import servers
from measure import alternate, median, rounds_of, spread

PATH = "/v1/loras?limit=100"
RATE = 5000  # requests a second of the paced run
CONNECTIONS = 16


def measure(bench):
    served = os.path.join(bench.folder, "served")
    os.makedirs(served)
    with servers.lorakeep(bench.binary, bench.folder) as (_, port):
        key = stock(port, bench.entries)
        body = page(port, key)
        with open(os.path.join(served, "styles.json"), "wb") as file:
            file.write(body)
        ours = f"http://127.0.0.1:{port}{PATH}"
        with servers.nginx(bench.folder, served) as address:
            theirs = f"{address}/styles.json"
            results = alternate({
                "lorakeep": lambda: listing.wrk(bench, ours, CONNECTIONS, {"X-API-Key": key}),
                "nginx": lambda: listing.wrk(bench, theirs, CONNECTIONS),
            }, bench.rounds)
            times = alternate({
                "lorakeep, 99 %, ms": lambda: paced(bench, ours, key),
                "nginx, 99 %, ms": lambda: paced(bench, theirs, key),
            }, bench.rounds)
    return text(bench, results | times, len(body))


def stock(port, count):
    """So many public styles of one LoRA, and a key of a team without a limit."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post(path, body):
        connection.request("POST", path, json.dumps(body), {"X-API-Key": servers.API_KEY, "Content-Type": "application/json"})
        answer = connection.getresponse()
        read = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"POST {path} answered {answer.status}: {read[:200]}")
        return json.loads(read)

    document = json.dumps([{"file": "style.safetensors", "dest": "loras/bench", "base_model": "SDXL 1.0"}]).encode()
    form = b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.json\"\r\n\r\n" + document + b"\r\n--B--\r\n"
    connection.request("POST", "/api/admin/loras/import", form,
                       {"X-API-Key": servers.API_KEY, "Content-Type": "multipart/form-data; boundary=B"})
    connection.getresponse().read()
    for number in range(count):
        post("/api/admin/styles", {
            "name": f"Golden hour photography, take {number:05}", "slug": f"golden-hour-{number:05}", "entry": "style.safetensors", "is_public": True,
            "description": "Adds warm golden-hour lighting with soft lens flares", "default_denoise_strength": 0.8,
            "default_guidance_scale": 7.5, "default_steps": 30, "template": "{prompt}, golden hour",
        })
        if number % 2000 == 1999:
            print(f"  {number + 1:,} styles", flush=True)
    post("/api/admin/teams", {"name": "Bench"})
    return post("/api/admin/keys", {"team": "Bench"})["key"]


def page(port, key):
    status, _, body = servers.get(port, PATH, {"X-API-Key": key})
    if status != 200 or len(json.loads(body)) != 100:
        raise RuntimeError(f"GET {PATH} answered {status} and {len(body)} bytes")
    return body


def paced(bench, url, key):
    """Milliseconds that 99 of 100 requests stay below at the fixed rate."""
    program = os.path.join(os.path.dirname(bench.standin), "examples", "paced")
    command = [program, url, str(RATE), str(bench.seconds), str(CONNECTIONS), f"X-API-Key: {key}"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["p99_ms"]


def text(bench, results, size):
    rate = {name: median(values) for name, values in results.items()}
    rows = [[name, spread(values, digits=2 if "ms" in name else 0)] for name, values in results.items()]
    goals = [
        report.Goal(f"requests/s against nginx, {CONNECTIONS} connections", rate["lorakeep"] / rate["nginx"], 0.5, True),
        report.Goal(f"99 of 100 at {RATE:,} requests/s", rate["lorakeep, 99 %, ms"], 5, False, " ms"),
    ]
    explanation = (
        f"`GET {PATH}` with {bench.entries:,} styles ({size / 1e3:.0f} kB of JSON), each with a look at the team's key, against nginx serving the same "
        f"bytes as a file: wrk with one thread and {CONNECTIONS} connections; then {RATE:,} requests a second whatever the answers take, each timed from when it "
        f"was due. {bench.seconds} s a run, {rounds_of(results)} alternating rounds, median (least to most)."
    )
    return report.section("The list of styles", explanation, ["what", "requests/s, or ms"], rows, goals)
