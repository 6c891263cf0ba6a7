"""Runs commands and says what they cost: wall time up to the end of a sync, and CPU time of the whole tree."""

import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    wall: float  # seconds, a sync of the file system included
    cpu: float  # user + system seconds of the process and its children
    memory: int = 0  # the most bytes that it had resident


def run(command, folder, env=None):
    """Runs `command` to its end; `folder` names the file system that is synced before the clock stops."""
    sync(folder)
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        sync(folder)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            text = errors.read().decode(errors="replace").strip()
            raise RuntimeError(f"{command[0]} ended with {process.returncode}: {text}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def sync(folder):
    subprocess.run(["sync", "-f", folder], check=True)


# A part ends after about this many seconds; what is measured by then counts, if it is three rounds at least.
PART_LIMIT = 200
LEAST_ROUNDS = 3


def alternate(contestants, rounds):
    """Runs every contestant once a round, so that a change of the machine's mood meets all of them."""
    results = {name: [] for name in contestants}
    started = time.perf_counter()
    for number in range(1, rounds + 1):
        elapsed = time.perf_counter() - started
        if number > LEAST_ROUNDS and elapsed * number / (number - 1) > PART_LIMIT:
            print(f"  round {number} would take too long on this machine and is left out", flush=True)
            break
        for name, contestant in contestants.items():
            results[name].append(contestant())
            print(f"  round {number}/{rounds}: {name}: {shown(results[name][-1])}", flush=True)
    return results


def rounds_of(results):
    """How many rounds there were."""
    return min(len(values) for values in results.values())


def shown(result):
    if isinstance(result, Cost):
        return f"{result.wall:.2f} s, CPU {result.cpu:.2f} s"
    return f"{result:,.1f}"


def median(values):
    return statistics.median(values)


def spread(values, unit="", digits=2):
    """`median (least to most)`."""
    return f"{median(values):,.{digits}f}{unit} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"
