"""The configurations of tiny_families.py, spelt as users' config.json files spell them."""

from tiny_configs import CONTEXT

COMMON = {
    "vocab_size": 264,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "max_position_embeddings": CONTEXT,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "float32",
}
# Variants have few tokens, so that their bytes stay few.
SMALL = {"vocab_size": 64}


def mistral(**changes):
    """Mistral with a window shorter than the prompts and heads wider than hidden_size / heads."""
    return COMMON | {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "head_dim": 16,
        "sliding_window": 11,
    } | changes


def qwen2(**changes):
    """Qwen2 without windows."""
    return COMMON | {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "use_sliding_window": False,
        "sliding_window": 32,
        "max_window_layers": 1,
    } | changes


def gemma3(**changes):
    """Gemma 3 in the older spelling: every sixth layer is global."""
    return COMMON | {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "num_hidden_layers": 6,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "hidden_activation": "gelu_pytorch_tanh",
        "rms_norm_eps": 1e-06,
        "rope_theta": 100000.0,
        "rope_local_base_freq": 1000.0,
        "rope_scaling": None,
        "sliding_window": 13,
        "sliding_window_pattern": 6,
        "query_pre_attn_scalar": 16,
        "attention_bias": False,
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
        "tie_word_embeddings": True,
    } | changes


def gemma2(**changes):
    """Gemma 2: local and global layers in turn, caps low enough to matter."""
    return COMMON | {
        "architectures": ["Gemma2ForCausalLM"],
        "model_type": "gemma2",
        "head_dim": 16,
        "hidden_activation": "gelu_pytorch_tanh",
        "rms_norm_eps": 1e-06,
        "sliding_window": 9,
        "query_pre_attn_scalar": 16,
        "attention_bias": False,
        "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 4.0,
        "tie_word_embeddings": True,
    } | changes


def phi3(**changes):
    """Phi-3 with a window and half of each head rotated, grouped queries."""
    return COMMON | {
        "architectures": ["Phi3ForCausalLM"],
        "model_type": "phi3",
        "original_max_position_embeddings": CONTEXT,
        "partial_rotary_factor": 0.5,
        "rope_scaling": None,
        "sliding_window": 13,
        "pad_token_id": 0,
    } | changes


def olmo2(**changes):
    """OLMo 2."""
    return COMMON | {
        "architectures": ["Olmo2ForCausalLM"],
        "model_type": "olmo2",
        "rope_theta": 500000.0,
        "attention_bias": False,
        "pad_token_id": 0,
    } | changes


def smollm3(**changes):
    """SmolLM3: the fourth layer does not rotate."""
    return COMMON | {
        "architectures": ["SmolLM3ForCausalLM"],
        "model_type": "smollm3",
        "num_hidden_layers": 4,
        "rms_norm_eps": 1e-06,
        "rope_theta": 50000.0,
        "use_sliding_window": False,
        "sliding_window": None,
        "no_rope_layer_interval": 4,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "pad_token_id": 0,
    } | changes


def glm4(**changes):
    """GLM-4-0414: half of each head rotated, in pairs."""
    return COMMON | {
        "architectures": ["Glm4ForCausalLM"],
        "model_type": "glm4",
        "head_dim": 16,
        "partial_rotary_factor": 0.5,
        "attention_bias": True,
        "pad_token_id": 0,
    } | changes


