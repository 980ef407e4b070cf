"""Writes a Llama folder that computes the same function with its channels scaled by random factors.

    scaled_channels.py SOURCE TARGET [SEED]

A model that was read from blocks lies on their grid, which rounding may meet again; this one does not. Factors are exp(0.15 x), x
normal: norms take up those of the layers after them, up those of down, and values those of the layer after attention.
"""

import json
import os
import shutil
import sys

import numpy as np
from safetensors.numpy import load_file, save_file


def scale(weights, config, generator):
    def factors(count):
        return np.exp(0.15 * generator.standard_normal(count)).astype(np.float32)

    heads, kept, width = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    for index in range(config["num_hidden_layers"]):
        layer = f"model.layers.{index}."
        attention, mlp = layer + "self_attn.", layer + "mlp."
        for norm, names in (
            ("input_layernorm", [attention + "q_proj", attention + "k_proj", attention + "v_proj"]),
            ("post_attention_layernorm", [mlp + "gate_proj", mlp + "up_proj"]),
        ):
            by = factors(config["hidden_size"])
            weights[f"{layer}{norm}.weight"] /= by
            for name in names:
                weights[name + ".weight"] *= by
        by = factors(config["intermediate_size"])
        weights[mlp + "up_proj.weight"] /= by[:, None]
        weights[mlp + "down_proj.weight"] *= by
        by = factors(kept * width)
        weights[attention + "v_proj.weight"] /= by[:, None]
        weights[attention + "o_proj.weight"] *= np.repeat(by.reshape(kept, 1, width), heads // kept, 1).reshape(-1)


def main():
    source, target = sys.argv[1:3]
    with open(f"{source}/config.json") as file:
        config = json.load(file)
    weights = load_file(f"{source}/model.safetensors")
    scale(weights, config, np.random.Generator(np.random.PCG64(int(sys.argv[3]) if len(sys.argv) > 3 else 1)))
    os.makedirs(target, exist_ok=True)
    for name in os.listdir(source):
        if name != "model.safetensors":
            shutil.copy(f"{source}/{name}", target)
    save_file(weights, f"{target}/model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
