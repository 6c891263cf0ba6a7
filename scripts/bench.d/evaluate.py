"""CPU seconds and memory of evaluating adapters with the modules of real networks, against numpy on the same factors."""

import json
import os
import subprocess

import report
from measure import alternate, median, run, spread

FILES = [  # title, kind, rank, CPU seconds that it may take on two cores
    ("SDXL, rank 32", "sdxl", 32, 1.2),
    ("FLUX.1, rank 16", "flux", 16, 0.5),
    ("WAN 14B, rank 64", "wan", 64, 3.5),
    ("WAN 14B, rank 128", "wan", 128, 11),
]
DENSE = "lora_unet_input_blocks_7_1_transformer_blocks_0_attn1_to_q"  # 1280 x 1280


def measure(bench):
    rows, goals, memory = [], [], []
    for title, kind, rank, bound in FILES:
        path = os.path.join(bench.folder, f"{kind}-{rank}.safetensors")
        python("adapters.py", kind, str(rank), path)
        results = alternate({"lorakeep": lambda: evaluated(bench, path), "numpy": lambda: by_numpy(path)}, bench.rounds)
        own = [cost.cpu for cost in results["lorakeep"]]
        memory += [cost.memory / (1 << 20) for cost in results["lorakeep"]]
        rows.append([title, f"{os.path.getsize(path) / 1e6:,.0f} MB", spread(own, " s"), spread(results["numpy"], " s")])
        goals.append(report.Goal(f"{title}: CPU seconds", median(own), bound, False, " s"))
        goals.append(report.Goal(f"{title}: numpy over lorakeep", median(results["numpy"]) / median(own), 3, True))
        if kind == "sdxl":
            dense = [by_numpy(path, DENSE) for _ in range(bench.rounds)]
            rows.append(["one 1280 × 1280 module of it", "", spread([seconds / 722 * 1000 for seconds in own], " ms"),
                         spread([seconds * 1000 for seconds in dense], " ms") + ", whole change"])
            goals.append(report.Goal("one module: whole SVD over lorakeep", median(dense) / (median(own) / 722), 50, True))
        os.remove(path)
    goals.append(report.Goal("resident memory", max(memory), 200, False, " MiB"))
    explanation = (
        "Norm, whole spectrum, checks, applicability and resize advice of every module, from files with the names and shapes "
        "of real networks and noise for numbers: CPU seconds of the whole process on two threads. numpy finds singular values "
        "alone, by QR and SVD of the same factors in float32, without the start of Python; for one module by the SVD of the "
        f"whole change, as resizing scripts do it. {bench.rounds} alternating rounds, median (least to most), warm cache."
    )
    return report.section("Evaluation", explanation, ["file", "size", "lorakeep", "numpy"], rows, goals)


def evaluated(bench, path):
    example = os.path.join(os.path.dirname(bench.binary), "examples", "evaluate")
    return run([example, path], bench.folder)


def by_numpy(path, *module):
    return json.loads(python("spectra.py", path, *module))["cpu"]


def python(script, *arguments):
    path = os.path.join(os.path.dirname(__file__), script)
    done = subprocess.run([os.environ["TEST_PYTHON"], "-B", path, *arguments], capture_output=True, text=True, check=False,
                          env=os.environ | {"OPENBLAS_NUM_THREADS": "1"})  # idle threads of BLAS would spin and count
    if done.returncode != 0:
        raise RuntimeError(f"{script} failed: {done.stderr.strip()}")
    return done.stdout
