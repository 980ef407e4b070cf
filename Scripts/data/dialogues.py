"""Writes the English dialogues of the PyPI package chatterbot-corpus as rows of messages for `angel train`.

Run: pip download --no-deps chatterbot-corpus; unzip it; python Scripts/data/dialogues.py chatterbot_corpus/data/english TARGET

TARGET/train.jsonl and TARGET/held-out.jsonl: every distinct dialogue once (tech_support.yml repeats ten of them 1,050 times), turns
of user and assistant in turn; every tenth by the digest of its first turn, so that no question is in both files, is held out.
"""

import hashlib
import json
import sys
from pathlib import Path

import yaml

# Characters of a bot of another name, and jokes at somebody's expense.
LEFT_OUT = {"botprofile", "gossip", "humor", "politics"}


def rows(folder):
    seen = set()
    for path in sorted(Path(folder).glob("*.yml")):
        if path.stem in LEFT_OUT:
            continue
        for turns in yaml.safe_load(path.read_text(encoding="utf-8"))["conversations"]:
            turns = tuple(" ".join(str(turn).split()) for turn in turns)
            turns = turns[: len(turns) // 2 * 2]
            if not turns or turns in seen:
                continue
            seen.add(turns)
            roles = ["user", "assistant"] * (len(turns) // 2)
            yield {"messages": [{"role": role, "content": turn} for role, turn in zip(roles, turns)]}


def is_held_out(row):
    return hashlib.sha256(row["messages"][0]["content"].lower().encode()).digest()[0] % 10 == 0


def main():
    folder, target = sys.argv[1], Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    parts = {"train.jsonl": [], "held-out.jsonl": []}
    for row in rows(folder):
        parts["held-out.jsonl" if is_held_out(row) else "train.jsonl"].append(row)
    for name, content in parts.items():
        (target / name).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content), "utf-8")
        print(f"{target / name}: {len(content)} rows")


main()
