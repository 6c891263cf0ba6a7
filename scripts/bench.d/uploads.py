"""Uploads against `cat`, `sync` and `sha256sum`; reading and hashing many small files; the scanner on a large checkpoint."""

import http.client
import json
import os
import subprocess
import zipfile

import library
import report
import servers
from measure import Cost, alternate, median, rounds_of, run, spread

SECRET = "bench-secret-of-this-run-only-0123456789"
SMALL = 100_000  # bytes of one of many files
MIB = 1 << 20


def measure(bench):
    return "\n\n".join([sending(bench), many(bench), checkpoint(bench)])


def sending(bench):
    """A file of 500 MB (less when the run is small): as a form, in pieces, and copied by hand."""
    size = min(500_000_000, bench.size)
    source = os.path.join(bench.folder, "upload.safetensors")
    library.weight_file(source, size)
    copy = os.path.join(bench.folder, "copy.safetensors")
    by_hand = ["sh", "-c", f'cat "{source}" > "{copy}"; sync -f "{copy}"; sha256sum "{copy}"']
    env = servers.environment({"LORAKEEP_JWT_SECRET": SECRET})
    with servers.lorakeep(bench.binary, bench.folder, extra_env={"LORAKEEP_JWT_SECRET": SECRET}) as (_, port):
        token = subprocess.run([bench.binary, "--data-dir", os.path.join(bench.folder, "data"), "token", "create", "--role",
                                "admin", "--ttl", "1h", "--quiet"], env=env, capture_output=True, text=True, check=True).stdout
        vault = Vault(port, token.strip())
        form = ["curl", "-sSf", "-H", f"Authorization: Bearer {vault.token}", "-F", f"file=@{source}",
                f"http://127.0.0.1:{port}/api/v1/admin/lora/upload"]
        pieces = [bench.binary, "--server", f"http://127.0.0.1:{port}", "upload", source, "--token", vault.token, "--quiet"]
        results = alternate({
            "upload as a form (curl)": lambda: vault.timed(form, bench.folder),
            "upload in pieces (`lorakeep upload`)": lambda: vault.timed(pieces, bench.folder, env),
            "cat > file; sync; sha256sum": lambda: timed_without(copy, by_hand, bench.folder),
        }, bench.rounds)
    os.remove(source)
    own, other = results["upload as a form (curl)"], results["cat > file; sync; sha256sum"]
    ratio = median([cost.wall for cost in other]) / median([cost.wall for cost in own])
    rows = [[name, spread([cost.wall for cost in costs], " s")] for name, costs in results.items()]
    explanation = (
        f"{size / 1e6:,.0f} MB over loopback, hashed, scanned, synced, named and listed when it is answered; every clock "
        f"stopped after a `sync`. {rounds_of(results)} alternating rounds, median (least to most)."
    )
    goals = [report.Goal("speed of a form against copying by hand", ratio, 0.8, True)]
    return report.section("Uploads", explanation, ["what", "wall"], rows, goals)


def timed_without(path, command, folder):
    """The cost of a command that finds nothing at `path` and leaves nothing there."""
    cost = run(command, folder)
    os.remove(path)
    return cost


class Vault:
    """The uploaded file goes after each round: the same content would share its bytes with the one before."""

    def __init__(self, port, token):
        self.port, self.token = port, token

    def timed(self, command, folder, env=None):
        cost = run(command, folder, env)
        listed = json.loads(self.ask("GET", "/api/v1/admin/lora")[1])["items"]
        if len(listed) != 1:
            raise RuntimeError(f"one file should be uploaded, not {listed}")
        status, body = self.ask("DELETE", "/api/v1/admin/lora", {"partial_path": listed[0]["partial_path"]})
        if status != 200:
            raise RuntimeError(f"deleting answered {status}: {body!r}")
        status, _, body = servers.get(self.port, "/api/admin/bin?min_age_days=0", method="DELETE")
        if status != 200:
            raise RuntimeError(f"emptying the bin answered {status}: {body!r}")
        return cost

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def many(bench):
    """Files of 100 KB: what each is, whether it may be loaded, and its hashes."""
    folder = os.path.join(bench.folder, "many")
    os.makedirs(folder)
    for number in range(bench.entries):
        small_lora(os.path.join(folder, f"lora_{number:05}.safetensors"), number)
    inspect = [bench.binary, "inspect", folder, "--json"]
    env = servers.environment()
    results = alternate({
        "headers alone": lambda: run(inspect, bench.folder, env),
        "headers and every hash": lambda: run([*inspect, "--hashes"], bench.folder, env),
        "sha256sum, two at once": lambda: run(
            ["sh", "-c", f'find "{folder}" -type f -print0 | xargs -0 -P2 -n 500 sha256sum'], bench.folder),
    }, bench.rounds)
    subprocess.run(["rm", "-r", folder], check=True)
    rows = [[name, spread([cost.wall for cost in costs], " s"), spread([cost.cpu for cost in costs], " s"),
             f"{max(cost.memory for cost in costs) / MIB:.0f} MiB"] for name, costs in results.items()]
    wall = {name: median([cost.wall for cost in costs]) for name, costs in results.items()}
    goals = [
        report.Goal("scan, inspect and hash", wall["headers and every hash"], 3, False, " s"),
        report.Goal("headers alone, warm", wall["headers alone"], 1, False, " s"),
    ]
    explanation = (
        f"`lorakeep inspect FOLDER --json` over {bench.entries:,} LoRAs of 100 KB: strict header, kind, base model and trigger "
        f"words; with `--hashes` SHA-256, AutoV1 to AutoV3, BLAKE3 and CRC32 too. {rounds_of(results)} alternating rounds, median "
        "(least to most), warm cache."
    )
    return report.section("Many files", explanation, ["what", "wall", "CPU", "memory"], rows, goals)


