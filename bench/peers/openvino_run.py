# SPDX-License-Identifier: Apache-2.0
"""Runs OpenVINO GenAI in its own interpreter: a line of JSON in, a line of JSON out."""
import json
import os
import sys
import time

import numpy as np
import openvino
import openvino_genai


def cpu_s():
    times = os.times()
    return times.user + times.system


def generate(pipeline, prompt, sequences, tokens):
    """Random ids, so that nothing cached can help; returns the metrics' milliseconds."""
    ids = np.random.default_rng().integers(0, VOCABULARY, (sequences, prompt), dtype=np.int64)
    inputs = openvino_genai.TokenizedInputs(
        openvino.Tensor(ids), openvino.Tensor(np.ones_like(ids)))
    config = openvino_genai.GenerationConfig()
    config.max_new_tokens, config.ignore_eos, config.do_sample = tokens, True, False
    metrics = pipeline.generate(inputs, config).perf_metrics
    return metrics.get_ttft().mean, metrics.get_generate_duration().mean


def answer(pipeline, request):
    before, start = cpu_s(), time.monotonic()
    tokens, sequences = request["tokens"], request["sequences"]
    if request["kind"] == "prefill":
        first_ms, _ = generate(pipeline, tokens, 1, 1)
        speed = tokens / first_ms * 1e3
    else:
        first_ms, all_ms = generate(pipeline, max(request["depth"], 16), sequences, tokens + 1)
        speed = tokens * sequences / (all_ms - first_ms) * 1e3
    return {"value": speed, "cpu_s": cpu_s() - before, "wall_s": time.monotonic() - start}


def text(pipeline, tokens, prompt):
    config = openvino_genai.GenerationConfig()
    config.max_new_tokens, config.ignore_eos, config.do_sample = tokens, True, False
    pipeline.generate(prompt, config, lambda piece: print(piece, end="", flush=True) or False)


VOCABULARY = 32000  # ids that every model of this family has; the values do not matter


def main():
    model, properties = sys.argv[1], json.loads(sys.argv[2])
    pieces = properties.pop("MAX_NUM_BATCHED_TOKENS", None)
    if pieces:
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.max_num_batched_tokens = pieces
        properties["scheduler_config"] = scheduler
    pipeline = openvino_genai.LLMPipeline(model, "CPU", **properties)
    if len(sys.argv) > 3:
        text(pipeline, int(sys.argv[3]), sys.argv[4])
        return
    print(json.dumps({"version": openvino_genai.__version__}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        # The warm-up; behind thousands of tokens, of a shorter prompt of the same kind.
        answer(pipeline, {**request, "depth": min(request["depth"], 512),
                          "tokens": min(request["tokens"], 512 if request["kind"] == "prefill" else 8)})
        print(json.dumps(answer(pipeline, request)), flush=True)


main()
