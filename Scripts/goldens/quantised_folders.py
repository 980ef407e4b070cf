"""Makes tiny quantised Hugging Face folders in the layouts of other programs, and the logits of their weights.

Run: python Scripts/goldens/quantised_folders.py      (about one minute; needs compressed-tensors 0.20 beside requirements.txt)

GPTQ's and AWQ's packing is written here as their packages publish it (AutoGPTQ and GPTQModel `qlinear`, AutoAWQ `gemm.py`).
The weights that the logits are of come from the whole numbers before packing, never from what was packed; what was packed
is unpacked again by other formulas and compared. compressed-tensors packs and unpacks its own folders.
"""

import json
import shutil

import numpy as np
import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32, unpack_from_int32
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import tiny_models
from golden_files import ROOT, link, write_json
from tiny_configs import llama

CONFIG = llama(hidden_size=64, intermediate_size=128, num_attention_heads=4, num_key_value_heads=2)
FOLDERS = ROOT.parent / "quantised"
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def is_linear(name):
    return name.endswith(".weight") and name.split(".")[-2] in LINEAR


def rounded(weight, bits, size, symmetric, dtype, groups=None, zero_of=None):
    """Codes [outputs, inputs], scales and zeros [outputs, groups], and the group of each input."""
    outputs, inputs = weight.shape
    groups = np.arange(inputs) // size if groups is None else groups
    count = int(groups.max()) + 1
    scales = np.zeros((outputs, count), np.float32)
    zeros = np.full((outputs, count), 1 << (bits - 1), np.int64)
    codes = np.zeros((outputs, inputs), np.int64)
    top = (1 << bits) - 1
    for group in range(count):
        part = weight[:, groups == group]
        low, high = np.minimum(part.min(1), 0), np.maximum(part.max(1), 0)
        scale = np.maximum(-low, high) / (top // 2) if symmetric else (high - low) / top
        scales[:, group] = torch.from_numpy(scale.astype(np.float32)).to(dtype).float().numpy()
        if not symmetric:
            zeros[:, group] = np.clip(np.round(-low / scales[:, group]), 0, top)
            if zero_of is not None:
                zeros[:, group] = zero_of(zeros[:, group], group)
        codes[:, groups == group] = np.clip(
            np.round(part / scales[:, [group]]) + zeros[:, [group]], 0, top
        )
    return codes, scales, zeros, groups


def dequantised(codes, scales, zeros, groups):
    """The definition: scale times (code less zero), in float32."""
    return (scales[:, groups] * (codes - zeros[:, groups]).astype(np.float32)).astype(np.float32)


def words(stream, bits):
    """A little-endian stream of codes along the first axis as int32 words, for any number of bits."""
    count, width = stream.shape
    result = np.zeros((count * bits // 32, width), np.uint64)
    for index in range(count):
        word, offset = index * bits // 32, index * bits % 32
        value = stream[index].astype(np.uint64)
        result[word] |= (value << np.uint64(offset)) & np.uint64(0xFFFFFFFF)
        if offset + bits > 32:
            result[word + 1] |= value >> np.uint64(32 - offset)
    return torch.from_numpy(result.astype(np.uint32).view(np.int32).copy())


def unpacked(packed, bits):
    """The codes of `words`, by way of bytes and single bits."""
    rows = np.ascontiguousarray(packed.numpy().T).view(np.uint8)
    digits = np.unpackbits(rows, axis=1, bitorder="little").reshape(rows.shape[0], -1, bits)
    return (digits.astype(np.int64) << np.arange(bits)).sum(2).T


def gptq(module, weight, bits, size, symmetric, version, dtype=torch.float16, order=None, zero_of=None):
    """qweight, qzeros, scales and g_idx of one layer, and its values."""
    groups = None if order is None else order(weight.shape[1])
    codes, scales, zeros, groups = rounded(weight, bits, size, symmetric, dtype, groups, zero_of)
    qweight, qzeros = words(codes.T, bits), words(zeros, bits).T.contiguous()
    assert (unpacked(qweight, bits) == codes.T).all() and (unpacked(qzeros.T.contiguous(), bits) == zeros).all()
    if version == 1:
        # As GPTQModel writes it: one less in every code, by a subtraction of whole words.
        ones = sum(1 << position for position in range(0, 32, bits))
        qzeros = torch.from_numpy((qzeros.numpy().view(np.uint32) - np.uint32(ones)).view(np.int32).copy())
    tensors = {
        f"{module}.qweight": qweight.contiguous(),
        f"{module}.qzeros": qzeros.contiguous(),
        f"{module}.scales": torch.from_numpy(scales.T.copy()).to(dtype),
        f"{module}.g_idx": torch.from_numpy(groups.astype(np.int32)),
    }
    return tensors, dequantised(codes, scales, zeros, groups)


def awq(module, weight, size, zeros=True):
    """qweight, qzeros and scales of one layer, packed as AutoAWQ's loop does."""
    codes, scales, points, groups = rounded(weight, 4, size, not zeros, torch.float16)

    def pack(matrix):
        result = np.zeros((matrix.shape[0], matrix.shape[1] // 8), np.uint32)
        for column in range(result.shape[1]):
            for nibble in range(8):
                part = matrix[:, 8 * column + AWQ_ORDER[nibble]].astype(np.uint32)
                result[:, column] |= part << np.uint32(4 * nibble)
        return torch.from_numpy(result.view(np.int32).copy())

    def check(packed, matrix):
        nibbles = (packed.numpy().view(np.uint32)[:, :, None] >> np.arange(0, 32, 4, dtype=np.uint32)) & 15
        back = nibbles[:, :, [0, 4, 1, 5, 2, 6, 3, 7]].reshape(matrix.shape)
        assert (back == matrix).all()

    tensors = {f"{module}.qweight": pack(codes.T), f"{module}.scales": torch.from_numpy(scales.T.copy()).half()}
    check(tensors[f"{module}.qweight"], codes.T)
    if zeros:
        tensors[f"{module}.qzeros"] = pack(points.T)
        check(tensors[f"{module}.qzeros"], points.T)
    return tensors, dequantised(codes, scales, points, groups)


def packed(module, weight, bits, size, symmetric, dtype, order=None):
    """weight_packed and the rest by compressed-tensors' own functions."""
    groups = None if order is None else order(weight.shape[1])
    codes, scales, zeros, groups = rounded(weight, bits, size, symmetric, dtype, groups)
    middle = 1 << (bits - 1)
    signed = torch.from_numpy((codes - middle).astype(np.int8))
    tensors = {
        f"{module}.weight_packed": pack_to_int32(signed, bits),
        f"{module}.weight_scale": torch.from_numpy(scales).to(dtype),
        f"{module}.weight_shape": torch.tensor(weight.shape),
    }
    assert (unpack_from_int32(tensors[f"{module}.weight_packed"], bits, torch.Size(weight.shape)) == signed).all()
    if not symmetric:
        points = torch.from_numpy((zeros - middle).astype(np.int8))
        tensors[f"{module}.weight_zero_point"] = pack_to_int32(points, bits, packed_dim=0).contiguous()
    if order is not None:
        tensors[f"{module}.weight_g_idx"] = torch.from_numpy(groups.astype(np.int32))
    return tensors, dequantised(codes, scales, zeros, groups)


def naive(module, weight, dtype):
    """int8 with a scale for each output."""
    codes, scales, zeros, groups = rounded(weight, 8, weight.shape[1], True, dtype)
    tensors = {
        f"{module}.weight": torch.from_numpy((codes - 128).astype(np.int8)),
        f"{module}.weight_scale": torch.from_numpy(scales).to(dtype),
    }
    return tensors, dequantised(codes, scales, zeros, groups)


def float8(module, weight, whole):
    """E4M3 with one scale for each output, or for all."""
    largest = np.abs(weight).max() if whole else np.abs(weight).max(1, keepdims=True)
    scales = torch.from_numpy(np.asarray(largest / 448, np.float32)).bfloat16()
    values = (torch.from_numpy(weight) / scales.float()).to(torch.float8_e4m3fn)
    tensors = {f"{module}.weight": values, f"{module}.weight_scale": scales.reshape(1) if whole else scales}
    return tensors, (values.float() * scales.float()).half().float().numpy()


def shuffled(size):
    """Groups of inputs as act-order leaves them."""
    return lambda inputs: np.random.Generator(np.random.PCG64(7)).permutation(np.arange(inputs) // size)


def halves(pair):
    """The values as float16 has them, which is how matrices are held that no block format has."""
    tensors, values = pair
    return tensors, torch.from_numpy(values).half().float().numpy()


def gptq_config(bits, size, symmetric, version, order=False):
    return {
        "quant_method": "gptq", "bits": bits, "group_size": size, "sym": symmetric, "desc_act": order,
        "checkpoint_format": "gptq" if version == 1 else "gptq_v2", "lm_head": False,
    }  # fmt: skip


def awq_config(size, zeros=True):
    return {
        "quant_method": "awq", "bits": 4, "group_size": size, "zero_point": zeros, "version": "gemm",
        "modules_to_not_convert": ["lm_head"],
    }  # fmt: skip


def compressed(form, bits, strategy, size=None, symmetric=True, kind="int", order=None, activations=None):
    weights = {
        "num_bits": bits, "type": kind, "symmetric": symmetric, "strategy": strategy, "group_size": size,
        "actorder": order, "dynamic": False, "block_structure": None, "observer": "minmax", "observer_kwargs": {},
    }  # fmt: skip
    group = {"targets": ["Linear"], "weights": weights, "input_activations": activations, "output_activations": None}
    return {
        "quant_method": "compressed-tensors", "format": form, "quantization_status": "compressed",
        "config_groups": {"group_0": group}, "ignore": ["lm_head"], "kv_cache_scheme": None,
        "global_compression_ratio": None,
    }  # fmt: skip


HALF, BRAIN = torch.float16, torch.bfloat16
DYNAMIC = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}
CASES = {
    "gptq-sym4": (gptq_config(4, 32, True, 1), lambda m, w: gptq(m, w, 4, 32, True, 1)),
    "gptq-asym4": (
        gptq_config(4, 64, False, 1),
        # A zero of 0 borrows from its neighbour in the first format.
        lambda m, w: gptq(m, w, 4, 64, False, 1, zero_of=lambda z, g: np.where(np.arange(len(z)) % 9 == 2, 0, z)),
    ),
    "gptq-v2-asym4": (gptq_config(4, -1, False, 2), lambda m, w: gptq(m, w, 4, w.shape[1], False, 2)),
    "gptq-sym8": (gptq_config(8, 32, True, 1), lambda m, w: gptq(m, w, 8, 32, True, 1, dtype=BRAIN)),
    "gptq-asym8": (gptq_config(8, 64, False, 2), lambda m, w: halves(gptq(m, w, 8, 64, False, 2))),
    "gptq-order": (
        gptq_config(4, 32, True, 2, order=True),
        lambda m, w: halves(gptq(m, w, 4, 32, True, 2, order=shuffled(32))),
    ),
    "gptq-sym2": (gptq_config(2, 32, True, 1), lambda m, w: gptq(m, w, 2, 32, True, 1)),
    "gptq-v2-asym3": (gptq_config(3, 32, False, 2), lambda m, w: gptq(m, w, 3, 32, False, 2)),
    "gptq-float32": (gptq_config(4, 64, True, 2), lambda m, w: gptq(m, w, 4, 64, True, 2, dtype=torch.float32)),
    "awq": (awq_config(32), lambda m, w: awq(m, w, 32)),
    "awq-symmetric": (awq_config(64, zeros=False), lambda m, w: awq(m, w, 64, zeros=False)),
    "packed-sym4": (compressed("pack-quantized", 4, "group", 32), lambda m, w: packed(m, w, 4, 32, True, BRAIN)),
    "packed-asym4": (
        compressed("pack-quantized", 4, "group", 64, symmetric=False),
        lambda m, w: packed(m, w, 4, 64, False, BRAIN),
    ),
    "packed-order": (
        compressed("pack-quantized", 4, "group", 32, order="group"),
        lambda m, w: halves(packed(m, w, 4, 32, True, BRAIN, order=shuffled(32))),
    ),
    "packed-channel8": (
        compressed("pack-quantized", 8, "channel"), lambda m, w: packed(m, w, 8, w.shape[1], True, HALF)
    ),
    "int8": (compressed("int-quantized", 8, "channel", activations=DYNAMIC), lambda m, w: naive(m, w, BRAIN)),
    "float8": (compressed("float-quantized", 8, "channel", kind="float"), lambda m, w: float8(m, w, False)),
    "float8-tensor": (compressed("naive-quantized", 8, "tensor", kind="float"), lambda m, w: float8(m, w, True)),
}  # fmt: skip


def write(name, weights, seed):
    """One folder: what is quantised beside what is not, and the logits of the values."""
    scheme, quantise = CASES[name]
    folder, tensors, values = FOLDERS / name, {}, {}
    for key, weight in weights.items():
        if is_linear(key):
            parts, values[key] = quantise(key.removesuffix(".weight"), weight)
            tensors |= parts
        else:
            tensors[key] = torch.from_numpy(weight).half()
            values[key] = tensors[key].float().numpy()
    tiny_models.save_config(folder, CONFIG | {"torch_dtype": "float16", "quantization_config": scheme})
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for file in ("tokenizer.json", "tokenizer_config.json"):
        link(folder / file, ROOT / "llama-tiny" / file)
    model = AutoModelForCausalLM.from_pretrained(
        FOLDERS / "plain", dtype=torch.float32, attn_implementation="eager", torch_dtype=torch.float32
    ).eval()
    model.load_state_dict({key: torch.from_numpy(value) for key, value in values.items()}, strict=True)
    tokens = tiny_models.prompt_tokens(CONFIG, 24, seed)
    positions = range(20, 24)
    value = tiny_models.case(model, folder, "logits", tokens, positions, stride=1, with_rotary=False)
    write_json(folder / "golden.json", {"short": value})
    # The package no longer reads what its earlier versions wrote of groups in order of importance.
    if scheme["quant_method"] == "compressed-tensors" and name != "packed-order":
        check_package(folder, scheme, values)


def check_package(folder, scheme, values):
    """The package's own reading of the folder is what the logits are of."""
    from compressed_tensors.compressors.base import BaseCompressor
    from compressed_tensors.quantization import QuantizationScheme

    tensors = load_file(folder / "model.safetensors")
    compressor = BaseCompressor.get_value_from_registry(scheme["format"])
    layers = QuantizationScheme(**scheme["config_groups"]["group_0"])
    for key, want in values.items():
        if not is_linear(key):
            continue
        prefix = key.removesuffix("weight")
        state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        state = {k: v.float() if k == "weight_scale" else v for k, v in state.items()}
        got = compressor.decompress(state, layers)["weight"].float().numpy()
        assert np.allclose(got, want, rtol=1e-3, atol=1e-6), (folder.name, key, np.abs(got - want).max())


def main():
    """Replaces Tests/Goldens/quantised."""
    shutil.rmtree(FOLDERS, ignore_errors=True)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    weights = tiny_models.random_weights(CONFIG, seed=900)
    plain = FOLDERS / "plain"
    tiny_models.save_config(plain, CONFIG)
    save_file({k: torch.from_numpy(v) for k, v in weights.items()}, plain / "model.safetensors", metadata={"format": "pt"})
    for index, name in enumerate(CASES):
        write(name, weights, seed=910 + index)
        print(name, flush=True)
    shutil.rmtree(plain)
    versions = {"compressed-tensors": __import__("compressed_tensors").__version__, "torch": torch.__version__}
    versions |= {"transformers": __import__("transformers").__version__, "numpy": np.__version__}
    (FOLDERS / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main()
