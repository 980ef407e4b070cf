"""The tiny checkpoints and their variants, spelt as users' config.json files spell them today."""

CONTEXT = 256


def llama(**changes):
    """The base Llama; `changes` replace or add keys."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": 264,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "hidden_act": "silu",
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "float32",
    } | changes


def qwen3(**changes):
    """The base Qwen3: normalised queries and keys, heads wider than hidden_size / heads."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": 264,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "hidden_act": "silu",
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "rope_scaling": None,
        "attention_bias": False,
        "use_sliding_window": False,
        "sliding_window": None,
        "max_window_layers": 2,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "float32",
    } | changes


LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
LONGROPE = {
    "type": "longrope",
    "short_factor": [1.0, 1.05, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0],
    "long_factor": [1.0, 1.3, 1.9, 2.8, 4.1, 6.0, 9.0, 13.0],
}

# Variants that differ from llama-tiny only in config.json and share its weights.
SHARED_LLAMA = {
    "llama-tiny-linear": llama(rope_scaling={"type": "linear", "factor": 4.0}),
    "llama-tiny-dynamic": llama(max_position_embeddings=64, rope_scaling={"type": "dynamic", "factor": 2.0}),
    "llama-tiny-llama3": llama(rope_scaling=LLAMA3),
    "llama-tiny-yarn": llama(rope_scaling=YARN),
    "llama-tiny-yarn-factors": llama(
        rope_scaling=YARN | {"attention_factor": 1.25, "beta_fast": 8.0, "beta_slow": 0.5}
    ),
    "llama-tiny-yarn-mscale": llama(
        rope_scaling=YARN | {"mscale": 1.0, "mscale_all_dim": 0.5, "beta_fast": 8.0, "truncate": False}
    ),
    "llama-tiny-longrope": llama(original_max_position_embeddings=64, rope_scaling=LONGROPE),
    "llama-tiny-parameters": {
        key: value for key, value in llama().items() if key not in ("rope_theta", "rope_scaling", "torch_dtype")
    }
    | {"rope_parameters": LLAMA3 | {"rope_theta": 500.0}, "dtype": "float32"},
}
# Variants with weights of their own; small, so that their bytes stay few.
SMALL = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "head_dim": 8}
OWN_LLAMA = {
    "llama-tiny-bias": llama(**SMALL | {"attention_bias": True, "mlp_bias": True}),
    "llama-tiny-wide-heads": llama(**SMALL | {"head_dim": 16}),
    "llama-tiny-tied": llama(**SMALL | {"tie_word_embeddings": True}),
}
# Variants whose weights are stored as two shards with an index, and as BF16.
SHARDED, BRAIN_FLOAT = {"llama-tiny-bias"}, {"qwen3-tiny-tied"}
# Prompts that cross the length the model was trained with.
LONG_PROMPTS = {"llama-tiny-dynamic": 96, "llama-tiny-longrope": 96}
