"""Rows packed by the zstd and gzip programs: what unpacking must give back.

Run: python Scripts/goldens/packed_rows.py     (a second; needs the programs zstd 1.5 and gzip)
"""

import json
import random
import subprocess

from golden_files import ROOT

TARGET = ROOT.parent / "packed"
WORDS = "the of and to in a is that for it was on are as with his they at be this from have or by one had not but".split()


def rows(count, seed):
    source = random.Random(seed)
    for index in range(count):
        text = " ".join(source.choices(WORDS, k=source.randint(3, 60)))
        yield json.dumps({"text": text, "number": index, "noise": "%016x" % source.getrandbits(64)}) + "\n"


def main():
    TARGET.mkdir(parents=True, exist_ok=True)
    path = TARGET / "rows.jsonl"
    path.write_text("".join(rows(150, seed=1)))
    data = path.read_bytes()
    (TARGET / "low.jsonl.zst").write_bytes(subprocess.run(["zstd", "-1", "-c"], input=data, capture_output=True, check=True).stdout)
    (TARGET / "high.jsonl.zst").write_bytes(
        subprocess.run(["zstd", "-19", "--no-check", "-c", str(path)], capture_output=True, check=True).stdout)
    # Repeats of one byte, bytes that do not pack, and two frames.
    noise = random.Random(2).randbytes(3000)
    blob = b"a" * 200_000 + noise + b"b" * 7 + data[:5000]
    parts = [subprocess.run(["zstd", "-3", "-c"], input=part, capture_output=True, check=True).stdout
             for part in (blob[:150_000], blob[150_000:])]
    (TARGET / "frames.zst").write_bytes(b"".join(parts))
    (TARGET / "rows.jsonl.gz").write_bytes(
        subprocess.run(["gzip", "-n", "-9"], input=data, capture_output=True, check=True).stdout)


main()
