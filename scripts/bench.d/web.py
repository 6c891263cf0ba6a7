"""The library page with a large catalog: time of the server, bytes of the first visit, time of a search."""

import contextlib
import http.client
import re
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


def measure(bench):
    library.large_library(bench.binary, bench.folder, bench.entries)
    with servers.lorakeep(bench.binary, bench.folder) as (_, port):
        visit = first_visit(port)
        times = {name: [look(port, path, headers) for _ in range(bench.rounds)]
                 for name, (path, headers) in LOOKED_AT.items()}
    return text(bench, visit, times)


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
        named = {name for name in re.findall(re.escape(bundle) + r"([a-z.]+)", page)} | {"upload.js"}
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


def text(bench, visit, times):
    total = sum(visit.values()) / 1000
    rows = [[name, spread(values, " ms")] for name, values in times.items()]
    rows += [[f"bytes of {name}", f"{size / 1000:.1f} KB"] for name, size in visit.items()]
    goals = [
        report.Goal("the whole page", median(times["the whole page"]), 10, False, " ms"),
        report.Goal("a search", median(times["a search"]), 5, False, " ms"),
        report.Goal("a search with a typo", median(times["a search with a typo"]), 5, False, " ms"),
        report.Goal("the first visit, pictures apart", total, 100, False, " KB"),
    ]
    explanation = (
        f"The library page with {bench.entries:,} entries: the median of {LOOKS} requests on one connection, packed bodies "
        f"read, {bench.rounds} rounds, median (least to most). A search answers the part of the page that changes, facets included."
    )
    return report.section("The web page", explanation, ["what", "measured"], rows, goals)
