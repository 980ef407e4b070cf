"""Makes the tiny random checkpoints of models with experts and their golden values, as tiny_models.py does for others.

Run: python Scripts/goldens/tiny_experts.py      (half a minute; versions in requirements.txt)

The reference is transformers on the CPU, every expert computed for every token that chose it. Two things of the Hunyuan
releases that transformers leaves out are added to it here: shared parts several experts wide, and sizes that differ from
block to block.
"""

import copy
import json
import shutil
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Quantization
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from transformers.models.hunyuan_v1_moe import modeling_hunyuan_v1_moe as hunyuan

import gguf_export
import tiny_models
import tiny_tokenizer
from golden_files import ROOT, link, write_json
from tiny_configs import CONTEXT

COMMON = {
    "vocab_size": 264,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "max_position_embeddings": CONTEXT,
    "attention_bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "float32",
}
SMALL = {"vocab_size": 64, "moe_intermediate_size": 24}


def qwen3_moe(**changes):
    """The base Qwen3 with experts."""
    return COMMON | {
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "intermediate_size": 48,
        "moe_intermediate_size": 32,
        "num_experts": 8,
        "num_experts_per_tok": 3,
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "head_dim": 32,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "rope_scaling": None,
        "use_sliding_window": False,
        "sliding_window": None,
        "tie_word_embeddings": False,
    } | changes


def mixtral(**changes):
    """The base Mixtral."""
    return COMMON | {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "intermediate_size": 32,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "head_dim": 16,
        "rms_norm_eps": 1e-05,
        "rope_theta": 1000000.0,
        "sliding_window": None,
        "tie_word_embeddings": False,
    } | changes


ALPHA = {"alpha": 1000.0, "beta_fast": 32, "beta_slow": 1, "factor": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0}


def hunyuan_moe(**changes):
    """The base Hunyuan with experts, spelt as the A13B release is."""
    return COMMON | {
        "architectures": ["HunYuanMoEV1ForCausalLM"],
        "model_type": "hunyuan_v1_moe",
        "intermediate_size": 32,
        "moe_intermediate_size": [32, 32],
        "num_experts": 8,
        "moe_topk": [2, 2],
        "num_shared_expert": [1, 1],
        "use_mixed_mlp_moe": True,
        "moe_layer_num_skipped": 0,
        "norm_topk_prob": True,
        "head_dim": 16,
        "attention_head_dim": 16,
        "use_qk_norm": True,
        "use_cla": False,
        "use_mla": False,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "rope_scaling": ALPHA | {"type": "dynamic"},
        "tie_word_embeddings": True,
    } | changes


QWEN_VARIANTS = {
    "qwen3_moe-tiny-dense-layers": qwen3_moe(**SMALL | {"mlp_only_layers": [0], "norm_topk_prob": False}),
    "qwen3_moe-tiny-sparse-step": qwen3_moe(
        **SMALL | {"decoder_sparse_step": 2, "num_experts_per_tok": 1, "tie_word_embeddings": True, "head_dim": 8}
    ),
    "qwen3_moe-tiny-stacked": qwen3_moe(**SMALL | {"num_experts": 5, "num_experts_per_tok": 2}),
}
MIXTRAL_VARIANTS = {
    "mixtral-tiny-stacked": mixtral(vocab_size=64, sliding_window=16, num_experts_per_tok=1, intermediate_size=24),
}
# Experts as transformers 5 holds them: one tensor for all, gate and up one below the other.
STACKED = {"qwen3_moe-tiny-stacked", "mixtral-tiny-stacked"}
HUNYUAN_VARIANTS = {
    "hunyuan_v1_moe-tiny-lists": hunyuan_moe(
        vocab_size=64,
        num_experts=6,
        intermediate_size=16,
        moe_intermediate_size=[24, 40],
        moe_topk=[3, 1],
        num_shared_expert=[2, 1],
        tie_word_embeddings=False,
    ),
    "hunyuan_v1_moe-tiny-plain": {
        key: value
        for key, value in hunyuan_moe(
            vocab_size=64, moe_topk=1, num_shared_expert=2, attention_bias=True, rope_scaling=None, head_dim=8
        ).items()
        if key not in ("moe_intermediate_size", "attention_head_dim")
    },
}


def per_layer(config, key, layer, default=None):
    """A size that is one number, or a list with one a layer."""
    value = config.get(key, default)
    return value[layer] if isinstance(value, list) else value


