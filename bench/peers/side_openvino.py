# SPDX-License-Identifier: Apache-2.0
"""OpenVINO GenAI, which reads GGUF files by itself; from PyPI into a virtual environment."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from measure import (LIMIT_S, PROMPT, Failure, Sample, TooSlow, busy_seconds, foreign_percent, identity,
                     program_sample, spawn_checked, step)

# All three: the newest openvino that pip would choose cannot be loaded by this openvino-genai.
PACKAGES = ("openvino-genai==2026.4.0.0", "openvino==2026.4.0", "openvino-tokenizers==2026.4.0.0")
WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "openvino_run.py")


def install(cache, log):
    """Returns the interpreter of an environment that has the packages, in these versions. `log` None: of
    the one that is there."""
    environment = os.path.join(cache, "openvino")
    python = os.path.join(environment, "bin", "python")
    if not log:
        if not os.path.exists(python):
            raise Failure("it is not installed: run without --report first, or say --openvino-python")
        return python
    check = [python, "-c", "import openvino_genai as g, openvino as o, numpy; "
             "assert g.__version__.startswith('2026.4.0') and o.__version__.startswith('2026.4.0-')"]
    if not os.path.exists(python) or subprocess.run(check, capture_output=True).returncode:
        step([sys.executable, "-m", "venv", "--clear", environment], log, "preparing for OpenVINO")
        step([python, "-m", "pip", "install", *PACKAGES], log, "installing OpenVINO GenAI")
    return python


class Worker:
    """A loaded pipeline, kept between rounds because loading takes seconds."""

    def __init__(self, python, model, properties, cpus):
        self.cpus = cpus
        self.errors = tempfile.TemporaryFile("w+")
        self.child = subprocess.Popen(
            [python, WORKER, model, json.dumps(properties)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.errors, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        self.read(LIMIT_S)

    def read(self, limit_s):
        killed = []
        signal.signal(signal.SIGALRM, lambda *_: (killed.append(True), self.child.kill()))
        signal.alarm(max(1, round(limit_s)))
        line = self.child.stdout.readline()
        signal.alarm(0)
        if not line:
            self.child.wait()
            if killed:
                raise TooSlow(f"OpenVINO took more than {limit_s:.0f} s")
            self.errors.seek(0)
            last = self.errors.read().strip().splitlines()[-1:] or ["no message"]
            raise Failure(f"OpenVINO ended with code {self.child.returncode}: {last[0]}")
        return json.loads(line)

    def ask(self, point, limit_s):
        busy = busy_seconds(self.cpus)
        request = {"kind": point.kind, "tokens": point.tokens, "depth": point.depth,
                   "sequences": point.sequences}
        ticks = self.ticks()
        start = time.monotonic()
        self.child.stdin.write(json.dumps(request) + "\n")
        self.child.stdin.flush()
        reply = self.read(limit_s)
        wall_s = time.monotonic() - start
        own_s = (self.ticks() - ticks) / os.sysconf("SC_CLK_TCK")
        noise = foreign_percent(busy_seconds(self.cpus) - busy, own_s, wall_s, self.cpus)
        return Sample(reply["value"], noise)

    def ticks(self):
        with open(f"/proc/{self.child.pid}/stat", encoding="utf-8") as stat:
            words = stat.read().rpartition(")")[2].split()
        return int(words[11]) + int(words[12])

    def close(self):
        if self.child.poll() is None:
            self.child.stdin.close()
            self.child.wait()


class OpenVino:
    name = "OpenVINO"
    note = "GGUF read by LLMPipeline; its own default type of KV cache (u8)"

    def __init__(self, model, cache, log, python=None):
        self.model, self.cache = model, cache
        self.python = python or install(cache, log)
        self.identity = identity(f"OpenVINO {self.version()}", model)
        self.key = self.worker = None

    def version(self):
        run = spawn_checked([self.python, "-c", "import importlib.metadata as m; print(*[m.version(p) "
                             "for p in ('openvino-genai', 'openvino')])"], os.sched_getaffinity(0))
        return "openvino-genai {}, openvino {}".format(*run.output.split())

    def axes(self, point):
        if point.kind == "together":
            return []
        if point.kind in ("first", "rss"):
            return [{"": {}, "cached": {"CACHE_DIR": os.path.join(self.cache, "openvino-cache")}}]
        pieces = {"": {}}  # of its scheduler: 256 tokens
        if point.kind == "prefill" or point.sequences > 1:
            pieces["pieces of 4096"] = {"MAX_NUM_BATCHED_TOKENS": 4096}
        return [{"default precision": {}, "f32": {"INFERENCE_PRECISION_HINT": "f32"},
                 "bf16": {"INFERENCE_PRECISION_HINT": "bf16"}}, pieces,
                {"": {}, "SDPA": {"ATTENTION_BACKEND": "SDPA"}}]

    def measure(self, point, threads, cpus, settings, limit_s=None):
        properties = {"INFERENCE_NUM_THREADS": threads}
        for axis, name in zip(self.axes(point), settings):
            properties.update(axis[name])
        if point.kind in ("first", "rss"):
            return program_sample(point, spawn_checked([
                self.python, WORKER, self.model, json.dumps(properties), str(point.tokens), PROMPT],
                cpus, limit_s=limit_s or LIMIT_S))
        key = (tuple(cpus), json.dumps(properties, sort_keys=True))
        if key != self.key or self.worker.child.poll() is not None:
            self.close()
            self.worker, self.key = Worker(self.python, self.model, properties, cpus), key
        return self.worker.ask(point, limit_s or LIMIT_S)

    def close(self):
        """Ends the loaded pipeline: one lies in memory at a time."""
        if self.worker:
            self.worker.close()
        self.worker = self.key = None
