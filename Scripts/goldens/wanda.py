"""Which weights of a tiny Llama stay in 2:4 pruning by magnitude and by Wanda (arXiv:2306.11695, §3 and Algorithm 1).

    python wanda.py     # writes Tests/Goldens/pruned

The paper's equations in PyTorch, as its authors' code has them: block by block, the norms of every layer's inputs over a text by
the model whose blocks before are pruned already, scores |W| ‖x‖₂, and of every four inputs of an output the two of least
score become zero. Weights that stay are rounded to bfloat16, which is what they are written as.
"""

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from golden_files import ROOT, write_json

LAYERS = [f"self_attn.{name}_proj" for name in "qkvo"] + [f"mlp.{name}_proj" for name in ["gate", "up", "down"]]


def windows():
    """Made-up tokens, by the formula of the tests."""
    return [[3 + (w * 97 + p * p * 7 + p) % 250 for p in range(48)] for w in range(6)]


def mask(weight, squares):
    """True where a weight stays."""
    scores = (weight.abs() * squares.sqrt()).reshape(-1, 4)
    least = torch.topk(scores, 2, dim=1, largest=False)[1]
    return torch.ones_like(scores, dtype=torch.bool).scatter_(1, least, False).reshape(weight.shape)


def input_squares(model, block):
    """The mean square of every input of the layers of a block, over all windows."""
    sums, counts, hooks = {}, {}, []

    def watch(name):
        def hook(_, inputs, __):
            x = inputs[0].reshape(-1, inputs[0].shape[-1])
            sums[name] = sums.get(name, 0) + x.norm(p=2, dim=0) ** 2
            counts[name] = counts.get(name, 0) + len(x)

        return hook

    for name in LAYERS:
        hooks.append(block.get_submodule(name).register_forward_hook(watch(name)))
    for tokens in windows():
        model(torch.tensor([tokens]))
    for hook in hooks:
        hook.remove()
    return {name: sums[name] / counts[name] for name in LAYERS}


@torch.no_grad()
def pruned(folder, by_inputs):
    """The bits of all masks, layer after layer, and the logits after one window."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    bits = []
    for block in model.model.layers:
        squares = input_squares(model, block)
        for name in LAYERS:
            weight = block.get_submodule(name).weight
            stays = mask(weight, squares[name] if by_inputs else torch.ones(weight.shape[1]))
            bits.append(stays.numpy().reshape(-1))
            weight.copy_((weight * stays).to(torch.bfloat16).float())
    return np.concatenate(bits), model(torch.tensor([windows()[0]])).logits[0].numpy()


def main():
    folder, target = ROOT / "llama-tiny", ROOT.parent / "pruned"
    target.mkdir(exist_ok=True)
    entries = {}
    for name, by_inputs in [("magnitude", False), ("wanda", True)]:
        bits, logits = pruned(folder, by_inputs)
        np.packbits(bits, bitorder="little").tofile(target / f"{name}.bin")
        last = [round(float(value), 6) for value in logits[-1][:64]]
        entries[name] = {"file": f"{name}.bin", "weights": len(bits), "logits": last}
    write_json(target / "masks.json", {"layers": LAYERS, **entries})


if __name__ == "__main__":
    main()
