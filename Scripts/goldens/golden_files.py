"""Writes golden values: one JSON description beside little-endian float32 arrays."""

import json
import os
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2] / "Tests" / "Goldens" / "models"


def write_json(path, value):
    """Writes JSON with lists of numbers on one line each, so that diffs stay readable."""

    def render(item, indent):
        inner = indent + "  "
        if isinstance(item, dict) and item:
            rows = [f"{inner}{json.dumps(k)}: {render(v, inner)}" for k, v in item.items()]
            return "{\n" + ",\n".join(rows) + "\n" + indent + "}"
        if isinstance(item, list) and item and any(isinstance(entry, (dict, list)) for entry in item):
            return "[\n" + ",\n".join(inner + render(entry, inner) for entry in item) + "\n" + indent + "]"
        return json.dumps(item, ensure_ascii=False)

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(value, "") + "\n", encoding="utf-8")


def write_logits(folder, name, logits, positions=None, vocabulary_stride=1):
    """Stores rows `positions` (all when absent) and every n-th column; returns the JSON that describes the file."""
    rows = list(range(logits.shape[0])) if positions is None else list(positions)
    stored = np.ascontiguousarray(logits[rows, ::vocabulary_stride], dtype="<f4")
    folder.mkdir(parents=True, exist_ok=True)
    stored.tofile(folder / name)
    return {
        "file": name,
        "dtype": "float32 little-endian, row-major",
        "shape": list(stored.shape),
        "firstPosition": rows[0],
        "vocabularyStride": vocabulary_stride,
    }


def link(path, target):
    """Makes `path` a relative symbolic link, so that folders which share weights stay complete and cost no bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or path.exists():
        path.unlink()
    path.symlink_to(os.path.relpath(target, path.parent))