class WideMoe(hunyuan.HunYuanMoEV1Moe):
    """The block of transformers with this layer's own sizes, and the shared part as wide as the release makes it."""

    def __init__(self, config, layer_idx=None):
        values = config.to_dict()
        own = copy.deepcopy(config)
        own.moe_topk = per_layer(values, "moe_topk", layer_idx)
        own.intermediate_size = per_layer(values, "moe_intermediate_size", layer_idx) or config.intermediate_size
        super().__init__(own, layer_idx)
        wide = copy.deepcopy(config)
        wide.intermediate_size = config.intermediate_size * per_layer(values, "num_shared_expert", layer_idx)
        self.shared_mlp = hunyuan.HunYuanMoEV1MLP(wide)


hunyuan.HunYuanMoEV1Moe = WideMoe


def expert_count(config):
    """How many experts a layer has, by either name."""
    return config.get("num_experts") or config["num_local_experts"]


def feed_forward_sizes(config, layer):
    """Inner sizes of the parts of a layer: (ordinary, experts, of how many, shared); 0 for what it has not."""
    inner = config["intermediate_size"]
    expert = per_layer(config, "moe_intermediate_size", layer) or inner
    if config["model_type"] == "hunyuan_v1_moe":
        return 0, expert, config["num_experts"], inner * per_layer(config, "num_shared_expert", layer)
    if config["model_type"] == "mixtral":
        return 0, inner, config["num_local_experts"], 0
    is_sparse = layer not in config["mlp_only_layers"] and (layer + 1) % config["decoder_sparse_step"] == 0
    return (0, expert, config["num_experts"], 0) if is_sparse else (inner, 0, 0, 0)


def random_weights(config, seed):
    """Weights by the names that releases use: a tensor for each matrix of each expert."""
    random = np.random.Generator(np.random.PCG64(seed))
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    head = config["head_dim"]
    is_hunyuan, is_mixtral = config["model_type"] == "hunyuan_v1_moe", config["model_type"] == "mixtral"
    weights = {}

    def matrix(name, rows, columns, scale=1.0):
        weights[f"{name}.weight"] = random.standard_normal((rows, columns)) * scale / np.sqrt(columns)

    def vector(name, count, centre, spread):
        weights[name] = centre + spread * random.standard_normal(count)

    def linear(name, rows, columns, scale=1.0):
        matrix(name, rows, columns, scale)
        if config["attention_bias"]:
            vector(f"{name}.bias", rows, 0.0, 0.3)

    def gated(name, inner):
        matrix(f"{name}.gate_proj", inner, hidden, 1.5)
        matrix(f"{name}.up_proj", inner, hidden)
        matrix(f"{name}.down_proj", hidden, inner, 2.0)

    embedding = 0.2 if config["tie_word_embeddings"] else 1.0
    weights["model.embed_tokens.weight"] = embedding * random.standard_normal((config["vocab_size"], hidden))
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        vector(f"{prefix}.input_layernorm.weight", hidden, 1.0, 0.2)
        linear(f"{prefix}.self_attn.q_proj", heads * head, hidden, scale=1.5)
        linear(f"{prefix}.self_attn.k_proj", config["num_key_value_heads"] * head, hidden, scale=1.5)
        linear(f"{prefix}.self_attn.v_proj", config["num_key_value_heads"] * head, hidden)
        linear(f"{prefix}.self_attn.o_proj", hidden, heads * head)
        for kind in () if is_mixtral else ("query", "key") if is_hunyuan else ("q", "k"):
            norm = f"{kind}_layernorm" if is_hunyuan else f"{kind}_norm"
            vector(f"{prefix}.self_attn.{norm}.weight", head, 1.0, 0.3)
        vector(f"{prefix}.post_attention_layernorm.weight", hidden, 1.0, 0.2)
        ordinary, expert, count, shared = feed_forward_sizes(config, layer)
        if ordinary:
            gated(f"{prefix}.mlp", ordinary)
        if count:
            matrix(f"{prefix}.mlp.gate.wg" if is_hunyuan else f"{prefix}.mlp.gate", count, hidden, 1.5)
        for index in range(count):
            gated(f"{prefix}.mlp.experts.{index}", expert)
        if shared:
            gated(f"{prefix}.mlp.shared_mlp", shared)
    vector("model.norm.weight", hidden, 1.0, 0.2)
    if not config["tie_word_embeddings"]:
        matrix("lm_head", config["vocab_size"], hidden, scale=2.0)
    if "lm_head.weight" in weights and config["vocab_size"] == len(tiny_tokenizer.tokens()):
        tiny_models.quieten_unprintable(weights["lm_head.weight"])
    if is_mixtral:
        weights = {release_name(name): value for name, value in weights.items()}
    return {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in weights.items()}


