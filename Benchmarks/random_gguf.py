"""GGUF files of a model shape with random weights, for rivals that only read files."""
import random
import struct

# dtype: (number in GGUF, elements in a block, bytes in a block, {offset: half-precision scale for unit deviation})
FORMATS = {
    "q4_0": (2, 32, 18, {0: 1 / 4.61}),
    "q8_0": (8, 32, 34, {0: 1 / 73.9}),
    "q4_k": (12, 256, 144, {0: 1 / 258, 2: 7.5 / 258}),
    "q6_k": (14, 256, 210, {208: 1 / 1366}),
    "bf16": (30, 1, 2, {}),
}
# hidden, layers, heads, key-value heads, inner, vocabulary
SHAPES = {"llama-1b": (2048, 16, 32, 8, 8192, 128256)}
F32 = 0


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def number(key, value):
    return text(key) + (struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<II", 4, value))


def rows(format, depth, count, source):
    """Some rows of valid random blocks, values of deviation 1 / sqrt(depth)."""
    _, elements, size, scales = FORMATS[format]
    if format == "bf16":
        deviation = (3 / depth) ** 0.5
        return b"".join(
            struct.pack("<f", source.uniform(-deviation, deviation))[2:] for _ in range(depth * count))
    data = bytearray(source.randbytes(depth // elements * count * size))
    for offset, scale in scales.items():
        half = struct.pack("<e", scale / depth**0.5)
        for block in range(0, len(data), size):
            data[block + offset:block + offset + 2] = half
    return bytes(data)


def tensors(shape):
    """(name, depth, rows or None for a float32 vector) of every tensor; the head is the embedding."""
    hidden, layers, heads, groups, inner, vocabulary = SHAPES[shape]
    cached = hidden // heads * groups
    yield "token_embd.weight", hidden, vocabulary
    for layer in range(layers):
        prefix = f"blk.{layer}."
        yield prefix + "attn_norm.weight", hidden, None
        yield prefix + "attn_q.weight", hidden, hidden
        yield prefix + "attn_k.weight", hidden, cached
        yield prefix + "attn_v.weight", hidden, cached
        yield prefix + "attn_output.weight", hidden, hidden
        yield prefix + "ffn_norm.weight", hidden, None
        yield prefix + "ffn_gate.weight", hidden, inner
        yield prefix + "ffn_up.weight", hidden, inner
        yield prefix + "ffn_down.weight", inner, hidden
    yield "output_norm.weight", hidden, None


def write(path, shape, format):
    """Writes the file; a few random rows serve all, which changes nothing for speed."""
    hidden, layers, heads, groups, inner, vocabulary = SHAPES[shape]
    kind, elements, size, _ = FORMATS[format]
    listed = list(tensors(shape))
    fields = [
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("tokenizer.ggml.model") + struct.pack("<I", 8) + text("none"),
        number("llama.vocab_size", vocabulary), number("llama.context_length", 131072),
        number("llama.embedding_length", hidden), number("llama.block_count", layers),
        number("llama.feed_forward_length", inner), number("llama.attention.head_count", heads),
        number("llama.attention.head_count_kv", groups), number("llama.rope.dimension_count", hidden // heads),
        number("llama.attention.layer_norm_rms_epsilon", 1e-5), number("llama.rope.freq_base", 500000.0),
    ]
    header = b"GGUF" + struct.pack("<IQQ", 3, len(listed), len(fields)) + b"".join(fields)
    sizes = [4 * depth if count is None else depth // elements * size * count for _, depth, count in listed]
    offset = 0
    for (name, depth, count), length in zip(listed, sizes):
        sides = [depth] if count is None else [depth, count]
        header += text(name) + struct.pack(f"<I{len(sides)}QIQ", len(sides), *sides, F32 if count is None else kind, offset)
        offset += (length + 31) // 32 * 32
    source = random.Random(0)
    tiles = {}
    with open(path, "wb") as file:
        file.write(header + bytes(-len(header) % 32))
        for (_, depth, count), length in zip(listed, sizes):
            if count is None:
                data = struct.pack("<f", 1.0) * depth
            else:
                if depth not in tiles:
                    tiles[depth] = rows(format, depth, 64, source)
                data = tiles[depth] * (count // 64)
            assert len(data) == length
            file.write(data + bytes(-length % 32))
