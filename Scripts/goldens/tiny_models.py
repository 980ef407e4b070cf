"""Makes the tiny random checkpoints and their golden values with Hugging Face transformers on the CPU.

Run: python Scripts/goldens/tiny_models.py      (about one minute; versions in requirements.txt)
"""

import copy
import json
import shutil

import numpy as np
import torch
from gguf import GGMLQuantizationType as Quantization
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

import gguf_export
import tiny_tokenizer
from golden_files import ROOT, link, write_json, write_logits
from tiny_configs import BRAIN_FLOAT, LONG_PROMPTS, OWN_LLAMA, SHARDED, SHARED_LLAMA, llama, qwen3

PROMPT_LENGTH = 48
GREEDY_LENGTH = 16
VOCABULARY_STRIDE = 3


def random_weights(config, seed):
    """Weights by Hugging Face name: projections keep the variance, norms lie around 1, biases around 0."""
    random = np.random.Generator(np.random.PCG64(seed))
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    query = config["num_attention_heads"] * config["head_dim"]
    key = config["num_key_value_heads"] * config["head_dim"]
    weights = {}

    def matrix(name, rows, columns, scale=1.0):
        weights[f"{name}.weight"] = random.standard_normal((rows, columns)) * scale / np.sqrt(columns)

    def vector(name, count, centre, spread):
        weights[name] = centre + spread * random.standard_normal(count)

    def linear(name, rows, columns, biased, scale=1.0):
        matrix(name, rows, columns, scale)
        if biased:
            vector(f"{name}.bias", rows, 0.0, 0.3)

    # A tied head sees the input embedding again; kept small, or every greedy token would repeat the last one.
    embedding = 0.2 if config["tie_word_embeddings"] else 1.0
    weights["model.embed_tokens.weight"] = embedding * random.standard_normal((config["vocab_size"], hidden))
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        vector(f"{prefix}.input_layernorm.weight", hidden, 1.0, 0.2)
        attention_bias = config.get("attention_bias", False)
        linear(f"{prefix}.self_attn.q_proj", query, hidden, attention_bias, scale=1.5)
        linear(f"{prefix}.self_attn.k_proj", key, hidden, attention_bias, scale=1.5)
        linear(f"{prefix}.self_attn.v_proj", key, hidden, attention_bias)
        linear(f"{prefix}.self_attn.o_proj", hidden, query, attention_bias)
        if config["model_type"] == "qwen3":
            vector(f"{prefix}.self_attn.q_norm.weight", config["head_dim"], 1.0, 0.3)
            vector(f"{prefix}.self_attn.k_norm.weight", config["head_dim"], 1.0, 0.3)
        vector(f"{prefix}.post_attention_layernorm.weight", hidden, 1.0, 0.2)
        mlp_bias = config.get("mlp_bias", False)
        linear(f"{prefix}.mlp.gate_proj", inner, hidden, mlp_bias)
        linear(f"{prefix}.mlp.up_proj", inner, hidden, mlp_bias)
        linear(f"{prefix}.mlp.down_proj", hidden, inner, mlp_bias)
    vector("model.norm.weight", hidden, 1.0, 0.2)
    if not config["tie_word_embeddings"]:
        matrix("lm_head", config["vocab_size"], hidden, scale=2.0)
    if "lm_head.weight" in weights and config["vocab_size"] == len(tiny_tokenizer.tokens()):
        quieten_unprintable(weights["lm_head.weight"])
    return {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in weights.items()}


def quieten_unprintable(head):
    """Gives tokens outside printable ASCII small logits, so that greedy text is readable and never ends early."""
    for index, token in enumerate(tiny_tokenizer.tokens()):
        printable = index >= len(tiny_tokenizer.SPECIALS) and all("!" <= c <= "~" or c == "\u0120" for c in token)
        if not printable:
            head[index] *= 0.1


def save_weights(folder, weights):
    """Safetensors with the metadata that Hugging Face writes; float32 in one file unless the variant says otherwise."""
    dtype = torch.bfloat16 if folder.name in BRAIN_FLOAT else torch.float32
    tensors = {name: torch.from_numpy(value).to(dtype) for name, value in weights.items()}
    if folder.name not in SHARDED:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names, total = list(tensors), sum(tensor.nbytes for tensor in tensors.values())
    places, middle = {}, len(names) // 2
    for index, part in enumerate((names[:middle], names[middle:])):
        file = f"model-{index + 1:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(part, file)
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": places})