MIXTRAL_NAMES = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}


def release_name(name):
    """Mixtral's release calls the block and the parts of its experts by names of its own."""
    if ".experts." in name:
        for ours, theirs in MIXTRAL_NAMES.items():
            name = name.replace(ours, theirs)
    return name.replace(".mlp.", ".block_sparse_moe.")


def common_name(name):
    """The inverse of `release_name`."""
    if ".experts." in name:
        for ours, theirs in MIXTRAL_NAMES.items():
            name = name.replace(theirs, ours)
    return name.replace(".block_sparse_moe.", ".mlp.")


def stacked(weights):
    """The same weights with all experts of a layer in one tensor."""
    weights = {common_name(name): value for name, value in weights.items()}
    result = {name: value for name, value in weights.items() if ".experts." not in name}
    layers = sorted({name.split(".experts.")[0] for name in weights if ".experts." in name})
    for layer in layers:
        count = sum(name.startswith(f"{layer}.experts.") and "gate_proj" in name for name in weights)

        def of(kind, layer=layer, count=count):
            return [weights[f"{layer}.experts.{index}.{kind}.weight"] for index in range(count)]

        both = [np.concatenate(pair) for pair in zip(of("gate_proj"), of("up_proj"))]
        result[f"{layer}.experts.gate_up_proj"] = np.stack(both)
        result[f"{layer}.experts.down_proj"] = np.stack(of("down_proj"))
    return result


def load(folder):
    """The reference model: eager attention, every expert's rows in one product, nothing dropped."""
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
    )
    return model.eval()


tiny_models.load = load


