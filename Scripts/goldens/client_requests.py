"""What the official openai, anthropic and ollama packages send for a set of calls: Tests/Goldens/clients/requests.json.

A server on a free port of this machine takes each request down and answers nothing but an error.
"""
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version

import anthropic
import ollama
import openai

OUTPUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../Tests/Goldens/clients/requests.json")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}


class Recorder(BaseHTTPRequestHandler):
    requests = []

    def take(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        kept = ("content-type", "authorization", "x-api-key", "anthropic-version")
        self.requests.append({
            "method": self.command, "path": self.path, "headers": {key: self.headers[key] for key in kept if key in self.headers},
            "body": json.loads(body) if body else None})
        self.send_response(400)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST = take

    def log_message(self, *_):
        pass


def weather(city: str) -> str:
    """The weather in a city.

    Args:
      city: where
    """
    return city


def main():
    server = HTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    open_ai = openai.OpenAI(base_url=url + "/v1", api_key="ak-1", max_retries=0)
    claude = anthropic.Anthropic(base_url=url, api_key="ak-1", max_retries=0)
    llama = ollama.Client(url)
    hi = [{"role": "user", "content": "Hi"}]
    tool = {"type": "function", "name": "weather", "description": "d", "parameters": SCHEMA, "strict": True}
    own_tool = {"name": "weather", "description": "d", "input_schema": SCHEMA}
    turn = [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "I ask."},
            {"type": "tool_use", "id": "a12345678", "name": "weather", "input": {"city": "Bonn"}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "a12345678", "content": [{"type": "text", "text": "rain"}]},
            {"type": "text", "text": "So?"}]}]
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "reasoning", "id": "rs_1_0", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"type": "message", "id": "msg_1_1", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "I ask.", "annotations": []}]},
        {"type": "function_call", "call_id": "a12345678", "name": "weather", "arguments": '{"city": "Bonn"}'},
        {"type": "function_call_output", "call_id": "a12345678", "output": "rain"}]
    calls = {
        "responses.create": lambda: open_ai.responses.create(model="scripted", input="Hi", instructions="Be brief."),
        "responses.create stream": lambda: open_ai.responses.create(
            model="scripted", input=items, tools=[tool], stream=True, max_output_tokens=100, temperature=0, store=False),
        "responses.parse": lambda: open_ai.responses.create(
            model="scripted", input="Hi", top_logprobs=2, include=["message.output_text.logprobs"],
            text={"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}}),
        "messages.create": lambda: claude.messages.create(
            model="scripted", max_tokens=100, system="Be brief.", messages=hi, stop_sequences=["END"],
            thinking={"type": "adaptive"}, metadata={"user_id": "me"}),
        "messages.create stream": lambda: claude.messages.create(
            model="scripted", max_tokens=100, stream=True, messages=turn, tools=[own_tool], tool_choice={"type": "auto"},
            system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            extra_body={"temperature": 0, "top_k": 5, "top_p": 0.5}),
        "messages.stream": lambda: claude.messages.stream(model="scripted", max_tokens=100, messages=hi).__enter__(),
        "messages.count_tokens": lambda: claude.messages.count_tokens(
            model="scripted", messages=turn, tools=[own_tool], system="Be brief."),
        "chat": lambda: llama.chat("scripted", messages=hi),
        "chat stream": lambda: list(llama.chat(
            "scripted:latest", stream=True, think=True, tools=[weather], keep_alive="5m",
            options={"temperature": 0, "num_predict": 100, "num_ctx": 4096, "seed": 1, "stop": ["END"]},
            messages=hi + [
                {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Bonn"}}}]},
                {"role": "tool", "tool_name": "weather", "content": "rain"}])),
        "chat format": lambda: llama.chat("scripted", messages=hi, format=SCHEMA, logprobs=True, top_logprobs=2),
        "generate": lambda: llama.generate("scripted", "Hi", system="Be brief.", format="json"),
        "generate raw": lambda: list(llama.generate("scripted", "Hi", raw=True, stream=True)),
        "embed": lambda: llama.embed("scripted", ["Hi", "Ho"], truncate=True),
        "show": lambda: llama.show("scripted"),
        "ps": llama.ps,
        "list": llama.list,
    }
    recorded = []
    for name, call in calls.items():
        before = len(Recorder.requests)
        try:
            call()
        except (openai.APIStatusError, anthropic.APIStatusError, ollama.ResponseError):
            pass
        recorded.append({"call": name} | Recorder.requests[before])
    os.makedirs(os.path.dirname(OUTPUT), exist_ok=True)
    packages = {name: version(name) for name in ("openai", "anthropic", "ollama")}
    with open(OUTPUT, "w") as file:
        json.dump({"packages": packages, "requests": recorded}, file, indent=1, ensure_ascii=False)
        file.write("\n")


main()
