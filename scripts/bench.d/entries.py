"""The list of entries at size: a page of 100 with a filter and with a search, and an edited note, at two sizes."""

import http.client
import json
import os
import time

import library
import listing
import report
import servers
from measure import median, spread

FILTER = "/api/admin/entries?limit=100&tag=photo&folder=loras"
SEARCH = "/api/admin/entries?limit=100&q=exmaple+model"
REQUESTS = 200  # of one connection, one after the other, a round
LARGER = 10  # times as many entries in the larger catalog


def measure(bench):
    small = figures(bench, bench.entries)
    large = figures(bench, bench.entries * LARGER)
    rows, goals = [], []
    for name, unit, digits in [("filter", " ms", 2), ("search", " ms", 2), ("edit", " ms", 2), ("filter, 16", "/s", 0), ("search, 16", "/s", 0)]:
        rows.append([name, spread(small[name], unit, digits), spread(large[name], unit, digits)])
    for name in ("filter", "search"):
        goals.append(report.Goal(f"median page by a {name}", median(small[name]), 2, False, " ms"))
        goals.append(report.Goal(f"the same with {LARGER} times the entries", median(large[name]) / median(small[name]), 3, False, "×"))
        goals.append(report.Goal(f"pages by a {name} a second, 16 connections", median(small[f"{name}, 16"]), 2000, True, "/s"))
    goals.append(report.Goal("median edited note, durable", median(small["edit"]), 5, False, " ms"))
    goals.append(report.Goal(f"the same with {LARGER} times the entries", median(large["edit"]) / median(small["edit"]), 3, False, "×"))
    explanation = (
        f"`{FILTER}` and `{SEARCH}` (two typed words, one with a typo), 100 entries a page, and `PATCH` of one entry's notes, acknowledged "
        f"when durable; medians of {REQUESTS} requests on one connection, wrk for 16. {bench.rounds} rounds, median (least to most)."
    )
    head = ["what", f"{bench.entries:,} entries", f"{bench.entries * LARGER:,} entries"]
    return report.section("The list of entries", explanation, head, rows, goals)


def figures(bench, count):
    folder = os.path.join(bench.folder, str(count))
    os.makedirs(folder)
    library.large_library(bench.binary, folder, count)
    results = {}
    with servers.lorakeep(bench.binary, folder) as (_, port):
        page = json.loads(servers.get(port, FILTER)[2])
        if len(page["items"]) != 100:
            raise RuntimeError(f"a page of {len(page['items'])} entries came")
        ids = [item["id"] for item in page["items"]]
        listing.settled_list(port)
        for number in range(bench.rounds):
            for name, path in {"filter": FILTER, "search": SEARCH}.items():
                results.setdefault(name, []).append(latency(port, [("GET", path, None)] * REQUESTS))
                rate = listing.wrk(bench, f"http://127.0.0.1:{port}{path}", 16)
                results.setdefault(f"{name}, 16", []).append(rate)
            edits = [("PATCH", f"/api/admin/entries/{ids[at % 100]}", {"notes": f"round {number}, edit {at}"}) for at in range(REQUESTS)]
            results.setdefault("edit", []).append(latency(port, edits))
            print(f"  {count:,} entries, round {number + 1}/{bench.rounds}: " + ", ".join(f"{name} {values[-1]:.2f}" for name, values in results.items()), flush=True)
    return results


def latency(port, requests):
    """The median of these requests on one connection, milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    times = []
    for method, path, body in requests:
        headers = {"X-API-Key": servers.API_KEY} | ({"Content-Type": "application/json"} if body else {})
        started = time.perf_counter()
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        answer.read()
        times.append((time.perf_counter() - started) * 1000)
        if answer.status != 200:
            raise RuntimeError(f"{method} {path} answered {answer.status}")
    connection.close()
    return median(times)
