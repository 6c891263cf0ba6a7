"""Runs the named parts (all of them without a name), prints their tables and writes them to docs/performance.md."""

import contextlib
import os
import shutil
import signal
import sys
from dataclasses import dataclass

import cap
import entries
import evaluate
import listing
import memory
import report
import start
import studio
import styles
import transfer
import uploads
import web

PARTS = {"transfer": transfer, "cap": cap, "list": listing, "entries": entries, "start": start, "memory": memory,
         "evaluate": evaluate, "studio": studio, "uploads": uploads, "web": web, "styles": styles}


@dataclass(frozen=True)
class Bench:
    binary: str  # the release build of `lorakeep`
    standin: str  # the release build of the stand-in
    folder: str  # everything is written below it, and it is removed afterwards
    rounds: int
    size: int  # bytes of the large file
    entries: int  # of the large catalog
    seconds: int  # of one load run


def main():
    root = os.getcwd()
    names = sys.argv[1:] or [*PARTS]
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        sys.exit(f"there is no part `{unknown[0]}`; parts are {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    page = os.path.join(root, "docs", "performance.md")
    settings = {name: int(os.environ.get(f"LORAKEEP_BENCH_{name}", value)) for name, value in
                {"ROUNDS": 5, "MIB": 2048, "ENTRIES": 10_000, "SECONDS": 3}.items()}
    is_full = not any(f"LORAKEEP_BENCH_{name}" in os.environ for name in settings)
    for name in names:
        print(f"\n== {name}", flush=True)
        with work_folder(root) as folder:
            text = PARTS[name].measure(Bench(
                binary=os.path.join(root, "target", "release", "lorakeep"),
                standin=os.path.join(root, "target", "release", "lorakeep-standin"),
                folder=folder, rounds=settings["ROUNDS"], size=settings["MIB"] << 20,
                entries=settings["ENTRIES"], seconds=settings["SECONDS"]))
        print(f"\n{text}", flush=True)
        if is_full:
            report.write(page, name, text)
    facts = report.machine(root)
    print(f"\n{facts}")
    if is_full:
        report.write(page, "machine", facts)
    else:
        print("\nsome LORAKEEP_BENCH_ setting is given, so docs/performance.md stays as it is")


@contextlib.contextmanager
def work_folder(root):
    """A folder on the disk that holds the build: a folder in memory would measure something else."""
    folder = os.path.join(root, "target", f"bench-{os.getpid()}")
    os.makedirs(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()
