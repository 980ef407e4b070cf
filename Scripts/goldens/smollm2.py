"""Golden values of SmolLM2-135M-Instruct: the GGUF file dequantised to float32 and run by Hugging Face transformers.

Run: python Scripts/goldens/smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf tinyshakespeare.txt
"""

import hashlib
import math
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from jinja2 import Environment
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from gguf_export import gguf_name, separate_rows
from golden_files import ROOT, write_json, write_logits
from smollm2_prompts import CHAT, LOGIT_PROMPTS, PROMPTS

FOLDER = ROOT / "smollm2"
GREEDY_LENGTH = 32
SMALLEST_GAP = 1e-3
WINDOW, QUICK_WINDOWS, CORPUS_BYTES = 512, 20, 100_000
VOCABULARY_STRIDE = 96


def field(reader, name):
    """One metadata value."""
    return reader.fields[name].contents()


def load_model(reader):
    """LlamaForCausalLM with the dequantised weights, q and k rows back in Hugging Face order."""
    config = LlamaConfig(
        vocab_size=field(reader, "llama.vocab_size"),
        hidden_size=field(reader, "llama.embedding_length"),
        intermediate_size=field(reader, "llama.feed_forward_length"),
        num_hidden_layers=field(reader, "llama.block_count"),
        num_attention_heads=field(reader, "llama.attention.head_count"),
        num_key_value_heads=field(reader, "llama.attention.head_count_kv"),
        max_position_embeddings=field(reader, "llama.context_length"),
        rms_norm_eps=float(field(reader, "llama.attention.layer_norm_rms_epsilon")),
        rope_parameters={"rope_type": "default", "rope_theta": float(field(reader, "llama.rope.freq_base"))},
        tie_word_embeddings=True,
        bos_token_id=field(reader, "tokenizer.ggml.bos_token_id"),
        eos_token_id=field(reader, "tokenizer.ggml.eos_token_id"),
    )
    model = LlamaForCausalLM(config).float().eval()
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    weights = {}
    for name, parameter in model.named_parameters():
        tensor = tensors.pop(gguf_name(name))
        value = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if "q_proj" in name:
            value = separate_rows(value, config.num_attention_heads)
        if "k_proj" in name:
            value = separate_rows(value, config.num_key_value_heads)
        weights[name] = torch.from_numpy(np.ascontiguousarray(value.reshape(parameter.shape)))
    assert not tensors, f"unused tensors: {list(tensors)}"
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and missing in ([], ["lm_head.weight"]), (missing, unexpected)
    model.tie_weights()
    return model


def load_tokenizer(reader):
    """Byte-level BPE from the file's vocabulary, each digit apart."""
    tokens = field(reader, "tokenizer.ggml.tokens")
    kinds = field(reader, "tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, kinds) if kind == gguf.TokenType.CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


@torch.no_grad()
def greedy(model, tokens):
    """32 argmax tokens, end tokens ignored, and at each step the gap between the best two logits."""
    output = model(input_ids=torch.tensor([tokens]), use_cache=True)
    logits, chosen, gaps = output.logits[0], [], []
    last = logits[-1]
    while True:
        best = torch.topk(last, 2)
        chosen.append(int(best.indices[0]))
        gaps.append(float(best.values[0] - best.values[1]))
        if len(chosen) == GREEDY_LENGTH:
            return chosen, gaps, logits.numpy()
        step = torch.tensor([[chosen[-1]]])
        output = model(input_ids=step, past_key_values=output.past_key_values, use_cache=True)
        last = output.logits[0, -1]


def prompt_case(model, tokenizer, name, text):
    """One prompt, or None where a near-tie would make the greedy text a matter of rounding."""
    tokens = tokenizer.encode(text).ids
    assert tokenizer.decode(tokens, skip_special_tokens=False) == text
    chosen, gaps, logits = greedy(model, tokens)
    print(f"{name}: {len(tokens)} tokens, smallest gap {min(gaps):.5f}", flush=True)
    if min(gaps) < SMALLEST_GAP:
        return None
    case = {"name": name, "text": text, "tokens": tokens, "greedy": chosen}
    case |= {"greedyText": tokenizer.decode(chosen, skip_special_tokens=False)}
    case |= {"smallestGap": min(gaps), "gaps": [round(gap, 4) for gap in gaps]}
    if name in LOGIT_PROMPTS:
        case["logits"] = write_logits(FOLDER, f"{name}.bin", logits, vocabulary_stride=VOCABULARY_STRIDE)
    return case


@torch.no_grad()
def perplexity(model, tokenizer, corpus):
    """Windows without overlap or begin token; the first token of each is not scored, an incomplete last one dropped."""
    data = Path(corpus).read_bytes()[:CORPUS_BYTES]
    tokens = tokenizer.encode(data.decode("utf-8")).ids
    losses = []
    for start in range(0, len(tokens) - WINDOW + 1, WINDOW):
        window = torch.tensor(tokens[start : start + WINDOW])
        logits = model(input_ids=window[None], use_cache=False).logits[0, :-1]
        losses.append(float(torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum")))
        print(f"window {len(losses)}: {losses[-1] / (WINDOW - 1):.4f}", flush=True)
    per_window = WINDOW - 1
    quick = losses[:QUICK_WINDOWS]
    return {
        "corpus": "tinyshakespeare, first 100,000 bytes",
        "corpusSHA256": hashlib.sha256(data).hexdigest(),
        "tokenCount": len(tokens),
        "firstTokens": tokens[:16],
        "tokensSHA256": hashlib.sha256(np.array(tokens, dtype="<i4").tobytes()).hexdigest(),
        "windowLength": WINDOW,
        "windowCount": len(losses),
        "scoredTokens": len(losses) * per_window,
        "perplexity": math.exp(sum(losses) / (len(losses) * per_window)),
        "quickWindowCount": len(quick),
        "quickPerplexity": math.exp(sum(quick) / (len(quick) * per_window)),
        "windowNegativeLogLikelihood": [round(loss, 3) for loss in losses],
    }


def main(path, corpus):
    """Writes Tests/Goldens/models/smollm2."""
    torch.set_num_threads(2)
    reader = gguf.GGUFReader(path)
    tokenizer, model = load_tokenizer(reader), load_model(reader)
    template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(field(reader, "tokenizer.chat_template"))
    chat = template.render(messages=CHAT, add_generation_prompt=True)
    cases = [prompt_case(model, tokenizer, name, text) for name, text in PROMPTS.items()]
    chat_case = prompt_case(model, tokenizer, "chat", chat)
    description = {
        "weights": Path(path).name,
        "weightsSHA256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        "arithmetic": "weights dequantised to float32, float32 throughout",
        "chat": {"messages": CHAT} | chat_case,
        "prompts": [case for case in cases if case is not None],
    }
    write_json(FOLDER / "golden.json", description)
    write_json(FOLDER / "perplexity.json", perplexity(model, tokenizer, corpus))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
