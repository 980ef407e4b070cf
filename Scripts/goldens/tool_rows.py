"""Writes Tests/Goldens/templates/tool_rows.json: rows with tool calls as transformers' `apply_chat_template` makes tokens of them.

    python Scripts/goldens/tool_rows.py      (a few seconds; versions in requirements.txt)

A row is given as a data set has it and, written down here by hand, as the messages and tools that transformers takes. The
day is that of chat_templates.py. Samples are found on tokens: the prompt of each answer, then the conversation up to and with it, both by
`apply_chat_template`; where a prompt does not begin with what was there before, a further sample begins. Learnt is an
answer up to its last end token.
"""

import json

import jinja2
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

from chat_template_families import FAMILIES
from chat_tokens import ROOT, Clock

# Template, tokenizer, its begin and end of a text.
PAIRS = [
    ("qwen2.5", "qwen2", None, "<|im_end|>"), ("qwen3", "qwen2", None, "<|im_end|>"),
    ("smollm3", "qwen2", None, "<|im_end|>"), ("glm4", "qwen2", None, "<|im_end|>"),
    ("mistral", "mistral", "<s>", "</s>"),
]


def tool(name, description, **properties):
    return {"name": name, "description": description, "parameters": {
        "type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties)}}


WEATHER = tool("get_weather", "The weather of a city", city="string", days="integer")
CONVERT = tool("convert", "Money into other money — 换算", amount="number", to="string")
wrapped = lambda *tools: [{"type": "function", "function": one} for one in tools]
call = lambda name, arguments, number: {
    "id": f"call{number:05d}", "type": "function", "function": {"name": name, "arguments": arguments}}
nameless = lambda name, arguments: {"type": "function", "function": {"name": name, "arguments": arguments}}
answer = lambda content, number: {"role": "tool", "content": content, "tool_call_id": f"call{number:05d}"}
user = lambda content: {"role": "user", "content": content}
assistant = lambda content: {"role": "assistant", "content": content}

PARIS = {"city": "Paris", "days": 2}
EURO = {"amount": 12.5, "to": "€ \"euro\""}
MESSAGES = [
    user("How is the weather in Paris?"),
    {"role": "assistant", "content": "", "tool_calls": [call("get_weather", PARIS, 1), call("convert", EURO, 2)]},
    answer('{"sky": "clear"}', 1), answer("11.57", 2), assistant("Clear; you have 11.57."), user("谢谢！"),
    {"role": "assistant", "content": "", "tool_calls": [call("convert", {}, 3)]}, answer("none", 3),
    assistant("不客气。\n\nAnything else?"),
]


def as_text(message):
    """The same message with the arguments as text, as OpenAI's files have them."""
    calls = [{**one, "function": {**one["function"], "arguments": json.dumps(one["function"]["arguments"])}}
             for one in message.get("tool_calls", [])]
    return {**message, "tool_calls": calls} if calls else message


TEXT = json.dumps
ROWS = {
    "arguments as objects": ({"messages": MESSAGES, "tools": wrapped(WEATHER, CONVERT)}, MESSAGES, wrapped(WEATHER, CONVERT)),
    "arguments and tools as texts": (
        {"messages": [as_text(one) for one in MESSAGES], "tools": TEXT(wrapped(WEATHER, CONVERT))}, MESSAGES,
        wrapped(WEATHER, CONVERT)),
    "sharegpt": (
        {"conversations": [
            {"from": "human", "value": "天气怎么样？"}, {"from": "function_call", "value": TEXT({"name": "get_weather", "arguments": PARIS})},
            {"from": "function_call", "value": TEXT({"name": "convert", "arguments": EURO})},
            {"from": "observation", "value": "clear"}, {"from": "observation", "value": "11.57"},
            {"from": "gpt", "value": "晴。"}, {"from": "human", "value": "ok"}, {"from": "gpt", "value": "Bye."}],
         "system": "You may call tools.", "tools": TEXT([WEATHER, CONVERT])},
        [{"role": "system", "content": "You may call tools."}, user("天气怎么样？"),
         {"role": "assistant", "content": "", "tool_calls": [nameless("get_weather", PARIS), nameless("convert", EURO)]},
         {"role": "tool", "content": "clear"}, {"role": "tool", "content": "11.57"}, assistant("晴。"), user("ok"), assistant("Bye.")],
        wrapped(WEATHER, CONVERT)),
}


def samples(apply, messages, end):
    found, written = [], []
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt, whole = apply(messages[:index], True), apply(messages[:index + 1], False)
        assert whole[:len(prompt)] == prompt, "an answer does not follow its prompt"
        if not found or prompt[:len(written)] != written:
            found.append({"tokens": [], "learnt": []})
            written = []
        found[-1]["tokens"] = whole
        last = max((place + 1 for place, token in enumerate(whole) if token == end and place >= len(prompt)), default=len(whole))
        found[-1]["learnt"].append([len(prompt), last])
        written = whole
    return found


def main():
    chat_template_utils.datetime = Clock
    cases = []
    for template, name, begin, end in PAIRS:
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(ROOT / "tokenizer" / f"{name}.json"), bos_token=begin, eos_token=end,
            chat_template=FAMILIES[template])
        for title, (row, messages, tools) in ROWS.items():
            def apply(turns, asks):
                return tokenizer.apply_chat_template(
                    turns, tools=tools, tokenize=True, return_dict=False, add_generation_prompt=asks)
            try:
                found = samples(apply, messages, tokenizer.eos_token_id)
            except (jinja2.exceptions.TemplateError, AssertionError) as error:
                print(f"left out: {template}, {title}: {error}")
                continue
            whole = apply(messages, False)
            assert found[-1]["tokens"] == whole, "the last sample is the whole conversation"
            cases.append({
                "template": template, "tokenizer": name, "begin": begin, "end": end, "row_name": title, "samples": found})
    rows = {name: row for name, (row, _, _) in ROWS.items()}
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    (ROOT / "templates" / "tool_rows.json").write_text(
        '{"rows": ' + json.dumps(rows, ensure_ascii=False) + ',\n"cases": [\n' + lines + "\n]}\n", encoding="utf-8")
    print([(case["template"], case["row_name"], len(case["samples"])) for case in cases])


if __name__ == "__main__":
    main()
