"""Adapters made by peft beside llama-tiny and qwen3-tiny, and the logits with them.

Run: python Scripts/goldens/peft_adapters.py     (a few seconds, after tiny_models.py)

Both matrices are random, not B zero, so that every value counts.
"""

import json

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
}


def main():
    for name, settings in CASES.items():
        model = AutoModelForCausalLM.from_pretrained(ROOT / name, dtype=torch.float32).eval()
        adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
        random = np.random.Generator(np.random.PCG64(7))
        with torch.no_grad():
            for key, parameter in adapted.named_parameters():
                if "lora_" in key:
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
        with torch.no_grad():
            logits = adapted(input_ids=torch.tensor([TOKENS])).logits[0].numpy()
        write_json(folder / "golden.json", {"tokens": TOKENS, "logits": write_logits(folder, "logits.bin", logits)})


main()
