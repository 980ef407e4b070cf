"""The engines that are compared: each turns a test and a file into one sample."""
import json
import pathlib
import re
import statistics

from harness import BenchmarkError, run


class Test:
    """What is measured. kind: prefill, decode or ready (from nothing to the first token)."""

    def __init__(self, kind, tokens=1, depth=0):
        self.kind, self.tokens, self.depth = kind, tokens, depth
        self.name = kind + (f" {tokens}" if kind != "ready" else "") + (f" at {depth}" if depth else "")


class Subject:
    """A file in a format, or a shape with random weights of which only rivals need a file."""

    def __init__(self, format, path, shape=None):
        self.format, self.path, self.shape = format, path, shape
        self.name = f"{shape} {format}" if shape else format


class Angel:
    name = "angel"

    def __init__(self, program, threads):
        self.program, self.threads = program, threads
        self.version = run([program, "--version"]).output.strip()

    def reads(self, subject):
        return True

    def _model(self, subject):
        return ["--shape", subject.shape, "--format", subject.format.lower()] if subject.shape else [subject.path]

    def sample(self, test, subject, repetitions, environment=None):
        if test.kind == "ready":
            finished = run([self.program, "generate", subject.path, "--tokens", 1, "--max-tokens", 1, "--threads",
                            self.threads], environment)
            return {"value": finished.wall, "cpu": finished.cpu, "peak_bytes": finished.peak_bytes}
        size = ["--prompt", test.tokens] if test.kind == "prefill" else ["--generate", test.tokens]
        report = self.bench(subject, test.kind, size + ["--depth", test.depth, "--repetitions", repetitions])
        row = report["rows"][0]
        return {"value": row["tokens_per_second"], "cpu": row["tokens_per_cpu_second"],
                "peak_bytes": report["peak_rss_bytes"], "instruction_set": report["instruction_set"]}

    def bench(self, subject, tests, options):
        command = [self.program, "bench", "inference"] + self._model(subject) + ["--tests", tests] + options
        return json.loads(run(command + ["--threads", self.threads, "--json"]).output)

    def perplexity(self, path, text, precision):
        # 257: llama-perplexity scores the predictions of the second half of each window.
        command = [self.program, "perplexity", path, text, "--context", 512, "--unscored", 257, "--precision", precision]
        return json.loads(run(command + ["--threads", self.threads, "--json"]).output)["perplexity"]


class LlamaCpp:
    name = "llama.cpp"

    def __init__(self, bench, threads):
        self.bench, self.threads = pathlib.Path(bench), threads
        self.version = None

    def reads(self, subject):
        return subject.path is not None

    def sample(self, test, subject, repetitions, environment=None):
        prompt, new = (test.tokens, 0) if test.kind == "prefill" else (0, test.tokens)
        command = [self.bench, "-m", subject.path, "-p", prompt, "-n", new, "-d", test.depth, "-t", self.threads,
                   "-r", 1 if test.kind == "ready" else repetitions, "-o", "jsonl"]
        finished = run(command + (["--no-warmup"] if test.kind == "ready" else []), environment)
        result = json.loads(finished.output.strip().split("\n")[-1])
        self.version = f"{result['build_commit']} ({self.bench})"
        if test.kind == "ready":
            return {"value": finished.wall, "cpu": finished.cpu, "peak_bytes": finished.peak_bytes}
        seconds = statistics.median(result["samples_ns"]) * 1e-9
        return {"value": test.tokens / seconds, "peak_bytes": finished.peak_bytes}

    def perplexity(self, path, text, precision):
        program = self.bench.with_name("llama-perplexity")
        if not program.exists():
            return None
        finished = run([program, "-m", path, "-f", text, "-c", 512, "-t", self.threads])
        found = re.search(r"PPL = ([0-9.]+)", finished.output + finished.errors)
        return float(found.group(1)) if found else None


class OpenVINO:
    name = "OpenVINO"

    def __init__(self, python, threads, f16_file):
        self.python, self.threads, self.f16_file, self.version = python, threads, f16_file, None

    def reads(self, subject):
        return subject.shape is None

    def _path(self, subject):
        # It reads no BF16 file; from the F16 one it computes in bfloat16 where the CPU can.
        return self.f16_file() if subject.format == "BF16" else subject.path

    def sample(self, test, subject, repetitions, environment=None):
        script = pathlib.Path(__file__).with_name("openvino_sample.py")
        finished = run([self.python, script, test.kind, self._path(subject), self.threads, repetitions, test.tokens,
                        test.depth], environment)
        lines = [line for line in finished.output.split("\n") if line.startswith("{")]
        if not lines:
            raise BenchmarkError("OpenVINO's script printed no result: " + finished.errors.strip()[-200:])
        result = json.loads(lines[-1])
        self.version = result["version"]
        if test.kind == "ready":
            return {"value": result["seconds"], "cpu": result["cpu_seconds"], "peak_bytes": finished.peak_bytes}
        return {"value": result["tokens_per_second"], "peak_bytes": finished.peak_bytes}
