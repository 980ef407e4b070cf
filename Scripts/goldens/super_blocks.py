"""A matrix, and the super blocks that llama.cpp's quantiser makes of it, with and without the importance of its columns.

    python super_blocks.py llama-quantize     # writes Tests/Goldens/formats/super-blocks.safetensors

llama-quantize rounds whole models alone: the matrix is the last of a feed-forward layer in one that it takes for a Llama.
"""

import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np
from gguf import GGUFReader, GGUFWriter
from safetensors.numpy import save_file

WIDTH, INNER, VOCABULARY = 256, 512, 64
TARGET = pathlib.Path(__file__).parents[2] / "Tests/Goldens/formats/super-blocks.safetensors"
ROWS = 8


def write_model(path, matrix, random):
    writer = GGUFWriter(str(path), "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("none")

    def add(name, *shape):
        writer.add_tensor(name, (random.standard_normal(shape) * 0.05).astype(np.float32))

    add("token_embd.weight", VOCABULARY, WIDTH)
    add("output_norm.weight", WIDTH)
    for name in ["attn_q", "attn_k", "attn_v", "attn_output"]:
        add(f"blk.0.{name}.weight", WIDTH, WIDTH)
    add("blk.0.attn_norm.weight", WIDTH)
    add("blk.0.ffn_norm.weight", WIDTH)
    add("blk.0.ffn_gate.weight", INNER, WIDTH)
    add("blk.0.ffn_up.weight", INNER, WIDTH)
    writer.add_tensor("blk.0.ffn_down.weight", matrix)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_importance(path, importance):
    """The older layout of importance matrices, which is read still: entries of a name, a count of calls and values."""
    names = {f"blk.0.{name}.weight": WIDTH for name in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up"]}
    names["token_embd.weight"] = WIDTH
    with open(path, "wb") as file:
        file.write(struct.pack("i", len(names) + 1))
        for name, values in [(n, np.ones(w, np.float32)) for n, w in names.items()] + [("blk.0.ffn_down.weight", importance)]:
            file.write(struct.pack("i", len(name)) + name.encode())
            file.write(struct.pack("ii", 1, len(values)) + values.astype(np.float32).tobytes())
        file.write(struct.pack("ii", 1, 1) + b"-")


def main():
    quantize = sys.argv[1]
    random = np.random.default_rng(220)
    # Columns of different size, a few values far from the others, and rows that are no block of one sign.
    matrix = random.standard_t(5, (WIDTH, INNER)) * 0.02 * np.exp(0.5 * random.standard_normal(INNER))
    matrix = matrix.astype(np.float32)
    importance = (random.random(INNER) ** 4 * 10 + 0.01).astype(np.float32)
    result = {"matrix": matrix[:ROWS].copy(), "importance": importance}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write_model(folder / "model.gguf", matrix, random)
        write_importance(folder / "importance.dat", importance)
        for name, kind in [("q4_k", "Q4_K_S"), ("q5_k", "Q5_K_S"), ("q6_k", "Q6_K")]:
            for ending, words in [("", []), ("_weighted", ["--imatrix", str(folder / "importance.dat")])]:
                target = folder / f"{name}{ending}.gguf"
                subprocess.run(
                    [quantize, "--pure", *words, str(folder / "model.gguf"), str(target), kind], check=True,
                    capture_output=True)
                tensor = next(t for t in GGUFReader(str(target)).tensors if t.name == "blk.0.ffn_down.weight")
                assert tensor.tensor_type.name.lower() == name, tensor.tensor_type
                result[name + ending] = np.array(tensor.data[:ROWS])
    save_file(result, str(TARGET))
    print({name: value.shape for name, value in result.items()})


main()
