"""Golden values of Gemma 3 270M: the GGUF file dequantised to float32 and run by Hugging Face transformers.

Run: python Scripts/goldens/gemma3.py gemma-3-270m-q4_k_m.gguf
"""

import hashlib
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import AutoTokenizer, Gemma3ForCausalLM, Gemma3TextConfig

from golden_files import ROOT, write_json, write_logits
from smollm2 import SMALLEST_GAP, field, greedy
from smollm2_prompts import LONG, PROMPTS

FOLDER = ROOT / "gemma3"
VOCABULARY_STRIDE = 1024
# The short one stays inside the window of 512 positions; the long one, repeated, crosses it.
NAMES = ("science", "list", "chinese-poem")
LOGIT_PROMPTS = ("science",)


def load_model(reader):
    """Gemma3ForCausalLM with the dequantised weights; norms are kept less one there."""
    config = Gemma3TextConfig(
        vocab_size=int(next(t for t in reader.tensors if t.name == "token_embd.weight").shape[1]),
        hidden_size=field(reader, "gemma3.embedding_length"),
        intermediate_size=field(reader, "gemma3.feed_forward_length"),
        num_hidden_layers=field(reader, "gemma3.block_count"),
        num_attention_heads=field(reader, "gemma3.attention.head_count"),
        num_key_value_heads=field(reader, "gemma3.attention.head_count_kv"),
        head_dim=field(reader, "gemma3.attention.key_length"),
        query_pre_attn_scalar=field(reader, "gemma3.attention.key_length"),
        max_position_embeddings=field(reader, "gemma3.context_length"),
        rms_norm_eps=float(field(reader, "gemma3.attention.layer_norm_rms_epsilon")),
        sliding_window=field(reader, "gemma3.attention.sliding_window"),
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": float(field(reader, "gemma3.rope.freq_base"))},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        },
    )
    config._attn_implementation = "eager"
    model = Gemma3ForCausalLM(config).float().eval()
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA3, config.num_hidden_layers)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    weights = {}
    for name, parameter in model.named_parameters():
        tensor = tensors.pop(names.get_name(name, try_suffixes=(".weight",)))
        value = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(parameter.shape)
        weights[name] = torch.from_numpy(np.ascontiguousarray(value - 1 if name.endswith("norm.weight") else value))
    assert not tensors, f"unused tensors: {list(tensors)}"
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and missing in ([], ["lm_head.weight"]), (missing, unexpected)
    model.tie_weights()
    return model


def prompt_case(model, name, text, tokens, positions=None):
    """One prompt, or None where a near-tie would make the greedy text a matter of rounding."""
    chosen, gaps, logits = greedy(model, tokens)
    print(f"{name}: {len(tokens)} tokens, smallest gap {min(gaps):.5f}", flush=True)
    if min(gaps) < SMALLEST_GAP:
        return None
    case = {"name": name, "text": text, "tokens": tokens, "greedy": chosen, "smallestGap": min(gaps)}
    if name in LOGIT_PROMPTS or positions is not None:
        case["logits"] = write_logits(FOLDER, f"{name}.bin", logits, positions, vocabulary_stride=VOCABULARY_STRIDE)
    return case


def main(path):
    """Writes Tests/Goldens/models/gemma3."""
    torch.set_num_threads(2)
    reader = gguf.GGUFReader(path)
    model = load_model(reader)
    tokenizer = AutoTokenizer.from_pretrained(str(Path(path).parent), gguf_file=Path(path).name)
    cases = [prompt_case(model, name, PROMPTS[name], tokenizer(PROMPTS[name])["input_ids"]) for name in NAMES]
    # More than 512 tokens, so that the windows of local layers leave the beginning out.
    long = LONG + "\n\n" + LONG.replace("harbour", "river") + "\n\n" + LONG.replace("inspector", "captain")
    tokens = tokenizer(long)["input_ids"]
    cases.append(prompt_case(model, "long", long, tokens, range(len(tokens) - 4, len(tokens))))
    write_json(
        FOLDER / "golden.json",
        {
            "weights": Path(path).name,
            "weightsSHA256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
            "arithmetic": "weights dequantised to float32, float32 throughout",
            "prompts": [case for case in cases if case is not None],
        },
    )


if __name__ == "__main__":
    main(sys.argv[1])