def save_config(folder, config):
    """config.json and generation_config.json."""
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "do_sample": False})


def save_tokenizer(folder):
    """tokenizer.json and tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tiny_tokenizer.build().save(str(folder / "tokenizer.json"), pretty=False)
    write_json(folder / "tokenizer_config.json", tiny_tokenizer.tokenizer_config())


def prompt_tokens(config, length, seed):
    """Begins with the begin token, then any token that is not special."""
    random = np.random.Generator(np.random.PCG64(seed))
    return [1, *(int(token) for token in random.integers(3, config["vocab_size"], length - 1))]


def forward(model, tokens):
    """Logits of a forward pass over the whole sequence with no cache; a fresh copy, since some RoPE kinds keep state."""
    with torch.no_grad():
        output = copy.deepcopy(model)(input_ids=torch.tensor([tokens]), use_cache=False)
    return output.logits[0].numpy()


def greedy(model, tokens, count):
    """The argmax continuation, each step over the whole sequence, and the smallest gap between the best two logits."""
    sequence, smallest = list(tokens), float("inf")
    for _ in range(count):
        last = forward(model, sequence)[-1]
        second, best = np.argsort(last, kind="stable")[-2:]
        smallest = min(smallest, float(last[best] - last[second]))
        sequence.append(int(best))
    return sequence[len(tokens) :], smallest


def rotary(model, length):
    """Inverse frequencies and the factor on cosine and sine, as used for a sequence of `length`."""
    module = copy.deepcopy(model.model.rotary_emb)
    with torch.no_grad():
        module(torch.zeros(1, length, 1), torch.arange(length)[None])
    return {
        "inverseFrequencies": [float(value) for value in module.inv_freq],
        "attentionScaling": float(module.attention_scaling),
    }


def case(model, folder, name, tokens, positions=None, stride=VOCABULARY_STRIDE, with_rotary=True):
    """One golden case: the prompt, its logits, the greedy continuation, and how exact float32 is here."""
    logits = forward(model, tokens)
    exact = forward(model.double(), tokens)
    model.float()
    continuation, smallest = greedy(model, tokens, GREEDY_LENGTH)
    result = {
        "prompt": tokens,
        "logits": write_logits(folder, f"{name}.bin", logits, positions, stride),
        "largestLogit": float(np.abs(logits).max()),
        "distanceToFloat64": float(np.abs(logits - exact).max()),
        "greedy": continuation,
        "smallestGap": smallest,
    }
    if with_rotary:
        result["rotary"] = rotary(model, len(tokens))
    return result


def load(folder):
    """The reference model, read back from the files just written."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def golden(folder, config, seed, stride=VOCABULARY_STRIDE):
    """Writes golden.json and its logits for a complete folder."""
    model = load(folder)
    value = {"short": case(model, folder, "logits", prompt_tokens(config, PROMPT_LENGTH, seed), stride=stride)}
    if folder.name in LONG_PROMPTS:
        length = LONG_PROMPTS[folder.name]
        tokens = prompt_tokens(config, length, seed + 1)
        value["long"] = case(model, folder, "logits-long", tokens, range(length - 8, length), stride=1)
    write_json(folder / "golden.json", value)
    resaved = json.loads(model.config.to_json_string(use_diff=True))
    return model, {key: value for key, value in resaved.items() if not key.startswith("_")}


