"""One measurement of PyTorch's training steps, run by the Python that has it; prints a JSON object.

torch_training_sample.py MODEL BATCH SEQUENCE eager|compiled f32|bf16 full|lora THREADS STEPS

Plain models of the shapes that `angel bench training` has, random weights and tokens: scaled_dot_product_attention, tied
heads, cross-entropy over the whole batch, clipping of the norm, fused AdamW. bf16 is autocast, as PyTorch documents it.
"""
import json
import resource
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# name: (family, layers, width, heads, kv heads, inner, vocabulary, tied)
SHAPES = {
    "gpt2-124m": ("gpt2", 12, 768, 12, 12, 3072, 50257, True),
    "llama-15m": ("llama", 6, 288, 6, 6, 768, 32000, True),
    "smollm2-135m": ("llama", 30, 576, 9, 3, 1536, 49152, True),
}


class GPT2Block(nn.Module):
    def __init__(self, width, heads, inner):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.c_fc, self.c_out = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x, angles):
        batch, length, width = x.shape
        q, k, v = self.c_attn(self.ln_1(x)).split(width, dim=2)
        q, k, v = (t.view(batch, length, self.heads, -1).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).reshape(batch, length, width))
        return x + self.c_out(F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


def rotated(x, angles):
    cosine, sine = angles
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine


class LlamaBlock(nn.Module):
    def __init__(self, width, heads, kv_heads, inner):
        super().__init__()
        size = width // heads
        self.heads, self.kv_heads = heads, kv_heads
        self.input_layernorm, self.post_attention_layernorm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, kv_heads * size, bias=False)
        self.v_proj = nn.Linear(width, kv_heads * size, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)
        self.gate_proj, self.up_proj = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x, angles):
        batch, length, width = x.shape
        h = self.input_layernorm(x)
        q = self.q_proj(h).view(batch, length, self.heads, -1).transpose(1, 2)
        k = self.k_proj(h).view(batch, length, self.kv_heads, -1).transpose(1, 2)
        v = self.v_proj(h).view(batch, length, self.kv_heads, -1).transpose(1, 2)
        y = F.scaled_dot_product_attention(
            rotated(q, angles), rotated(k, angles), v, is_causal=True, enable_gqa=self.heads != self.kv_heads)
        x = x + self.o_proj(y.transpose(1, 2).reshape(batch, length, width))
        h = self.post_attention_layernorm(x)
        return x + self.down_proj(F.silu(self.gate_proj(h)) * self.up_proj(h))


class Model(nn.Module):
    def __init__(self, family, layers, width, heads, kv_heads, inner, vocabulary, tied):
        super().__init__()
        self.size = width // heads
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(1024, width) if family == "gpt2" else None
        make = (lambda: GPT2Block(width, heads, inner)) if family == "gpt2" else (
            lambda: LlamaBlock(width, heads, kv_heads, inner))
        self.blocks = nn.ModuleList(make() for _ in range(layers))
        self.norm = nn.LayerNorm(width) if family == "gpt2" else nn.RMSNorm(width)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.lm_head.weight = self.embedding.weight
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens, targets):
        length = tokens.shape[1]
        x, angles = self.embedding(tokens), None
        if self.positions is not None:
            x = x + self.positions(torch.arange(length))
        else:
            frequencies = 1 / 10000 ** (torch.arange(0, self.size, 2).float() / self.size)
            table = torch.outer(torch.arange(length).float(), frequencies).repeat(1, 2)
            angles = (table.cos(), table.sin())
        for block in self.blocks:
            x = block(x, angles)
        logits = self.lm_head(self.norm(x))
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def main():
    name, batch, sequence, mode, precision, what, threads, steps = sys.argv[1:9]
    batch, sequence, threads, steps = int(batch), int(sequence), int(threads), int(steps)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = Model(*SHAPES[name])
    if what == "lora":
        import peft

        configuration = peft.LoraConfig(r=16, lora_alpha=32, target_modules=TARGETS)
        model = peft.get_peft_model(model, configuration)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=3e-4, betas=(0.9, 0.95), fused=True)
    forward = torch.compile(model) if mode == "compiled" else model
    generator = torch.Generator().manual_seed(1)
    seconds, losses = [], []
    for _ in range(steps + 2):
        tokens = torch.randint(0, 32000, (batch, sequence + 1), generator=generator)
        begin = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = forward(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        seconds.append(time.perf_counter() - begin)
    print(json.dumps({
        "version": torch.__version__, "tokens_per_second": batch * sequence / statistics.median(seconds[2:]),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "losses": losses}))


main()
