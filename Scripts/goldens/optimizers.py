"""Takes three small parameters through twenty steps of every optimizer: torch where it has the rule, else the paper's equations.

Run: python Scripts/goldens/optimizers.py     (a few seconds)

Values and gradients are fractions that every language computes alike, so nothing but results is stored. Everything is in
float64, Muon's iteration too (torch has it in bfloat16: that result is stored as well).
"""

import math

import numpy as np
import torch
from golden_files import ROOT, write_json
from transformers.optimization import Adafactor as TransformersAdafactor

TARGET = ROOT.parent / "optimizers"
SHAPES = [(24, 10), (9, 70), (21,)]
STEPS = 20
RATE, DECAY, BETA1, BETA2, EPSILON = 0.01, 0.1, 0.9, 0.95, 1e-8


def counts():
    return [math.prod(shape) for shape in SHAPES]


def values(index):
    i = np.arange(counts()[index], dtype=np.int64) + 1000 * index
    return (((i * 6151 + 17) % 1999 / 999.5 - 1) * 0.5).astype(np.float32).astype(np.float64).reshape(SHAPES[index])


def gradient(index, step):
    i = np.arange(counts()[index], dtype=np.int64) + 1000 * index
    whole = (i * 7919 + step * 104729 + i * i * 31) % 2003
    return ((whole / 1001.0 - 1) * (1 + i % 3) / 4).astype(np.float32).astype(np.float64).reshape(SHAPES[index])


def run_torch(make, indices=(0, 1, 2)):
    parameters = [torch.nn.Parameter(torch.from_numpy(values(i))) for i in indices]
    optimizer = make(parameters)
    for step in range(1, STEPS + 1):
        for i, parameter in zip(indices, parameters):
            parameter.grad = torch.from_numpy(gradient(i, step))
        optimizer.step()
    return [parameter.detach().numpy() for parameter in parameters]


def groups(parameters, decay=DECAY):
    return [{"params": [p], "weight_decay": decay if p.dim() > 1 else 0.0} for p in parameters]


def adamw(parameters):
    return torch.optim.AdamW(groups(parameters), lr=RATE, betas=(BETA1, BETA2), eps=EPSILON)


def muon(parameters):
    return torch.optim.Muon(parameters, lr=RATE, weight_decay=DECAY, momentum=0.95, adjust_lr_fn="match_rms_adamw")


def adafactor(parameters):
    # Its first epsilon is by default that of the parameters' type, here float32's.
    return torch.optim.Adafactor(groups(parameters), lr=RATE, eps=(float(np.finfo(np.float32).eps), 1e-3))


def transformers_adafactor(parameters):
    return TransformersAdafactor(
        parameters, lr=RATE, scale_parameter=True, relative_step=False, warmup_init=False, weight_decay=0.0)


def lion():
    """arXiv:2302.06675, algorithm 2."""
    result = []
    for i in range(3):
        p, m = values(i), np.zeros(SHAPES[i])
        decay = DECAY if p.ndim > 1 else 0.0
        for step in range(1, STEPS + 1):
            g = gradient(i, step)
            c = BETA1 * m + (1 - BETA1) * g
            p = p - RATE * (np.sign(c) + decay * p)
            m = BETA2 * m + (1 - BETA2) * g
        result.append(p)
    return result


def code_table(exponents):
    """The non-negative values of the 8-bit codes of adamw8.h, ascending."""
    unit = 2.0 ** (1 - exponents) / 16
    small = [f * unit for f in range(16)]
    return np.array(small + [(16 + f) * unit * 2 ** (e - 1) for e in range(1, exponents + 1) for f in range(16)])


def lowbias32(x):
    x = x.astype(np.uint32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    return x ^ x >> np.uint32(16)


def rounded(value, table, random):
    """To one of the two neighbours; the share of the way to the upper one, against 19 random bits."""
    index = np.searchsorted(table, value, side="right") - 1
    upper = np.minimum(index + 1, len(table) - 1)
    gap = np.where(upper > index, table[upper] - table[index], 1)
    share = (value - table[index]) / gap
    return table[np.where(share + (random & np.uint32(0x7FFFF)) / 2**19 >= 1, upper, index)]


def seed(path, step):
    value = 0x811C9DC5
    for byte in path.encode() + step.to_bytes(4, "little"):
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return np.uint32(value)


def adamw8():
    """AdamW (arXiv:1711.05101) whose moments pass through 8 bits in blocks of 256 after every step; vectors do not."""
    result = []
    first_table, second_table = code_table(7), code_table(15)
    # The highest code is 1 itself.
    first_table, second_table = first_table[first_table <= 1], second_table[second_table <= 1]
    for i in range(3):
        p = values(i).flatten()
        m, r = np.zeros(p.size), np.zeros(p.size)
        decay = DECAY if len(SHAPES[i]) > 1 else 0.0
        for step in range(1, STEPS + 1):
            g = gradient(i, step).flatten()
            m = BETA1 * m + (1 - BETA1) * g
            r = np.sqrt(BETA2 * r * r + (1 - BETA2) * g * g)
            p = p * (1 - RATE * decay)
            p = p - RATE / (1 - BETA1**step) * m / (r / math.sqrt(1 - BETA2**step) + EPSILON)
            if len(SHAPES[i]) == 1:
                continue
            random = lowbias32(lowbias32(np.arange(p.size, dtype=np.uint32)) ^ seed(f"p{i}", step))
            for start in range(0, p.size, 256):
                block = slice(start, start + 256)
                m_scale, r_scale = np.abs(m[block]).max(), r[block].max()
                m[block] = np.sign(m[block]) * m_scale * rounded(
                    np.abs(m[block]) / m_scale, first_table, random[block])
                r[block] = r_scale * rounded(r[block] / r_scale, second_table, random[block] >> np.uint32(13))
        result.append(p.reshape(SHAPES[i]))
    return result


def ema():
    """An average of AdamW's values: min(0.99, (1 + t) / (10 + t)) of the old one."""
    parameters = [torch.nn.Parameter(torch.from_numpy(values(i))) for i in range(3)]
    averages = [values(i) for i in range(3)]
    optimizer = adamw(parameters)
    for step in range(1, STEPS + 1):
        for i, parameter in enumerate(parameters):
            parameter.grad = torch.from_numpy(gradient(i, step))
        optimizer.step()
        decay = min(0.99, step / (9 + step))
        averages = [a + (p.detach().numpy() - a) * (1 - decay) for a, p in zip(averages, parameters)]
    return averages


def main():
    results = {
        "adamw": run_torch(adamw),
        "muon_bf16": run_torch(muon, (0, 1)),
        "adafactor": run_torch(adafactor),
        "adafactor_transformers": run_torch(transformers_adafactor),
        "lion": lion(),
        "adamw8": adamw8(),
        "ema": ema(),
    }
    original = torch.Tensor.bfloat16
    torch.Tensor.bfloat16 = lambda tensor: tensor.clone()
    results["muon"] = run_torch(muon, (0, 1))
    torch.Tensor.bfloat16 = original
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, arrays in results.items():
        np.concatenate([array.flatten() for array in arrays]).astype("<f4").tofile(TARGET / f"{name}.bin")
    write_json(TARGET / "golden.json", {
        "torch": torch.__version__, "shapes": [list(shape) for shape in SHAPES], "steps": STEPS, "learningRate": RATE,
        "weightDecay": DECAY, "beta1": BETA1, "beta2": BETA2, "epsilon": EPSILON, "rules": sorted(results)})


main()
