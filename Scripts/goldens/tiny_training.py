"""Trains the tiny checkpoints with PyTorch: gradients of the first step and the losses of fifty.

Run: python Scripts/goldens/tiny_training.py [NAME…]     (about a minute, after the scripts that make the checkpoints:
weights made anew need this again)
"""

import copy
import sys

import numpy as np
import torch
from golden_files import ROOT, write_json
from transformers import AutoModelForCausalLM

import tiny_experts

TARGET = ROOT.parent / "training"
MODELS = ["llama-tiny", "llama-tiny-tied", "llama-tiny-bias", "qwen3-tiny", "gpt2-tiny", "gemma3_text-tiny"]
EXPERTS = ["mixtral-tiny", "qwen3_moe-tiny", "hunyuan_v1_moe-tiny"]
LENGTHS = [13, 30, 1, 20]
BATCHES = 5
STEPS = 50
GRADIENT_STRIDE = 5
SGD = {"learningRate": 0.05}
ADAMW = {"learningRate": 0.003, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8, "weightDecay": 0.1}


def batches(vocabulary, seed):
    """Sequences laid end to end; each predicts its next token, and its last token predicts nothing."""
    random = np.random.Generator(np.random.PCG64(seed))
    result = []
    for _ in range(BATCHES):
        tokens, targets, weights = [], [], []
        for length in LENGTHS:
            sequence = random.integers(3, vocabulary, length + 1)
            tokens += sequence[:-1].tolist()
            targets += sequence[1:].tolist()
            weights += random.choice([1.0, 0.5, 0.0], length - 1, p=[0.6, 0.3, 0.1]).tolist() + [0.0]
        result.append({"tokens": tokens, "targets": targets, "weights": weights})
    return result


def loss_of(model, batch):
    """The mean cross-entropy by weight; every sequence runs alone, so that none can see another."""
    total, start = 0.0, 0
    for length in LENGTHS:
        rows = slice(start, start + length)
        logits = model(input_ids=torch.tensor([batch["tokens"][rows]])).logits[0]
        errors = torch.nn.functional.cross_entropy(logits, torch.tensor(batch["targets"][rows]), reduction="none")
        total = total + (errors * torch.tensor(batch["weights"][rows], dtype=errors.dtype)).sum()
        start += length
    return total / sum(batch["weights"])


def named_gradients(model):
    """Gradients by the names of releases, which have a tensor for each matrix of each expert."""
    name_of = tiny_experts.release_name if model.config.model_type == "mixtral" else str
    for name, parameter in model.named_parameters():
        layer, _, kind = name.rpartition(".experts.")
        if not layer:
            yield name_of(name), parameter.grad
            continue
        for index, gradient in enumerate(parameter.grad):
            parts = {"down_proj": gradient}
            if kind == "gate_up_proj":
                parts = dict(zip(("gate_proj", "up_proj"), gradient.chunk(2)))
            for part, values in parts.items():
                yield name_of(f"{layer}.experts.{index}.{part}.weight"), values


def gradients(model, batch, path):
    """Gradients in float64, every n-th value of each, as one file of float32."""
    model = copy.deepcopy(model).double()
    loss = loss_of(model, batch)
    loss.backward()
    entries, values = [], []
    for name, gradient in named_gradients(model):
        flat = gradient.flatten()
        entries.append({"name": name, "count": flat.numel(), "norm": flat.norm().item()})
        values.append(flat[::GRADIENT_STRIDE].numpy().astype("<f4"))
    np.concatenate(values).tofile(path)
    return {"loss": loss.item(), "stride": GRADIENT_STRIDE, "file": path.name, "parameters": entries}


def losses(model, data, make_optimizer):
    model = copy.deepcopy(model)
    optimizer = make_optimizer(model.parameters())
    result = []
    for step in range(STEPS):
        loss = loss_of(model, data[step % len(data)])
        result.append(round(loss.item(), 7))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return result


def adamw(parameters):
    """Matrices decay, those of experts too, which are stacked; norms and biases do not."""
    parameters = list(parameters)
    return torch.optim.AdamW(
        [{"params": [p for p in parameters if p.dim() >= 2], "weight_decay": ADAMW["weightDecay"]},
         {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0}],
        lr=ADAMW["learningRate"], betas=(ADAMW["beta1"], ADAMW["beta2"]), eps=ADAMW["epsilon"])


def main():
    TARGET.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(MODELS + EXPERTS):
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        if name in EXPERTS:
            model = tiny_experts.load(ROOT / name)
        else:
            model = AutoModelForCausalLM.from_pretrained(ROOT / name, torch_dtype=torch.float32)
        data = batches(model.config.vocab_size, seed=500 + index)
        write_json(TARGET / f"{name}.json", {
            "torch": torch.__version__,
            "lengths": LENGTHS,
            "batches": data,
            "gradients": gradients(model, data[0], TARGET / f"{name}-gradients.bin"),
            "sgd": {**SGD, "losses": losses(
                model, data, lambda p: torch.optim.SGD(p, lr=SGD["learningRate"]))},
            "adamw": {**ADAMW, "losses": losses(model, data, adamw)},
        })
        print(name)


if __name__ == "__main__":
    main()