def save(folder, config, weights):
    """config.json, generation_config.json and the weights."""
    tiny_models.save_config(folder, config)
    if folder.name in STACKED:
        weights = stacked(weights)
    tensors = {name: torch.from_numpy(value) for name, value in weights.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


NAMES = gguf_export.NAMES | {
    "self_attn.query_layernorm": "attn_q_norm",
    "self_attn.key_layernorm": "attn_k_norm",
    "mlp.gate": "ffn_gate_inp",
    "mlp.gate.wg": "ffn_gate_inp",
    "mlp.shared_mlp.gate_proj": "ffn_gate_shexp",
    "mlp.shared_mlp.up_proj": "ffn_up_shexp",
    "mlp.shared_mlp.down_proj": "ffn_down_shexp",
}


def gguf_tensors(weights):
    """GGUF's tensors by name, each with the names of the weights in it: experts are stacked."""
    for name, value in weights.items():
        if ".experts." not in name:
            if not name.startswith("model.layers."):
                yield gguf_export.gguf_name(name), [name], value
                continue
            _, _, layer, *module, kind = name.split(".")
            yield f"blk.{layer}.{NAMES['.'.join(module)]}.{kind}", [name], value
        elif ".experts.0." in name:
            layer, kind = name.split(".")[2], name.split(".")[-2].removesuffix("_proj")
            names = [other for other in weights if other.split(".")[:4] == name.split(".")[:4]]
            names = [other for other in names if ".experts." in other and other.endswith(f"{kind}_proj.weight")]
            yield f"blk.{layer}.ffn_{kind}_exps.weight", names, np.stack([weights[other] for other in names])


def write_gguf(path, config, weights, quantization):
    """Writes the file; returns the weights a reader gets back."""
    architecture = {"hunyuan_v1_moe": "hunyuan-moe", "qwen3_moe": "qwen3moe", "mixtral": "llama"}[config["model_type"]]
    is_hunyuan, is_mixtral = architecture == "hunyuan-moe", architecture == "llama"
    writer = gguf.GGUFWriter(path, architecture)
    dense = config | {"rope_theta": 10000.0 * 1000.0 ** (16 / 14)} if is_hunyuan else config
    gguf_export.add_metadata(writer, dense, quantization)
    writer.add_expert_count(expert_count(config))
    writer.add_expert_used_count(per_layer(config, "moe_topk", 0) or config.get("num_experts_per_tok"))
    if is_mixtral:
        writer.add_vocab_size(config["vocab_size"])
        writer.add_rope_dimension_count(config["head_dim"])
    else:
        writer.add_expert_feed_forward_length(per_layer(config, "moe_intermediate_size", 0))
    if is_hunyuan:
        writer.add_expert_shared_count(per_layer(config, "num_shared_expert", 0))
        writer.add_expert_shared_feed_forward_length(config["intermediate_size"])
        writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)
        writer.add_rope_scaling_factor(1)
    read_back = {}
    heads = {"attn_q.": config["num_attention_heads"], "attn_k.": config["num_key_value_heads"]} if is_mixtral else {}
    for name, sources, value in gguf_tensors({common_name(name): value for name, value in weights.items()}):
        own = next((count for part, count in heads.items() if part in name), None)
        value = gguf_export.interleave_rows(value, own) if own else value
        # The converters leave the router and vectors in float32.
        kind = Quantization.F32 if value.ndim == 1 or "ffn_gate_inp" in name else quantization
        stored = gguf.quants.quantize(np.ascontiguousarray(value), kind)
        writer.add_tensor(name, stored, raw_dtype=kind)
        values = gguf.quants.dequantize(stored, kind).astype(np.float32).reshape(value.shape)
        values = gguf_export.separate_rows(values, own) if own else values
        read_back |= {sources[0]: values} if len(sources) == 1 else dict(zip(sources, values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    name_of = release_name if is_mixtral else str
    return {name_of(name): np.ascontiguousarray(value) for name, value in read_back.items()}


def gguf_case(folder, file, config, weights, quantization, seed):
    """One GGUF file beside the checkpoint, and the golden of the weights a reader gets from it."""
    read_back = write_gguf(folder / file, config, weights, quantization)
    with tempfile.TemporaryDirectory() as temporary:
        save(Path(temporary), config, read_back)
        model = load(temporary)
    tokens = tiny_models.prompt_tokens(config, tiny_models.PROMPT_LENGTH, seed)
    positions = range(tiny_models.PROMPT_LENGTH - 8, tiny_models.PROMPT_LENGTH)
    stem = file.removesuffix(".gguf")
    value = tiny_models.case(model, folder, f"{stem}.gguf-logits", tokens, positions, with_rotary=False)
    return {"file": file, "type": quantization.name} | value


def make_base(name, config, seed):
    """A base checkpoint with its tokenizer and GGUF files."""
    folder = ROOT / name
    weights = random_weights(config, seed)
    save(folder, config, weights)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        link(folder / file, ROOT / "llama-tiny" / file)
    _, resaved = tiny_models.golden(folder, config, seed=seed + 500)
    write_json(folder / "config-transformers-5.json", resaved)
    cases = [
        gguf_case(folder, f"{name}-{kind.name}.gguf", config, weights, kind, seed + 510)
        for kind in (Quantization.F16, Quantization.Q8_0)
    ]
    write_json(folder / "gguf-golden.json", {"cases": cases})


def make_variants(variants, seed):
    """Folders whose configurations switch something each."""
    for index, (name, config) in enumerate(variants.items()):
        folder = ROOT / name
        save(folder, config, random_weights(config, seed + index))
        _, resaved = tiny_models.golden(folder, config, seed=seed + 500 + 10 * index, stride=1)
        write_json(folder / "config-transformers-5.json", resaved)


def main():
    """Replaces everything under Tests/Goldens/models that this script owns."""
    for folder in [*ROOT.glob("qwen3_moe-tiny*"), *ROOT.glob("hunyuan_v1_moe-tiny*"), *ROOT.glob("mixtral-tiny*")]:
        shutil.rmtree(folder)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    make_base("qwen3_moe-tiny", qwen3_moe(), seed=70)
    make_variants(QWEN_VARIANTS, seed=71)
    make_base("hunyuan_v1_moe-tiny", hunyuan_moe(), seed=80)
    make_variants(HUNYUAN_VARIANTS, seed=81)
    make_base("mixtral-tiny", mixtral(), seed=93)
    make_variants(MIXTRAL_VARIANTS, seed=94)


if __name__ == "__main__":
    main()
