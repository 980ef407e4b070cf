"""Adapters made by peft beside three tiny checkpoints (LoRA, rsLoRA, DoRA), and the logits with them.

Run: python Scripts/goldens/peft_adapters.py [NAME…]     (a few seconds, after tiny_models.py)

Both matrices are random, not B zero, so that every value counts.
"""

import json
import sys

import numpy as np
import torch
from golden_files import ROOT, write_json, write_logits
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

TARGET = ROOT.parent / "adapters"
TOKENS = [5, 17, 42, 99, 3, 250, 128, 64]
CASES = {
    "llama-tiny": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"]),
    "qwen3-tiny": dict(r=3, lora_alpha=5, target_modules=["k_proj", "o_proj", "up_proj"], use_rslora=True),
    "llama-tiny-bias": dict(r=4, lora_alpha=6, target_modules=["q_proj", "o_proj", "gate_proj"], use_dora=True),
}


def main():
    for name, settings in CASES.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        model = AutoModelForCausalLM.from_pretrained(ROOT / name, dtype=torch.float32).eval()
        adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
        random = np.random.Generator(np.random.PCG64(7))
        with torch.no_grad():
            for key, parameter in adapted.named_parameters():
                if "magnitude" in key:
                    parameter.mul_(torch.from_numpy(random.uniform(0.8, 1.25, parameter.shape).astype(np.float32)))
                elif "lora_" in key:
                    parameter.copy_(torch.from_numpy(random.normal(0, 0.1, parameter.shape).astype(np.float32)))
        folder = TARGET / name
        adapted.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        (folder / "adapter_model.safetensors").chmod(0o644)
        # peft writes the path on this machine, and the targets in the order of a set.
        configuration = json.loads((folder / "adapter_config.json").read_text())
        configuration["base_model_name_or_path"] = name
        configuration["target_modules"].sort()
        (folder / "adapter_config.json").write_text(json.dumps(configuration, indent=2) + "\n")
        tokens = [token % model.config.vocab_size for token in TOKENS]
        with torch.no_grad():
            logits = adapted(input_ids=torch.tensor([tokens])).logits[0].numpy()
        write_json(folder / "golden.json", {"tokens": tokens, "logits": write_logits(folder, "logits.bin", logits)})


main()
