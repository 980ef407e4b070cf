"""Perplexities after rounding to int4 in groups of 32 by llmcompressor, on the windows that `angel quantize --calibration` takes.

    reference_rounding.py SOURCE CALIBRATION.txt TEXT.txt CASE... [--windows 16] [--keep FOLDER]

SOURCE is a plain folder of a Llama. A CASE is METHOD[:ORDER[:SCALES[:zeros]]], such as `nearest` or `gptq:static:imatrix_mse`:
orders are static, none; scales memoryless_minmax (the package's default), memoryless_mse, imatrix_mse. --keep writes the folder of
the last case. Both texts are cut into windows of 512 tokens; of the calibration's, --windows evenly spaced ones are taken.

The package's own observers and `quantize_weight` round, but its `oneshot` is not what calls them: inputs are those of the model
before any rounding, layers that share their inputs share one Hessian, and layers of a kind are rounded in one batch. On two shared
cores `oneshot` took 40 s a layer.
"""

import argparse
import math
import time

import torch
from compressed_tensors.quantization import QuantizationArgs, fake_quantize
from llmcompressor.modifiers.gptq.gptq_quantize import quantize_weight
from llmcompressor.observers import Observer
from transformers import AutoModelForCausalLM, AutoTokenizer

WINDOW = 512
BATCH = 10  # layers rounded at once
# What reads one input, and by whose input it is watched.
KINDS = {
    "self_attn.q_proj": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    "self_attn.o_proj": ["self_attn.o_proj"],
    "mlp.gate_proj": ["mlp.gate_proj", "mlp.up_proj"],
    "mlp.down_proj": ["mlp.down_proj"],
}


def windows(tokenizer, path):
    with open(path, encoding="utf-8", newline="") as file:
        tokens = tokenizer(file.read(), add_special_tokens=False)["input_ids"]
    return [torch.tensor([tokens[i : i + WINDOW]]) for i in range(0, len(tokens) - WINDOW + 1, WINDOW)]


def moments(model, rows):
    """2 Xᵀ X over the number of windows, as the package has it, by layer and kind."""
    found, hooks = {}, []

    def watch(key):
        def hook(_, inputs):
            x = inputs[0].reshape(-1, inputs[0].shape[-1])
            product = x.T @ x * (2 / len(rows))
            found[key] = found[key] + product if key in found else product

        return hook

    for index, layer in enumerate(model.model.layers):
        for kind in KINDS:
            hooks.append(layer.get_submodule(kind).register_forward_pre_hook(watch((index, kind))))
    for row in rows:
        model.model(row)
    for hook in hooks:
        hook.remove()
    return found


def scales(weight, moment, arguments):
    """The scale and zero of each group of a matrix, (outputs, groups)."""
    observer = Observer.load_from_registry(arguments.observer, base_name="weight", args=arguments)
    if arguments.observer == "imatrix_mse":
        observer._imatrix_sum, observer._imatrix_count = torch.diagonal(moment).clone(), torch.tensor(1)
    observer(weight)
    found = observer.get_qparams()
    return found["scale"], found["zero_point"]


def rounded(weights, hessians, case):
    """Matrices (layers, outputs, inputs) with the values that a case gives them."""
    method, order, observer, zeros = (case.split(":") + [""] * 4)[:4]
    arguments = QuantizationArgs(
        num_bits=4, type="int", symmetric=zeros != "zeros", strategy="group", group_size=32,
        observer=observer or "memoryless_minmax", actorder=None if order in ("", "none") else order,
    )
    pairs = [scales(weight, moment, arguments) for weight, moment in zip(weights, hessians)]
    if method == "nearest":
        return torch.stack([fake_quantize(w, s, z, arguments) for w, (s, z) in zip(weights, pairs)])
    scale, zero = (torch.stack(list(column)) for column in zip(*pairs))
    # The Hessians are overwritten, and so are the weights where they are float32.
    return quantize_weight(weights.clone(), hessians.clone(), scale, zero, None, arguments)[0]


def perplexity(model, rows):
    losses = [
        torch.nn.functional.cross_entropy(model(row).logits[0, :-1], row[0, 1:], reduction="sum").item() for row in rows
    ]
    return math.exp(sum(losses) / sum(row.shape[1] - 1 for row in rows))


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("calibration")
    parser.add_argument("text")
    parser.add_argument("cases", nargs="+")
    parser.add_argument("--windows", type=int, default=16)
    parser.add_argument("--keep")
    options = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(options.source)
    model = AutoModelForCausalLM.from_pretrained(options.source, dtype=torch.float32).eval()
    text = windows(tokenizer, options.text)[:8]
    cut = windows(tokenizer, options.calibration)
    count = min(options.windows, len(cut))
    found = moments(model, [cut[i * len(cut) // count] for i in range(count)])
    print(f"{options.source}, {options.calibration}", flush=True)
    layers = model.model.layers
    original = {name: layer.weight.clone() for name, layer in layers.named_modules() if isinstance(layer, torch.nn.Linear)}
    for case in options.cases:
        start = time.time()
        for kind, names in KINDS.items():
            for first in range(0, len(layers), BATCH):
                span = range(first, min(first + BATCH, len(layers)))
                # Outputs are rounded each for itself, so layers that share a Hessian are rows of one matrix.
                weights = torch.stack([torch.cat([original[f"{i}.{name}"] for name in names]) for i in span])
                results = rounded(weights, torch.stack([found[i, kind] for i in span]), case)
                for i, result in zip(span, results):
                    heights = [original[f"{i}.{name}"].shape[0] for name in names]
                    for name, part in zip(names, result.split(heights)):
                        layers[i].get_submodule(name).weight.copy_(part)
        spent = time.time() - start
        print(f"{case}: perplexity {perplexity(model, text):.4f}, rounded in {spent:.0f} s", flush=True)
    if options.keep:
        model.save_pretrained(options.keep)
        tokenizer.save_pretrained(options.keep)


if __name__ == "__main__":
    main()
