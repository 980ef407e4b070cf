"""PyTorch's convolutions (oneDNN) on the shapes of `angel bench kernels`, in both memory formats.

Run: python Benchmarks/convolutions.py [THREADS]     (20 s; then `angel bench kernels --threads THREADS` on the same machine)

3x3, stride 1, padding 1, one image, float32. Best of eleven runs by wall time, in GFLOP/s; what PyTorch reorders on the way
counts, as arranging does in ours.
"""

import sys
import time

import torch

torch.set_num_threads(int(sys.argv[1]) if sys.argv[1:] else 2)
SHAPES = [(channels, side) for channels in (64, 128, 256) for side in (32, 64)]


def rate(operations, run):
    """GFLOP/s of the best run."""
    run()
    times = []
    for _ in range(11):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return operations / min(times) / 1e9


def main():
    """A line a shape and format."""
    for channels, side in SHAPES:
        operations = 18 * channels * channels * side * side
        for name, layout in (("channels first", torch.contiguous_format), ("channels last", torch.channels_last)):
            x, dy = (torch.randn(1, channels, side, side).contiguous(memory_format=layout) for _ in range(2))
            weight = torch.randn(channels, channels, 3, 3).contiguous(memory_format=layout)

            def backward(*wanted):
                return torch.ops.aten.convolution_backward(
                    dy, x, weight, [channels], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [*wanted, False])

            with torch.no_grad():
                forward = rate(operations, lambda: torch.nn.functional.conv2d(x, weight, padding=1))
            by_input = rate(operations, lambda: backward(True, False))
            by_weight = rate(operations, lambda: backward(False, True))
            print(
                f"{side} x {side} x {channels}, {name}: forward {forward:.1f}, by input {by_input:.1f}, "
                f"by weight {by_weight:.1f} GFLOP/s")


if __name__ == "__main__":
    main()
