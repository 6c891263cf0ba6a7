"""Turns results into Markdown, prints it, and puts it between the markers of `docs/performance.md`."""

import datetime
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    what: str
    value: float
    bound: float
    at_least: bool
    unit: str = "×"

    def line(self):
        met = self.value >= self.bound if self.at_least else self.value <= self.bound
        sign = "at least" if self.at_least else "at most"
        return f"| {self.what} | {self.value:,.2f}{self.unit} | {sign} {self.bound:g}{self.unit} | {'yes' if met else '**no**'} |"


def section(title, explanation, header, rows, goals):
    """One part of the page: what was measured, the figures, the goals."""
    lines = [f"### {title}", "", f"{explanation} Measured {today()}.", ""]
    lines += table(header, rows) + [""]
    lines += ["| goal | measured | wanted | met |", "|---|---|---|---|"] + [goal.line() for goal in goals]
    return "\n".join(lines)


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def today():
    return datetime.date.today().isoformat()


def write(page, part, text):
    """Replaces what stands between the part's markers; the markers must be there."""
    with open(page, encoding="utf-8") as file:
        old = file.read()
    pattern = re.compile(rf"(<!-- {part} -->\n).*?(<!-- /{part} -->)", re.DOTALL)
    new, count = pattern.subn(lambda match: f"{match[1]}{text}\n{match[2]}", old)
    if count != 1:
        raise RuntimeError(f"{page} has no markers for `{part}`")
    with open(page, "w", encoding="utf-8") as file:
        file.write(new)


def machine(folder):
    """What the figures were measured on, as a table."""
    cpu = proc("/proc/cpuinfo")
    flags = cpu.get("flags", "").split()
    memory = int(proc("/proc/meminfo")["MemTotal"].split()[0]) / (1 << 20)
    rows = [
        ["processor", f"{cpu.get('model name', platform.machine())}, {os.cpu_count()} cores, "
         f"SHA instructions: {'yes' if 'sha_ni' in flags or 'sha2' in flags else 'no'}"],
        ["memory", f"{memory:.0f} GiB"],
        ["system", f"Linux {platform.release().split('-')[0]}, {file_system(folder)}"],
        ["compared with", ", ".join(filter(None, [version("nginx", "-v"), version("aria2c"), version("curl")]))],
        ["date", today()],
    ]
    return "\n".join(table(["what", "value"], rows))


def proc(path):
    facts = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition(":")
            facts.setdefault(name.strip(), value.strip())
    return facts


def file_system(folder):
    done = subprocess.run(["df", "--output=fstype", folder], capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


def version(program, flag="--version"):
    found = re.search(r"\d+\.\d+(\.\d+)?", first_line([program, flag])) if shutil.which(program) else None
    return f"{program} {found[0]}" if found else ""


def first_line(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().split("\n")[0]