def small_lora(path, number):
    """A LoRA with the names of a real one, whose content is its own."""
    module = f"lora_unet_input_blocks_4_1_transformer_blocks_{number % 2}_attn2_to_k"
    tensors, end = {"__metadata__": {"ss_network_dim": "4", "ss_tag_frequency": json.dumps({"10_x": {f"token {number}": 12}})}}, 0
    for name, shape in [("lora_down.weight", [4, 2048]), ("lora_up.weight", [640, 4]), ("rest", None)]:
        shape = shape or [(SMALL - 1024 - end) // 2]
        length = 2
        for side in shape:
            length *= side
        tensors[f"{module}.{name}"] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + length]}
        end += length
    header = json.dumps(tensors).encode()
    header = header.ljust(SMALL - 8 - end)
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header + number.to_bytes(8, "little") * (end // 8) + bytes(end % 8))


def checkpoint(bench):
    """A torch checkpoint of 2 GB: everything in it is accounted for, its check sums included."""
    path = os.path.join(bench.folder, "checkpoint.pt")
    torch_file(path, bench.size)
    env = servers.environment()
    results = alternate({
        "scan": lambda: run([bench.binary, "inspect", path, "--json"], bench.folder, env),
        "scan and every hash": lambda: run([bench.binary, "inspect", path, "--json", "--hashes"], bench.folder, env),
        "sha256sum": lambda: run(["sha256sum", path], bench.folder),
    }, bench.rounds)
    size = os.path.getsize(path)
    os.remove(path)
    rows = [[name, spread([cost.wall for cost in costs], " s"), f"{size / 1e9 / median([c.wall for c in costs]):.2f} GB/s",
             f"{max(cost.memory for cost in costs) / MIB:.0f} MiB"] for name, costs in results.items()]
    scans: list[Cost] = results["scan"]
    goals = [
        report.Goal("scan against sha256sum", median([c.wall for c in results["sha256sum"]]) / median([c.wall for c in scans]), 1, True),
        report.Goal("memory of a scan", max(cost.memory for cost in scans) / MIB, 64, False, " MiB"),
        report.Goal("memory with every hash", max(c.memory for c in results["scan and every hash"]) / MIB, 64, False, " MiB"),
    ]
    explanation = (
        f"`lorakeep inspect` of a torch checkpoint of {size / 1e9:.1f} GB with 1,000 tensors: every member's check sum is computed, "
        f"every opcode followed. {rounds_of(results)} alternating rounds, median (least to most), warm cache."
    )
    return report.section("A large checkpoint", explanation, ["what", "wall", "speed", "memory"], rows, goals)


def torch_file(path, size, count=1000):
    """What `torch.save` writes, but for the memo: a dict of `count` half tensors of `size` bytes together."""
    elements = size // count // 2
    text = lambda value: b"X" + len(value).to_bytes(4, "little") + value.encode()
    number = lambda value: b"J" + value.to_bytes(4, "little")
    pickle = b"\x80\x02}("
    for at in range(count):
        pickle += text(f"model.{at}.weight") + b"ctorch._utils\n_rebuild_tensor_v2\n(("
        pickle += text("storage") + b"ctorch\nHalfStorage\n" + text(str(at)) + text("cpu") + number(elements) + b"tQK\x00"
        pickle += number(elements) + b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
    pickle += b"u."
    block = os.urandom(elements * 2)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), pickle)
        for at in range(count):
            archive.writestr(zipfile.ZipInfo(f"archive/data/{at}"), block)
        archive.writestr(zipfile.ZipInfo("archive/version"), b"3\n")
