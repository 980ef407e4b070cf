"""One measurement of OpenVINO GenAI on a GGUF file, run by the Python that has it; prints a JSON object.

openvino_sample.py prefill|decode|ready FILE THREADS REPETITIONS TOKENS DEPTH
"""
import json
import statistics
import sys
import time

import numpy
import openvino
import openvino_genai

test, path = sys.argv[1:3]
threads, repetitions, tokens, depth = (int(word) for word in sys.argv[3:7])
begin, begin_cpu = time.perf_counter(), time.process_time()
pipeline = openvino_genai.LLMPipeline(path, "CPU", INFERENCE_NUM_THREADS=threads)
random = numpy.random.default_rng(0)


def generate(prompt_tokens, new_tokens):
    ids = random.integers(100, 40000, (1, prompt_tokens)).astype(numpy.int64)
    mask = numpy.ones((1, prompt_tokens), dtype=numpy.int64)
    configuration = openvino_genai.GenerationConfig()
    configuration.max_new_tokens = configuration.min_new_tokens = new_tokens
    configuration.ignore_eos, configuration.do_sample = True, False
    inputs = openvino_genai.TokenizedInputs(openvino.Tensor(ids), openvino.Tensor(mask))
    return pipeline.generate(inputs, configuration).perf_metrics


result = {"version": openvino_genai.__version__}
if test == "ready":
    generate(1, 1)
    result |= {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - begin_cpu}
elif test == "prefill":
    generate(tokens, 1)
    seconds = statistics.median(generate(tokens, 1).get_ttft().mean / 1000 for _ in range(repetitions))
    result["tokens_per_second"] = tokens / seconds
else:
    # The first of the new tokens belongs to the prompt's time; the time per token is that of the others.
    generate(max(1, depth), 2)
    seconds = statistics.median(generate(max(1, depth), tokens + 1).get_tpot().mean / 1000 for _ in range(repetitions))
    result["tokens_per_second"] = 1 / seconds
print(json.dumps(result))
