"""Writes a tiny checkpoint as GGUF with the names, metadata and row order that llama.cpp's converter uses."""

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Quantization

import tiny_tokenizer

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
FILE_TYPES = {
    Quantization.F32: gguf.LlamaFileType.ALL_F32,
    Quantization.F16: gguf.LlamaFileType.MOSTLY_F16,
    Quantization.BF16: gguf.LlamaFileType.MOSTLY_BF16,
    Quantization.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0,
    Quantization.Q4_0: gguf.LlamaFileType.MOSTLY_Q4_0,
}


def interleave_rows(weight, heads):
    """Halves-first RoPE rows (Hugging Face) to neighbouring pairs (GGUF `llama`)."""
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, 2, half, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def separate_rows(weight, heads):
    """The inverse of `interleave_rows`."""
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, half, 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def gguf_name(name):
    """`model.layers.3.mlp.up_proj.weight` becomes `blk.3.ffn_up.weight`."""
    fixed = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    if name in fixed:
        return fixed[name]
    _, _, layer, *module, kind = name.split(".")
    return f"blk.{layer}.{NAMES['.'.join(module)]}.{kind}"


def write(path, config, weights, quantization, rope_frequency_divisors=None):
    """Writes the file; returns the weights a reader gets back, as float32 in Hugging Face row order."""
    architecture = config["model_type"]
    writer = gguf.GGUFWriter(path, architecture)
    add_metadata(writer, config, quantization)
    if rope_frequency_divisors is not None:
        writer.add_tensor("rope_freqs.weight", np.asarray(rope_frequency_divisors, dtype=np.float32))
    read_back = {}
    for name, weight in weights.items():
        heads = None
        if architecture == "llama" and "q_proj" in name:
            heads = config["num_attention_heads"]
        if architecture == "llama" and "k_proj" in name:
            heads = config["num_key_value_heads"]
        rows = interleave_rows(weight, heads) if heads else weight
        kind = quantization if weight.ndim == 2 else Quantization.F32
        stored = gguf.quants.quantize(np.ascontiguousarray(rows), kind)
        writer.add_tensor(gguf_name(name), stored, raw_dtype=kind)
        values = gguf.quants.dequantize(stored, kind).astype(np.float32).reshape(weight.shape)
        read_back[name] = np.ascontiguousarray(separate_rows(values, heads) if heads else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return read_back


def add_metadata(writer, config, quantization):
    """The hyper-parameters of a model with rotary positions, and the tokenizer."""
    writer.add_name(f"{config['model_type']}-tiny")
    writer.add_file_type(FILE_TYPES[quantization])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    if config["model_type"] == "llama":
        writer.add_vocab_size(config["vocab_size"])
        writer.add_rope_dimension_count(config["head_dim"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_tokenizer(writer)


def add_tokenizer(writer):
    """The tiny tokenizer."""
    tokens = tiny_tokenizer.tokens()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    special = len(tiny_tokenizer.SPECIALS)
    kinds = [gguf.TokenType.CONTROL] * special + [gguf.TokenType.NORMAL] * (len(tokens) - special)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{left} {right}" for left, right in tiny_tokenizer.MERGES])
    writer.add_bos_token_id(tiny_tokenizer.BEGIN)
    writer.add_eos_token_id(tiny_tokenizer.END)
    writer.add_unk_token_id(tiny_tokenizer.UNKNOWN)
    writer.add_pad_token_id(tiny_tokenizer.END)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(tiny_tokenizer.CHAT_TEMPLATE)