def gpt2(**changes):
    """GPT-2."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": 264,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_inner": None,
        "n_positions": 96,
        "n_ctx": 96,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-05,
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "float32",
    } | changes


ALPHA = {
    "type": "dynamic", "alpha": 1000.0, "factor": 1.0, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0,
    "mscale_all_dim": 1.0,
}


def hunyuan(**changes):
    """Hunyuan with stretched rotation and heads wider than hidden_size / heads."""
    return COMMON | {
        "architectures": ["HunYuanDenseV1ForCausalLM"],
        "model_type": "hunyuan_v1_dense",
        "head_dim": 16,
        "rope_scaling": ALPHA,
        "attention_bias": False,
        "tie_word_embeddings": True,
    } | changes


NEWER_ROTATION = {
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 50000.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
}

FAMILIES = {
    "mistral": {
        "mistral-tiny": mistral(),
        # No window at all, and heads of hidden_size / heads.
        "mistral-tiny-whole": mistral(**SMALL, sliding_window=None, head_dim=None, tie_word_embeddings=True),
    },
    "qwen2": {
        "qwen2-tiny": qwen2(),
        "qwen2-tiny-window": qwen2(**SMALL, use_sliding_window=True, sliding_window=9, tie_word_embeddings=True),
        "qwen2-tiny-layer-types": qwen2(
            **SMALL, use_sliding_window=True, sliding_window=20, layer_types=["sliding_attention", "full_attention"]
        ),
    },
    "gemma3_text": {
        "gemma3_text-tiny": gemma3(),
        "gemma3_text-tiny-scaled": {
            key: value
            for key, value in gemma3(
                **SMALL, num_hidden_layers=2, num_key_value_heads=2, query_pre_attn_scalar=24, sliding_window=7,
                layer_types=["full_attention", "sliding_attention"], rope_parameters=NEWER_ROTATION,
            ).items()
            if key not in ("rope_theta", "rope_local_base_freq", "rope_scaling", "sliding_window_pattern")
        },
        "gemma3_text-tiny-switches": gemma3(
            **SMALL, num_hidden_layers=2, num_key_value_heads=2, sliding_window_pattern=2, attention_bias=True,
            final_logit_softcapping=3.0, hidden_activation="gelu", tie_word_embeddings=False,
            rope_scaling={"rope_type": "linear", "factor": 4.0},
        ),
    },
    "gpt2": {
        "gpt2-tiny": gpt2(),
        "gpt2-tiny-bare": gpt2(**SMALL),
        "gpt2-tiny-switches": gpt2(
            **SMALL, n_inner=48, activation_function="gelu", scale_attn_by_inverse_layer_idx=True,
            scale_attn_weights=False, tie_word_embeddings=False,
        ),
    },
    "hunyuan_v1_dense": {
        "hunyuan_v1_dense-tiny": hunyuan(),
        "hunyuan_v1_dense-tiny-plain": hunyuan(
            **SMALL, rope_scaling=None, attention_bias=True, tie_word_embeddings=False, head_dim=8
        ),
    },
}

FAMILIES |= {
    "gemma2": {
        "gemma2-tiny": gemma2(),
        "gemma2-tiny-switches": gemma2(
            **SMALL, query_pre_attn_scalar=24, layer_types=["full_attention", "sliding_attention"], attention_bias=True,
            attn_logit_softcapping=None, final_logit_softcapping=None, tie_word_embeddings=False,
        ),
    },
    "phi3": {
        "phi3-tiny": phi3(),
        "phi3-tiny-longrope": phi3(
            **SMALL, original_max_position_embeddings=32, sliding_window=None, partial_rotary_factor=1.0,
            rope_scaling={
                "type": "longrope", "short_factor": [1.0, 1.1, 1.4, 2.0], "long_factor": [1.0, 1.9, 4.1, 9.0],
            },
        ),
    },
    "glm4": {
        "glm4-tiny": glm4(),
        "glm4-tiny-plain": glm4(**SMALL, partial_rotary_factor=1.0, attention_bias=False, tie_word_embeddings=True),
    },
    "olmo2": {
        "olmo2-tiny": olmo2(),
        "olmo2-tiny-tied": olmo2(**SMALL, attention_bias=True, tie_word_embeddings=True),
    },
    "smollm3": {
        "smollm3-tiny": smollm3(),
        "smollm3-tiny-switches": smollm3(
            **SMALL, num_hidden_layers=2, no_rope_layers=[0, 1], use_sliding_window=True, sliding_window=9,
            layer_types=["sliding_attention", "full_attention"], attention_bias=True, mlp_bias=True,
            tie_word_embeddings=False,
        ),
    },
}

# What config.json says beside or instead: the published code reads it, transformers' own class does not.
SPELLINGS = {
    "hunyuan_v1_dense-tiny-plain": {
        "intermediate_size": [64, 64],
        "attention_head_dim": 8,
        "head_dim": None,
        "num_experts": 1,
        "moe_topk": [1, 1],
        "num_shared_expert": [1, 1],
        "use_qk_norm": True,
        "use_cla": False,
        "cla_share_factor": 2,
    },
}
