"""Writes Tests/Goldens/tokenizer/trained-*.json: byte-level BPEs that `tokenizers` learnt from corpus.bin.

    venv/bin/python Scripts/goldens/trained_tokenizers.py

A pair must come twice to be merged. Lines that are not UTF-8 are repaired as Python does it. The same version gives the same files.
"""

import struct

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizer_corpus import FOLDER

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def lines():
    data = (FOLDER / "corpus.bin").read_bytes()
    position = 0
    while position + 2 <= len(data):
        (count,) = struct.unpack_from("<H", data, position)
        yield data[position + 2 : position + 2 + count].decode("utf-8", errors="replace")
        position += 2 + count


def train(name, size, pattern, special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    ]) if pattern else pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(lines(), trainers.BpeTrainer(
        vocab_size=size, min_frequency=2, special_tokens=["<|endoftext|>"] + special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.save(str(FOLDER / f"trained-{name}.json"), pretty=False)


train("gpt2", 1500, None, [])
train("llama3", 700, LLAMA3, ["<|im_start|>", "<|im_end|>"])