def end_to_end(model, folder):
    """Text in, text out: a plain prompt and a chat message, greedy."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), chat_template=tiny_tokenizer.CHAT_TEMPLATE
    )
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Is the tiny model 42 there?"}]
    chat = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    result = {}
    for name, text in (("plain", "Hello there in 2025, the café: 你好!"), ("chat", chat)):
        tokens = tokenizer(text)["input_ids"]
        continuation, smallest = greedy(model, tokens, GREEDY_LENGTH)
        result[name] = {
            "text": text,
            "tokens": tokens,
            "greedy": continuation,
            "greedyText": tokenizer.decode(continuation, skip_special_tokens=True),
            "smallestGap": smallest,
        }
    result["chat"]["messages"] = messages
    return result


def gguf_case(folder, file, config, weights, quantization, seed, divisors=None, rope=None):
    """Writes one GGUF file beside the checkpoint and the golden of the weights a reader gets from it."""
    read_back = gguf_export.write(folder / file, config, weights, quantization, divisors)
    model = AutoModelForCausalLM.from_config(reference_config(folder, config, rope), attn_implementation="eager")
    missing, unexpected = model.load_state_dict({k: torch.from_numpy(v) for k, v in read_back.items()}, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    tokens = prompt_tokens(config, PROMPT_LENGTH, seed)
    positions = range(PROMPT_LENGTH - 8, PROMPT_LENGTH)
    stem = file.removesuffix(".gguf")
    value = case(model.float().eval(), folder, f"{stem}.gguf-logits", tokens, positions, with_rotary=False)
    return {"file": file, "type": quantization.name} | value


def reference_config(folder, config, rope):
    """The transformers configuration of a folder, with other RoPE settings or tying where asked."""
    reference = load(folder).config
    reference.tie_word_embeddings = config["tie_word_embeddings"]
    if rope is not None:
        reference.rope_parameters = rope | {"rope_theta": config["rope_theta"]}
    return reference


def make_llama():
    """llama-tiny, everything that shares its weights, and its GGUF files."""
    config, base = llama(), ROOT / "llama-tiny"
    weights = random_weights(config, seed=20)
    save_config(base, config)
    save_weights(base, weights)
    save_tokenizer(base)
    model, _ = golden(base, config, seed=100, stride=1)
    write_json(base / "end-to-end.json", end_to_end(model, base))

    for index, (name, variant) in enumerate(SHARED_LLAMA.items()):
        folder = ROOT / name
        save_config(folder, variant)
        link(folder / "model.safetensors", base / "model.safetensors")
        _, resaved = golden(folder, variant, seed=110 + 10 * index)
        write_json(folder / "config-transformers-5.json", resaved)

    kinds = (Quantization.F32, Quantization.BF16, Quantization.Q8_0, Quantization.Q4_0)
    cases = [gguf_case(base, f"llama-tiny-{kind.name}.gguf", config, weights, kind, 300) for kind in kinds]
    scaled = SHARED_LLAMA["llama-tiny-llama3"]["rope_scaling"]
    plain = 1.0 / 10000.0 ** (np.arange(0, config["head_dim"], 2) / config["head_dim"])
    used = rotary(load(ROOT / "llama-tiny-llama3"), 8)["inverseFrequencies"]
    divisors = plain / np.array(used)
    file = "llama-tiny-llama3-Q4_0.gguf"
    cases.append(gguf_case(base, file, config, weights, Quantization.Q4_0, 300, divisors, scaled))
    write_json(base / "gguf-golden.json", {"ropeFrequencyDivisors": divisors.tolist(), "cases": cases})


def make_small():
    """The Llama variants with weights of their own."""
    for index, (name, config) in enumerate(OWN_LLAMA.items()):
        folder = ROOT / name
        save_config(folder, config)
        save_weights(folder, random_weights(config, seed=40 + index))
        golden(folder, config, seed=400 + 10 * index, stride=1)


def make_qwen3():
    """qwen3-tiny, tied and untied, and GGUF files of both."""
    config, base = qwen3(), ROOT / "qwen3-tiny"
    weights = random_weights(config, seed=60)
    save_config(base, config)
    save_weights(base, weights)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        link(base / name, ROOT / "llama-tiny" / name)
    model, _ = golden(base, config, seed=500)
    write_json(base / "end-to-end.json", end_to_end(model, base))

    tied, folder = qwen3(tie_word_embeddings=True, torch_dtype="bfloat16"), ROOT / "qwen3-tiny-tied"
    shared = random_weights(tied, seed=61)
    save_config(folder, tied)
    save_weights(folder, shared)
    golden(folder, tied, seed=510)
    cases = [
        gguf_case(base, "qwen3-tiny-F16.gguf", config, weights, Quantization.F16, 520),
        gguf_case(base, "qwen3-tiny-tied-Q8_0.gguf", tied, shared, Quantization.Q8_0, 520),
    ]
    write_json(base / "gguf-golden.json", {"cases": cases})


def main():
    """Replaces everything under Tests/Goldens/models that this script owns."""
    for folder in [*ROOT.glob("llama-tiny*"), *ROOT.glob("qwen3-tiny*")]:
        shutil.rmtree(folder)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    make_llama()
    make_small()
    make_qwen3()
    versions = {"torch": torch.__version__, "gguf": "0.19.0", "numpy": np.__version__}
    versions["transformers"] = __import__("transformers").__version__
    write_json(ROOT / "versions.json", versions)


if __name__ == "__main__":
    main()
