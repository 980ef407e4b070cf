"""The servers that are compared under load: how each is started and asked, and what it took."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from harness import BenchmarkError, run

TICKS = os.sysconf("SC_CLK_TCK")


class Load:
    """Requests in all, how many at once, and tokens of each prompt and answer."""

    def __init__(self, streams, rounds, prompt, answer):
        self.streams, self.requests, self.prompt, self.answer = streams, streams * rounds, prompt, answer


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def family(pid):
    """A process and all below it."""
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid] + [one for child in children for one in family(int(child))]


def cpu_seconds(pid):
    """CPU time of a process and all below it so far."""
    total = 0
    for one in family(pid):
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def peak_bytes(pid):
    """The most memory that a process and all below it have held, added up."""
    total = 0
    for one in family(pid):
        for line in pathlib.Path(f"/proc/{one}/status").read_text().split("\n"):
            if line.startswith("VmHWM:"):
                total += int(line.split()[1]) * 1024
    return total


class HTTPServer:
    """A server of its own process, asked by `angel bench serve`."""

    def __init__(self, angel, threads):
        self.angel, self.threads = angel, threads

    def command(self, port, load):
        raise NotImplementedError

    model = None
    environment = {}

    def sample(self, load):
        port = free_port()
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [str(word) for word in self.command(port, load)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=errors, env={**os.environ, **self.environment})
            try:
                self.wait(process, port, errors)
                client = [self.angel, "bench", "serve", f"http://127.0.0.1:{port}", "--max-concurrency", load.streams,
                          "--random-input-len", load.prompt, "--random-output-len", load.answer, "--vocabulary", 40000,
                          "--warmups", 0, "--json"]
                if self.model:
                    client += ["--served-model", self.model]
                # As many at once as will be, so that buffers are made and steps recorded before it counts.
                run(client + ["--num-prompts", load.streams, "--load-seed", 1])
                before = cpu_seconds(process.pid)
                report = json.loads(run(client + ["--num-prompts", load.requests]).output)
                cpu = cpu_seconds(process.pid) - before
                peak = peak_bytes(process.pid)
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        if report["failed"] or report["total_output_tokens"] != load.requests * load.answer:
            raise BenchmarkError(f"{self.name}: {report['failed']} failed, {report['total_output_tokens']} tokens made")
        tokens = report["total_input_tokens"] + report["total_output_tokens"]
        return {"tokens_per_second": report["total_token_throughput"], "p99_ttft_ms": report["p99_ttft_ms"],
                "median_ttft_ms": report["median_ttft_ms"], "median_tpot_ms": report["median_tpot_ms"],
                "tokens_per_cpu_second": tokens / cpu, "peak_bytes": peak}

    def wait(self, process, port, errors):
        """Until it says that it can answer; models may take minutes to be compiled."""
        end = time.monotonic() + 300
        while time.monotonic() < end:
            if process.poll() is not None:
                errors.seek(0)
                raise BenchmarkError(f"{self.name} ended: {errors.read().decode(errors='replace').strip()[-300:]}")
            try:
                if urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).status == 200:
                    return
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(0.1)
        raise BenchmarkError(f"{self.name} did not answer on port {port} for 300 s")


class Angel(HTTPServer):
    name = "angel"

    def __init__(self, angel, threads, file):
        super().__init__(angel, threads)
        self.file = file
        self.version = run([angel, "--version"]).output.strip()

    def command(self, port, load):
        return [self.angel, "serve", self.file, "--port", port, "--threads", self.threads, "--log", "off",
                "--speculate", "off", "--concurrency", load.streams, "--context", 256]


class LlamaCpp(HTTPServer):
    name = "llama.cpp"

    def __init__(self, angel, threads, file, program):
        super().__init__(angel, threads)
        self.file, self.program = file, program
        self.version = str(program)

    def command(self, port, load):
        return [self.program, "-m", self.file, "--host", "127.0.0.1", "--port", port, "-t", self.threads, "-tb",
                self.threads, "-np", load.streams, "-cb", "-c", 256 * load.streams]


class VLLM(HTTPServer):
    """Reads no GGUF file: it is given a folder of the same weights, and computes in bfloat16 where the processor does, else in
    float32, which is the quicker there."""
    name = "vllm-cpu"
    model = "model"

    def __init__(self, angel, threads, folder, python):
        super().__init__(angel, threads)
        self.folder, self.python = folder, python
        self.version = run([python, "-c", "import vllm; print(vllm.__version__)"]).output.strip().split("\n")[-1]
        has_bfloat16 = "avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text()
        self.type = "bfloat16" if has_bfloat16 else "float32"
        cores = ",".join(str(core) for core in sorted(os.sched_getaffinity(0))[:threads])
        self.environment = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": cores, "HF_HUB_OFFLINE": "1"}

    def command(self, port, load):
        return [self.python, "-m", "vllm.entrypoints.openai.api_server", "--model", self.folder, "--served-model-name",
                self.model, "--dtype", self.type, "--host", "127.0.0.1", "--port", port, "--max-num-seqs", load.streams,
                "--max-model-len", 256]


class OpenVINO:
    """Its pipeline for many requests, driven inside its own process: no HTTP, no client beside it."""
    name = "OpenVINO"

    def __init__(self, python, threads, file):
        self.python, self.threads, self.file, self.version = python, threads, file, None

    def sample(self, load):
        script = pathlib.Path(__file__).with_name("openvino_serving.py")
        finished = run([self.python, script, self.file, self.threads, load.streams, load.requests, load.prompt, load.answer])
        lines = [line for line in finished.output.split("\n") if line.startswith("{")]
        if not lines:
            raise BenchmarkError("OpenVINO's script printed no result: " + finished.errors.strip()[-200:])
        result = json.loads(lines[-1])
        self.version = result.pop("version")
        return {**result, "peak_bytes": finished.peak_bytes}
