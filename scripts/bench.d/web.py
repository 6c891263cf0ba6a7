"""The library page with a large catalog: time of the server, bytes of the first visit, time of a search."""

import contextlib
import http.client
import json
import os
import re
import selectors
import socket
import subprocess
import time

import library
import report
import servers
from measure import median, spread

LOOKS = 200  # requests of one round
PART = {"HX-Request": "true"}
# What is typed and clicked, and whether htmx asks for the changing part alone.
LOOKED_AT = {
    "the whole page": ("/", {}),
    "the compact list": ("/?view=list", {}),
    "a search": ("/?q=style+12", PART),
    "a search with a typo": ("/?q=stlye", PART),
    "a filter and an order": ("/?base_model=SDXL+1.0&sort=-size", PART),
}
# Pages that are open at once, and for how long their live state is followed in one round.
WATCHERS = 200
SECONDS = 10
STREAM = "/api/admin/models/status"
# Downloads that crawl along meanwhile, so that every frame says something new: bytes, and bytes a second of a connection.
CRAWLING = [f"crawling_{number}.safetensors" for number in range(3)]
SIZE = 64 << 20
CAP = 16 << 10


def measure(bench):
    library.large_library(bench.binary, bench.folder, bench.entries)
    with crawling(bench) as entries:
        library.import_entries(bench.binary, bench.folder, entries)
        with servers.lorakeep(bench.binary, bench.folder) as (process, port):
            visit = first_visit(port)
            times = {name: [look(port, path, headers) for _ in range(bench.rounds)]
                     for name, (path, headers) in LOOKED_AT.items()}
            shares = watched(bench, process, port)
    return text(bench, visit, times, shares)


@contextlib.contextmanager
def crawling(bench):
    """The stand-in with files that take their time; yields their entries."""
    command = [bench.standin, "--civitai-port", "0", "--huggingface-port", "0", "--storage-port", "0", "--comfyui-port", "0",
               "--cap", str(CAP), "--json"]
    for name in CRAWLING:
        command += ["--file", f"{name}={SIZE}"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        files = json.loads(process.stdout.readline())["files"]
        yield [{"name": name, "file": name, "dest": "checkpoints", "url": file["url"], "sha256": file["sha256"],
                "size_bytes": SIZE} for name, file in zip(CRAWLING, files)]
    finally:
        servers.end(process)
        process.stdout.close()


def watched(bench, process, port):
    """Percent of a core that the server takes while downloads crawl: with nobody who watches, and with many."""
    body = json.dumps({"filenames": CRAWLING})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", "/api/admin/models/download-batch", body,
                           {"X-API-Key": servers.API_KEY, "Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200 or len(json.loads(answer.read())["queued"]) != len(CRAWLING):
            raise RuntimeError("the downloads were not queued")
    # The ramp to four connections a file is not what is measured.
    time.sleep(3)
    shares = {"nobody": [share(process, [])[0] for _ in range(bench.rounds)]}
    pages = [watch(port) for _ in range(WATCHERS)]
    try:
        rounds = [share(process, pages) for _ in range(bench.rounds)]
    finally:
        for page in pages:
            page.close()
    frames = min(count for _, count in rounds)
    if frames < WATCHERS * (SECONDS - 2):
        raise RuntimeError(f"{WATCHERS} pages got only {frames} frames in {SECONDS} s")
    return shares | {"many": [own for own, _ in rounds]}


def watch(port):
    """A connection on which the event stream has begun."""
    page = socket.create_connection(("127.0.0.1", port), timeout=60)
    page.sendall(f"GET {STREAM} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-API-Key: {servers.API_KEY}\r\n\r\n".encode())
    if not page.recv(65536).startswith(b"HTTP/1.1 200"):
        raise RuntimeError("the event stream was refused")
    page.setblocking(False)
    return page


def share(process, pages):
    """Percent of a core over one round, and the frames that all pages read meanwhile."""
    with selectors.DefaultSelector() as selector:
        for page in pages:
            selector.register(page, selectors.EVENT_READ)
        frames, began, used = 0, time.monotonic(), cpu_seconds(process)
        while (left := began + SECONDS - time.monotonic()) > 0:
            if not pages:
                time.sleep(left)
                continue
            for ready, _ in selector.select(left):
                frames += ready.fileobj.recv(1 << 20).count(b"data: ")
        return (cpu_seconds(process) - used) / (time.monotonic() - began) * 100, frames


def cpu_seconds(process):
    """User and system time of a process so far."""
    with open(f"/proc/{process.pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def get(connection, path, headers):
    connection.request("GET", path, headers={"X-API-Key": servers.API_KEY, "Accept-Encoding": "gzip"} | headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"GET {path} answered {answer.status}")
    return body


def first_visit(port):
    """Bytes of the page and of everything that it names, as they are sent."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        page = get(connection, "/", {"Accept-Encoding": "identity"}).decode()
        sizes = {"the page": len(get(connection, "/", {}))}
        bundle = re.search(r"/assets/[0-9a-f]+/", page)[0]
        named = {name for name in re.findall(re.escape(bundle) + r"([a-z.]+)", page)} 
        for name in sorted(named):
            sizes[name] = len(get(connection, bundle + name, {}))
    return sizes


def look(port, path, headers):
    """Milliseconds of the median request on one connection, its whole body read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    times = []
    with contextlib.closing(connection):
        for _ in range(LOOKS):
            started = time.perf_counter()
            get(connection, path, headers)
            times.append((time.perf_counter() - started) * 1000)
    return median(times)


def text(bench, visit, times, shares):
    total = sum(visit.values()) / 1000
    rows = [[name, spread(values, " ms")] for name, values in times.items()]
    rows += [["CPU while three downloads crawl and nobody watches", spread(shares["nobody"], " %")],
             [f"the same with {WATCHERS} open pages", spread(shares["many"], " %")]]
    rows += [[f"bytes of {name}", f"{size / 1000:.1f} KB"] for name, size in visit.items()]
    goals = [
        report.Goal("the whole page", median(times["the whole page"]), 10, False, " ms"),
        report.Goal("a search", median(times["a search"]), 5, False, " ms"),
        report.Goal("a search with a typo", median(times["a search with a typo"]), 5, False, " ms"),
        report.Goal(f"{WATCHERS} open pages, CPU of a core", median(shares["many"]), 5, False, " %"),
        report.Goal("the first visit, pictures apart", total, 100, False, " KB"),
    ]
    explanation = (
        f"The library page with {bench.entries:,} entries: the median of {LOOKS} requests on one connection, packed bodies "
        f"read, {bench.rounds} rounds, median (least to most). A search answers the part of the page that changes, facets included. Open pages get a frame of the event stream each second; "
        f"CPU is the server's, over {SECONDS} s, the downloads themselves included."
    )
    return report.section("The web page", explanation, ["what", "measured"], rows, goals)
