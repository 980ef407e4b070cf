"""Makes Tests/Goldens/formats: small GGUF and safetensors files by the formats' own Python packages, and what they hold.

    python3 -m venv venv && venv/bin/pip install gguf==0.19.0 safetensors==0.8.0
    venv/bin/python Scripts/goldens/checkpoint_formats.py
"""
import json
import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from safetensors.numpy import save_file

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "Goldens" / "formats"
ROWS, COLUMNS = 3, 256


def blocks_with_sane_scales(random, type, half_offsets):
    """Random blocks of a K format; the package cannot quantise to it, but can say what any bytes mean."""
    elements, size = gguf.GGML_QUANT_SIZES[type]
    size *= COLUMNS // elements
    blocks = random.integers(0, 256, (ROWS, size), dtype=np.uint8)
    for offset in half_offsets:
        scales = random.uniform(-0.02, 0.02, ROWS).astype(np.float16)
        blocks[:, offset:offset + 2] = scales.view(np.uint8).reshape(ROWS, 2)
    return blocks


def quantized():
    """One tensor of every type that can be computed with, and two that cannot."""
    random = np.random.default_rng(20261123)
    writer = gguf.GGUFWriter(FOLDER / "quantized.gguf", "llama")
    expected = {}

    def add(name, raw, type, values):
        writer.add_tensor(name, raw, raw_dtype=type)
        expected[name] = np.ascontiguousarray(values, dtype=np.float32)

    values = random.normal(0, 1, (ROWS, COLUMNS)).astype(np.float32)
    for type in [Type.F32, Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0]:
        raw = gguf.quants.quantize(values, type)
        add(type.name.lower(), raw, type, gguf.quants.dequantize(raw, type))
    for type, half_offsets in [(Type.Q4_K, (0, 2)), (Type.Q5_K, (0, 2)), (Type.Q6_K, (208,))]:
        raw = blocks_with_sane_scales(random, type, half_offsets)
        add(type.name.lower(), raw, type, gguf.quants.dequantize(raw, type))
    low_bits = [(Type.Q2_K, (80, 82)), (Type.Q3_K, (108,)), (Type.IQ4_NL, range(0, 144, 18)), (Type.IQ4_XS, (0,)),
                (Type.TQ1_0, (52,)), (Type.TQ2_0, (64,))]
    for type, half_offsets in low_bits:
        raw = blocks_with_sane_scales(random, type, half_offsets)
        add(type.name.lower(), raw, type, gguf.quants.dequantize(raw, type))
    for type, kind in [(Type.F64, np.float64), (Type.I32, np.int32), (Type.I64, np.int64)]:
        raw = random.integers(-1000, 1000, (2, 3, 5)).astype(kind)
        add(type.name.lower(), raw, type, raw)
    unread = blocks_with_sane_scales(random, Type.IQ2_XXS, (0,))
    writer.add_tensor("iq2_xxs", unread, raw_dtype=Type.IQ2_XXS)
    writer.add_tensor("i8", np.arange(7, dtype=np.int8))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(expected, FOLDER / "quantized.safetensors", metadata={"made-by": "gguf-py"})


def metadata():
    """Every type of metadata value; metadata.json has what the package reads back."""
    path = FOLDER / "metadata.gguf"
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_uint8("a.uint8", 255)
    writer.add_int8("a.int8", -128)
    writer.add_uint16("a.uint16", 65535)
    writer.add_int16("a.int16", -32768)
    writer.add_uint32("a.uint32", 4294967295)
    writer.add_int32("a.int32", -2147483648)
    writer.add_float32("a.float32", 1e-5)
    writer.add_float64("a.float64", 1e-300)
    writer.add_uint64("a.uint64", 2**63 - 1)
    writer.add_int64("a.int64", -(2**63))
    writer.add_bool("a.true", True)
    writer.add_bool("a.false", False)
    writer.add_string("a.string", "Grüße, 世界\n")
    writer.add_array("b.integers", [1, -2, 3])
    writer.add_array("b.floats", [0.5, -0.25])
    writer.add_array("b.booleans", [True, False, True])
    writer.add_array("b.strings", ["", "naïve", "龍"])
    writer.add_array("b.nested", [[1, 2], [3]])
    writer.add_custom_alignment(64)
    writer.add_tensor("one", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("two", np.arange(4, dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    fields = gguf.GGUFReader(path).fields
    expected = {key: plain(field.contents()) for key, field in fields.items() if not key.startswith("GGUF.")}
    # The reader flattens nested arrays.
    expected["b.nested"] = [[1, 2], [3]]
    (FOLDER / "metadata.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n")


def plain(value):
    """NumPy numbers as Python ones."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def split():
    """A model in three parts."""
    writer = gguf.GGUFWriter(FOLDER / "split.gguf", "llama", split_max_tensors=2)
    writer.add_block_count(1)
    for index in range(5):
        writer.add_tensor(f"tensor.{index}", np.full((2, 4), index, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tokenizer():
    """A vocabulary of a few tokens."""
    writer = gguf.GGUFWriter(FOLDER / "tokenizer.gguf", "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(["<|end|>", "a", "b", "ab", "Ġ", "<tool>"])
    writer.add_token_types([3, 1, 1, 1, 1, 4])
    writer.add_token_scores([0.0, -1.0, -2.0, -3.0, -4.0, -5.0])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_eot_token_id(5)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template("{{ messages[0].content }}")
    writer.add_name("Tiny")
    writer.add_license("apache-2.0")
    writer.add_description("Six tokens.")
    writer.add_tensor("token_embd.weight", np.zeros((6, 4), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def safetensors():
    """Every type that is read, one that is not, an empty tensor and a scalar."""
    save_file(
        {
            "f64": np.array([[1.5, -2.5]], dtype=np.float64),
            "f32": np.arange(6, dtype=np.float32).reshape(1, 2, 3),
            "f16": np.array([0.5, 65504], dtype=np.float16),
            "i64": np.array([-(2**63), 2**63 - 1], dtype=np.int64),
            "i32": np.array([-7, 7], dtype=np.int32),
            "u8": np.array([0, 255], dtype=np.uint8),
            "mask": np.array([True, False, True]),
            "scalar": np.array(3.25, dtype=np.float32),
            "empty": np.zeros((0, 4), dtype=np.float32),
        },
        FOLDER / "types.safetensors",
        metadata={"format": "pt", "author": "Angel"},
    )


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    quantized()
    metadata()
    split()
    tokenizer()
    safetensors()
