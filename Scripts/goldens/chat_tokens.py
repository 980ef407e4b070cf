"""Writes Tests/Goldens/templates/tokens.json: conversations through template and tokenizer, by Transformers' `apply_chat_template`.

    python Scripts/goldens/chat_tokens.py      (a few seconds; versions in requirements.txt)

The templates are those of chat_template_families.py, the tokenizers those of Tests/Goldens/tokenizer; each pair is of one
kind: what a family's template writes, a tokenizer of its kind cuts. The clock stands where chat_templates.py has it.
"""

import datetime
import json
import pathlib

import jinja2
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

from chat_template_families import CONVERSATIONS, FAMILIES
from chat_templates import NOW

ROOT = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "Goldens"
# Template, tokenizer, its begin and end of a text.
PAIRS = [
    ("chatml", "smollm", "<|im_start|>", "<|im_end|>"), ("qwen2.5", "qwen2", None, "<|im_end|>"),
    ("qwen3", "qwen2", None, "<|im_end|>"), ("smollm3", "qwen2", None, "<|im_end|>"),
    ("llama3", "llama3", "<|begin_of_text|>", "<|eot_id|>"), ("mistral", "mistral", "<s>", "</s>"),
    ("gemma", "gemma", "<s>", "</s>"), ("gemma2", "gemma", "<s>", "</s>"), ("hunyuan", "gpt2", None, "<|endoftext|>"),
    ("glm4", "qwen2", None, "<|endoftext|>"), ("phi3", "llama", "<s>", "</s>"), ("olmo2", "gpt2", "<|endoftext|>", "<|endoftext|>"),
]
CHOSEN = ["one turn", "system", "many turns", "unicode", "no prompt", "markup", "tools", "two calls", "thinking", "thinking off"]


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(NOW, datetime.timezone.utc)


def main():
    chat_template_utils.datetime = Clock
    cases = []
    for template, name, begin, end in PAIRS:
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(ROOT / "tokenizer" / f"{name}.json"), bos_token=begin, eos_token=end,
            chat_template=FAMILIES[template])
        for conversation in CHOSEN:
            variables = dict(CONVERSATIONS[conversation])
            messages, tools = variables.pop("messages"), variables.pop("tools")
            for key in ("bos_token", "eos_token", "documents"):
                variables.pop(key)
            try:
                tokens = tokenizer.apply_chat_template(
                    messages, tools=tools, tokenize=True, return_dict=False, **variables)
            except jinja2.exceptions.TemplateError as error:
                print(f"left out: {template}, {conversation}: {error}")
                continue
            cases.append({
                "template": template, "tokenizer": name, "conversation": conversation, "bos_token": begin or "",
                "eos_token": end or "", "tokens": tokens})
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    (ROOT / "templates" / "tokens.json").write_text("[\n" + lines + "\n]\n", encoding="utf-8")
    print(len(cases), "cases")


if __name__ == "__main__":
    main()
