"""What numpy needs for the same: `spectra.py FILE` finds the singular values of every module by QR and SVD of its
factors in float32; `spectra.py FILE MODULE` those of one module by an SVD of its whole change, as resizing tools do.
Prints the CPU seconds, without those of starting Python."""

import json
import sys
import time

import numpy


class Adapter:
    def __init__(self, path):
        self.file = open(path, "rb")
        length = int.from_bytes(self.file.read(8), "little")
        self.header = json.loads(self.file.read(length))
        self.start = 8 + length

    def modules(self):
        ends = (".lora_up.weight", ".lora_B.weight")
        return [(name, end) for name in self.header for end in ends if name.endswith(end)]

    def factors(self, name, end):
        other = {".lora_up.weight": ".lora_down.weight", ".lora_B.weight": ".lora_A.weight"}[end]
        return self.tensor(name), self.tensor(name.removesuffix(end) + other)

    def tensor(self, name):
        entry = self.header[name]
        begin, end = entry["data_offsets"]
        self.file.seek(self.start + begin)
        bits = numpy.frombuffer(self.file.read(end - begin), "<u2")
        if entry["dtype"] == "BF16":
            numbers = (bits.astype(numpy.uint32) << 16).view(numpy.float32)
        else:
            numbers = bits.view(numpy.float16).astype(numpy.float32)
        return numbers.reshape(entry["shape"])


def by_factors(up, down):
    left = numpy.linalg.qr(up, mode="r")
    right = numpy.linalg.qr(down.T, mode="r")
    return numpy.linalg.svd((left @ right.T).astype(numpy.float64), compute_uv=False)


def main():
    adapter = Adapter(sys.argv[1])
    started = time.process_time()
    total = 0.0
    if len(sys.argv) > 2:
        name, end = next(pair for pair in adapter.modules() if pair[0].startswith(sys.argv[2]))
        up, down = adapter.factors(name, end)
        total = (numpy.linalg.svd(up @ down)[1] ** 2).sum()
    else:
        for name, end in adapter.modules():
            total += (by_factors(*adapter.factors(name, end)) ** 2).sum()
    print(json.dumps({"cpu": time.process_time() - started, "energy": float(total)}))


main()
