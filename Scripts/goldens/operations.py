"""Golden values of single operations, by PyTorch in float64: router losses, and what diffusion models are made of.

Run: python Scripts/goldens/operations.py     (seconds; `diffusers` and `pillow` too, for time-step embeddings)
"""

import numpy as np
import torch
from diffusers.models.embeddings import get_timestep_embedding
from golden_files import ROOT, write_json
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

TARGET = ROOT.parent / "operations"
F = torch.nn.functional


def random(generator, *shape, scale=1.0):
    """Float32 values, so that both sides begin from the same."""
    return torch.from_numpy((generator.standard_normal(shape) * scale).astype(np.float32)).double()


def numbers(tensor):
    """A flat list with nine digits, which float32 needs."""
    return [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]


def gradients(value, seed, **leaves):
    """The gradients of `value` times fixed weights, by name."""
    weights = random(np.random.Generator(np.random.PCG64(seed)), *value.shape)
    found = torch.autograd.grad((value * weights).sum(), list(leaves.values()))
    result = {"output": numbers(value), "output_gradient": numbers(weights)}
    return result | {f"{name}_gradient": numbers(g) for name, g in zip(leaves, found)}


def routers():
    """The balance loss of transformers (one layer at a time) and the z-loss of arXiv:2202.08906, eq. 5."""
    generator = np.random.Generator(np.random.PCG64(1))
    for rows, choices, count in [(9, 4, 2), (17, 8, 3), (5, 3, 1)]:
        scores = random(generator, rows, choices, scale=1.5).requires_grad_()
        balance = load_balancing_loss_func((scores,), choices, count)
        z = torch.logsumexp(scores, dim=1).square().mean()
        yield {
            "rows": rows, "choices": choices, "count": count, "scores": numbers(scores), "balance": balance.item(),
            "z": z.item(), "balance_gradient": numbers(torch.autograd.grad(balance, scores)[0]),
            "z_gradient": numbers(torch.autograd.grad(z, scores)[0]),
        }


def last(tensor):
    """NCHW -> NHWC; of weights OIHW -> OHWI."""
    return tensor.permute(0, 2, 3, 1)


def convolutions():
    """conv2d; images and weights with channels last, as Angel holds them."""
    generator = np.random.Generator(np.random.PCG64(2))
    # batch, channels in and out, height, width, kernel, stride, padding, dilation, groups
    cases = [
        (2, 3, 5, 6, 7, (3, 3), (1, 1), (1, 1), (1, 1), 1), (1, 20, 18, 5, 5, (3, 3), (2, 2), (1, 1), (1, 1), 1),
        (1, 4, 6, 7, 8, (3, 2), (1, 2), (2, 0), (2, 1), 2), (2, 17, 4, 3, 4, (1, 1), (1, 1), (0, 0), (1, 1), 1),
        (1, 4, 4, 8, 8, (4, 4), (2, 2), (1, 1), (1, 1), 4), (1, 3, 5, 8, 8, (2, 2), (2, 2), (0, 0), (1, 1), 1),
    ]
    for number, (batch, inputs, outputs, height, width, kernel, stride, padding, dilation, groups) in enumerate(cases):
        x = random(generator, batch, height, width, inputs).requires_grad_()
        weight = random(generator, outputs, *kernel, inputs // groups, scale=0.3).requires_grad_()
        bias = random(generator, outputs).requires_grad_()
        y = F.conv2d(
            x.permute(0, 3, 1, 2), weight.permute(0, 3, 1, 2), bias, stride, padding, dilation, groups)
        yield {
            "input_shape": list(x.shape), "weight_shape": list(weight.shape), "stride": list(stride),
            "padding": list(padding), "dilation": list(dilation), "groups": groups,
            "output_shape": list(last(y).shape), "input": numbers(x), "weight": numbers(weight), "bias": numbers(bias),
        } | gradients(last(y), 100 + number, input=x, weight=weight, bias=bias)


def group_norms():
    """Group norm, alone and with SiLU after it; a mean far from zero in the last."""
    generator = np.random.Generator(np.random.PCG64(3))
    for number, (batch, height, width, channels, groups, silu, offset) in enumerate(
        [(2, 3, 4, 12, 4, False, 0), (1, 5, 5, 40, 8, True, 0), (2, 4, 4, 17, 17, False, 0), (1, 6, 5, 18, 1, True, 0),
         (1, 4, 4, 32, 4, False, 100)]):
        x = (random(generator, batch, height, width, channels) + offset).requires_grad_()
        weight = (random(generator, channels, scale=0.3) + 1).requires_grad_()
        bias = random(generator, channels, scale=0.3).requires_grad_()
        y = F.group_norm(x.permute(0, 3, 1, 2), groups, weight, bias, 1e-5)
        y = last(F.silu(y) if silu else y)
        yield {
            "shape": list(x.shape), "groups": groups, "silu": silu, "epsilon": 1e-5, "input": numbers(x),
            "weight": numbers(weight), "bias": numbers(bias),
        } | gradients(y, 200 + number, input=x, weight=weight, bias=bias)


def resamplings():
    """Nearest up-sampling and average down-sampling by whole factors."""
    generator = np.random.Generator(np.random.PCG64(4))
    for number, (kind, shape, factor) in enumerate(
        [("up", (2, 3, 4, 5), 2), ("up", (1, 2, 3, 17), 3), ("down", (2, 4, 6, 5), 2), ("down", (1, 6, 3, 17), 3)]):
        x = random(generator, *shape).requires_grad_()
        planes = x.permute(0, 3, 1, 2)
        y = F.interpolate(planes, scale_factor=factor, mode="nearest") if kind == "up" else F.avg_pool2d(planes, factor)
        yield {"kind": kind, "shape": list(shape), "factor": factor, "input": numbers(x)} | gradients(
            last(y), 300 + number, input=x)


def timesteps():
    """diffusers' sinusoidal embeddings with their switches; it takes angles in float32."""
    for dimension, flip, shift, scale, period in [
        (8, False, 1.0, 1.0, 10000), (10, True, 0.0, 1.0, 10000), (7, False, 1.0, 1.0, 10000), (16, True, 0.0, 1000.0, 100),
    ]:
        steps = torch.tensor([0.0, 1.0, 17.5, 999.0], dtype=torch.float64) / scale
        value = get_timestep_embedding(
            steps, dimension, flip_sin_to_cos=flip, downscale_freq_shift=shift, scale=scale, max_period=period)
        yield {
            "steps": steps.tolist(), "dimension": dimension, "flip": flip, "shift": shift, "scale": scale,
            "period": period, "output": numbers(value),
        }


def main():
    """Replaces the files of Tests/Goldens/operations."""
    cases = {
        "routers": routers(), "conv2d": convolutions(), "group_norm": group_norms(), "resampling": resamplings(),
        "timesteps": timesteps(),
    }
    for name, values in cases.items():
        write_json(TARGET / f"{name}.json", {"torch": torch.__version__, "cases": list(values)})


if __name__ == "__main__":
    main()
