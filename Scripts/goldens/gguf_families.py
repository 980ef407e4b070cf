"""GGUF files of the families in tiny_families.py: names, metadata and forms as llama.cpp's converter writes them."""

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Quantization

import gguf_export

# GGUF's name of each family. Mistral is a llama there.
ARCHITECTURES = {
    "mistral": "llama",
    "qwen2": "qwen2",
    "gemma3_text": "gemma3",
    "gemma2": "gemma2",
    "glm4": "glm4",
    "gpt2": "gpt2",
    "olmo2": "olmo2",
    "phi3": "phi3",
    "smollm3": "smollm3",
    "hunyuan_v1_dense": "hunyuan-dense",
}


def files(name, config):
    """The files of a base checkpoint: name, type, and what the metadata says beside the usual."""
    family = config["model_type"]
    if family == "mistral":
        # The converter leaves the window out, so that readers see everything; a file may state one.
        return [
            (f"{name}-F16.gguf", Quantization.F16, {}),
            (f"{name}-window-Q8_0.gguf", Quantization.Q8_0, {"attention.sliding_window": config["sliding_window"]}),
        ]
    if family == "gemma3_text":
        window = {"attention.sliding_window": config["sliding_window"]}
        own = {"attention.sliding_window_pattern": 2, "rope.freq_base_swa": 700.0, "final_logit_softcapping": 4.0}
        return [
            (f"{name}-F16.gguf", Quantization.F16, window),
            (f"{name}-fields-Q8_0.gguf", Quantization.Q8_0, window | own),
            (f"{name}-global-Q4_0.gguf", Quantization.Q4_0, {}),
        ]
    metadata = {}
    if family in ("gemma2", "phi3"):
        metadata["attention.sliding_window"] = config["sliding_window"]
    if family == "gemma2":
        metadata |= {key: config[key] for key in ("attn_logit_softcapping", "final_logit_softcapping")}
    if family == "glm4":
        metadata["rope.dimension_count"] = int(config["head_dim"] * config["partial_rotary_factor"])
    if family == "phi3":
        rotated = int(config["partial_rotary_factor"] * config["hidden_size"]) // config["num_attention_heads"]
        original = config["original_max_position_embeddings"]
        metadata |= {"rope.dimension_count": rotated, "rope.scaling.original_context_length": original}
    return [(f"{name}-F16.gguf", Quantization.F16, metadata), (f"{name}-Q8_0.gguf", Quantization.Q8_0, metadata)]


def as_read(config, metadata):
    """The configuration that a reader must take from such a file."""
    config = dict(config)
    family = config["model_type"]
    if family == "mistral":
        config["sliding_window"] = metadata.get("attention.sliding_window")
    if family == "gemma3_text":
        # Six layers to a pattern and a local base of 10,000 unless the file says otherwise.
        config["rope_local_base_freq"] = metadata.get("rope.freq_base_swa", 10000.0)
        config["final_logit_softcapping"] = metadata.get("final_logit_softcapping")
        config["sliding_window_pattern"] = metadata.get("attention.sliding_window_pattern", 6)
        if "attention.sliding_window" not in metadata:
            config["layer_types"] = ["full_attention"] * config["num_hidden_layers"]
    return config


def add_metadata(writer, config, quantization):
    """The hyper-parameters as the family's converter writes them."""
    family = config["model_type"]
    if family != "gpt2":
        described = config | {"model_type": writer.arch}
        if family == "hunyuan_v1_dense":
            described["rope_theta"] = config["rope_theta"] * 1000.0 ** (config["head_dim"] / (config["head_dim"] - 2))
            writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)
            writer.add_rope_scaling_factor(1)
            writer.add_rope_scaling_orig_ctx_len(256)
        described.setdefault("head_dim", config["hidden_size"] // config["num_attention_heads"])
        gguf_export.add_metadata(writer, described, quantization)
        return
    writer.add_name(f"{family}-tiny")
    writer.add_file_type(gguf_export.FILE_TYPES[quantization])
    writer.add_block_count(config["n_layer"])
    writer.add_context_length(config["n_ctx"])
    writer.add_embedding_length(config["n_embd"])
    writer.add_feed_forward_length(4 * config["n_embd"])
    writer.add_head_count(config["n_head"])
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    gguf_export.add_tokenizer(writer)


def heads_to_interleave(name, config):
    """How many heads' rows the converters of llama's kin interleave, or None."""
    if config["model_type"] not in ("mistral", "smollm3"):
        return None
    if "q_proj" in name:
        return config["num_attention_heads"]
    return config["num_key_value_heads"] if "k_proj" in name else None


def converted(name, weight, config):
    """A weight in the converter's form."""
    if config["model_type"].startswith("gemma") and name.endswith("norm.weight"):
        return weight + 1
    if config["model_type"] == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
        return weight.T
    heads = heads_to_interleave(name, config)
    return gguf_export.interleave_rows(weight, heads) if heads else weight


def restored(name, weight, config):
    """The inverse of `converted`."""
    if config["model_type"].startswith("gemma") and name.endswith("norm.weight"):
        return weight - 1
    if config["model_type"] == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
        return weight.T
    heads = heads_to_interleave(name, config)
    return gguf_export.separate_rows(weight, heads) if heads else weight


def write(path, config, weights, quantization, metadata):
    """Writes the file; returns the weights a reader gets, in Hugging Face's form, and the configuration it sees."""
    architecture = ARCHITECTURES[config["model_type"]]
    writer = gguf.GGUFWriter(path, architecture)
    add_metadata(writer, config, quantization)
    for key, value in metadata.items():
        add = writer.add_float32 if isinstance(value, float) else writer.add_uint32
        add(f"{architecture}.{key}", value)
    model_arch = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}[architecture]
    layers = config.get("num_hidden_layers") or config["n_layer"]
    names = gguf.get_tensor_name_map(model_arch, layers)
    read_back = {}
    for name, weight in weights.items():
        own = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert own is not None, name
        # Positions stay in float32, as vectors do.
        kind = Quantization.F32 if weight.ndim == 1 or "wpe" in name else quantization
        rows = np.ascontiguousarray(converted(name, weight, config))
        stored = gguf.quants.quantize(rows, kind)
        writer.add_tensor(own, stored, raw_dtype=kind)
        values = gguf.quants.dequantize(stored, kind).astype(np.float32).reshape(rows.shape)
        read_back[name] = np.ascontiguousarray(restored(name, values, config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return read_back, as_read(config, metadata)
