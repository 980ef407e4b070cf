"""Makes the tiny random checkpoints of the other dense families and their golden values, as tiny_models.py does.

Run: python Scripts/goldens/tiny_families.py [FAMILY...]      (half a minute for all; versions in requirements.txt)

A family needs its configurations in tiny_family_configs.py, and in gguf_families.py what is particular about its GGUF
files; weights are made by the names and shapes that transformers gives them.
"""

import json
import shutil
import sys
import zlib

import numpy as np
import torch
from gguf import GGMLQuantizationType as Quantization
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

import gguf_families
import tiny_models
from golden_files import ROOT, link, write_json
from tiny_family_configs import FAMILIES, SPELLINGS

# Greedy continuations whose best two logits come closer than this would be a matter of rounding.
SMALLEST_GAP = 1e-3


def value_of(name, shape, config, random):
    """Projections keep the variance, norms lie around 1 (around 0 where the model adds 1), biases around 0."""
    normal = random.standard_normal(shape)
    if name.endswith("bias"):
        return 0.3 * normal
    if len(shape) == 1:
        centre = 0.0 if config["model_type"].startswith("gemma") else 1.0
        return centre + (0.3 if "q_norm" in name or "k_norm" in name or "query_" in name else 0.2) * normal
    if "embed_tokens" in name or "wte" in name or "wpe" in name:
        # A tied head sees the input embedding again; kept small, or every greedy token would repeat the last one.
        return (0.2 if config["tie_word_embeddings"] else 1.0) * normal
    if name == "lm_head.weight":
        return 2.0 * normal / np.sqrt(shape[1])
    # GPT-2's layers are [inputs, outputs].
    inputs = shape[0] if config["model_type"] == "gpt2" else shape[1]
    scale = 1.5 if any(part in name for part in ("q_proj", "k_proj", "c_attn", "qkv_proj")) else 1.0
    return scale * normal / np.sqrt(inputs)


def reference_config(config):
    """The transformers configuration of a config.json."""
    values = {key: value for key, value in config.items() if key != "model_type"}
    return AutoConfig.for_model(config["model_type"], **values)


def random_weights(config, seed):
    """Weights by Hugging Face name."""
    random = np.random.Generator(np.random.PCG64(seed))
    model = AutoModelForCausalLM.from_config(reference_config(config))
    weights = {}
    for name, parameter in model.named_parameters():
        if name == "lm_head.weight" and config["tie_word_embeddings"]:
            continue
        weights[name] = value_of(name, tuple(parameter.shape), config, random).astype(np.float32)
    return weights


def save(folder, config, weights):
    """config.json, generation_config.json and the weights."""
    tiny_models.save_config(folder, config)
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in weights.items()}
    if folder.name.endswith("-bare"):
        # As the first release has it: no prefix, and the causal mask among the weights.
        tensors = {name.removeprefix("transformer."): value for name, value in tensors.items()}
        for layer in range(config["n_layer"]):
            tensors[f"h.{layer}.attn.bias"] = torch.ones(4, 4).tril().view(1, 1, 4, 4)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def golden(folder, config, seed, stride):
    """Writes golden.json and its logits for a complete folder; returns how near the two best logits came."""
    model = tiny_models.load(folder)
    tokens = tiny_models.prompt_tokens(config, tiny_models.PROMPT_LENGTH, seed)
    short = tiny_models.case(model, folder, "logits", tokens, stride=stride, with_rotary=False)
    write_json(folder / "golden.json", {"short": short})
    resaved = json.loads(model.config.to_json_string(use_diff=True))
    written = {key: value for key, value in resaved.items() if not key.startswith("_")}
    write_json(folder / "config-transformers-5.json", written)
    return short["smallestGap"]


def gguf_case(folder, file, config, weights, quantization, seed, metadata):
    """Writes one GGUF file beside the checkpoint and the golden of the weights a reader gets from it."""
    read_back, read_config = gguf_families.write(folder / file, config, weights, quantization, metadata)
    model = AutoModelForCausalLM.from_config(reference_config(read_config), attn_implementation="eager")
    missing, unexpected = model.load_state_dict({k: torch.from_numpy(v) for k, v in read_back.items()}, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    tokens = tiny_models.prompt_tokens(config, tiny_models.PROMPT_LENGTH, seed)
    positions = range(tiny_models.PROMPT_LENGTH - 8, tiny_models.PROMPT_LENGTH)
    stem = file.removesuffix(".gguf")
    value = tiny_models.case(
        model.float().eval(), folder, f"{stem}.gguf-logits", tokens, positions, with_rotary=False
    )
    return {"file": file, "type": quantization.name} | value


def make(name, config, seed):
    """One folder; other weights where the greedy text would be a near-tie."""
    folder = ROOT / name
    is_base = name == f"{config['model_type']}-tiny"
    for attempt in range(20):
        weights = random_weights(config, seed + 1000 * attempt)
        save(folder, config, weights)
        gap = golden(folder, config, seed + 500, stride=3 if is_base else 1)
        if gap < SMALLEST_GAP:
            continue
        cases = []
        for file, kind, metadata in gguf_families.files(name, config) if is_base else ():
            cases.append(gguf_case(folder, file, config, weights, kind, seed + 510, metadata))
        if all(case["smallestGap"] >= SMALLEST_GAP for case in cases):
            break
    else:
        raise RuntimeError(f"{name}: no weights without near-ties")
    if is_base:
        write_json(folder / "gguf-golden.json", {"cases": cases})
        for file in ("tokenizer.json", "tokenizer_config.json"):
            link(folder / file, ROOT / "llama-tiny" / file)
    # Fields as releases spell them, where transformers' own classes do not read that spelling.
    write_json(folder / "config.json", config | SPELLINGS.get(name, {}))
    print(f"{name}: gap {gap:.4f}, attempt {attempt}", flush=True)


def main(families):
    """Replaces the folders of the named families under Tests/Goldens/models."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for family, variants in FAMILIES.items():
        if families and family not in families:
            continue
        for folder in ROOT.glob(f"{family}-tiny*"):
            shutil.rmtree(folder)
        for name, config in variants.items():
            # From the name alone, so that a new family changes no other's weights.
            make(name, config, seed=zlib.crc32(name.encode()) % 1000)


if __name__ == "__main__":
    main(sys.argv[1:])
