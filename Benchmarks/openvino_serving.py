"""OpenVINO GenAI's continuous batching under a load, run by the Python that has it; prints a JSON object.

openvino_serving.py FILE THREADS STREAMS REQUESTS PROMPT ANSWER
"""
import json
import statistics
import sys
import time

import numpy
import openvino
import openvino_genai

path = sys.argv[1]
threads, streams, requests, prompt, answer = (int(word) for word in sys.argv[2:7])
scheduling = openvino_genai.SchedulerConfig()
scheduling.max_num_seqs = streams
scheduling.max_num_batched_tokens = 512
scheduling.cache_size = 1
pipeline = openvino_genai.ContinuousBatchingPipeline(path, scheduling, "CPU", {"INFERENCE_NUM_THREADS": threads})
random = numpy.random.default_rng(0)
configuration = openvino_genai.GenerationConfig()
configuration.max_new_tokens = configuration.min_new_tokens = answer
configuration.ignore_eos, configuration.do_sample = True, False
number = 0


def serve(count):
    """Keeps `streams` requests under way until `count` have been answered; the times of each first token, per token, in all."""
    global number
    firsts, per_token, tokens, left, running = [], [], 0, count, []
    begin = time.perf_counter()
    while left or running:
        while left and len(running) < streams:
            ids = random.integers(100, 40000, (1, prompt)).astype(numpy.int64)
            running.append([pipeline.add_request(number, openvino.Tensor(ids), configuration), time.perf_counter(), None, 0])
            number, left = number + 1, left - 1
        pipeline.step()
        now = time.perf_counter()
        for one in running:
            handle, start, first, made = one
            while handle.can_read():
                made += sum(len(output.generated_ids) for output in handle.read().values())
            if made and first is None:
                first = now
            one[2:] = [first, made]
        for one in [one for one in running if one[3] >= answer]:
            firsts.append(one[2] - one[1])
            per_token.append((now - one[2]) / (answer - 1))
            tokens += one[3] + prompt
            running.remove(one)
    return firsts, per_token, tokens, time.perf_counter() - begin


serve(streams)
cpu = time.process_time()
firsts, per_token, tokens, seconds = serve(requests)
cpu = time.process_time() - cpu
if tokens != requests * (prompt + answer):
    sys.exit(f"{tokens} tokens instead of {requests * (prompt + answer)}")
print(json.dumps({
    "version": openvino_genai.__version__, "tokens_per_second": tokens / seconds,
    "p99_ttft_ms": 1000 * float(numpy.percentile(firsts, 99)), "median_ttft_ms": 1000 * statistics.median(firsts),
    "median_tpot_ms": 1000 * statistics.median(per_token), "tokens_per_cpu_second": tokens / cpu}))
