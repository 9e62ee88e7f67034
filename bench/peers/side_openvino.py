# SPDX-License-Identifier: Apache-2.0
"""OpenVINO GenAI, which reads GGUF files by itself; from PyPI into a virtual environment."""
import json
import os
import subprocess
import sys
import tempfile
import time

from measure import (PROMPT, Failure, Sample, busy_seconds, foreign_percent, program_sample,
                     spawn_checked, step)

PACKAGE = "openvino-genai==2026.4.*"
WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "openvino_run.py")


def install(cache, log):
    """Returns the interpreter of an environment that has the package."""
    environment = os.path.join(cache, "openvino")
    python = os.path.join(environment, "bin", "python")
    check = [python, "-c", "import openvino_genai, numpy"]
    if not os.path.exists(python) or subprocess.run(check, capture_output=True).returncode:
        step([sys.executable, "-m", "venv", "--clear", environment], log, "preparing for OpenVINO")
        step([python, "-m", "pip", "install", PACKAGE], log, "installing OpenVINO GenAI")
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
        self.version = self.read()["version"]

    def read(self):
        line = self.child.stdout.readline()
        if not line:
            self.child.wait()
            self.errors.seek(0)
            last = self.errors.read().strip().splitlines()[-1:] or ["no message"]
            raise Failure(f"OpenVINO ended with code {self.child.returncode}: {last[0]}")
        return json.loads(line)

    def ask(self, point):
        busy = busy_seconds(self.cpus)
        request = {"kind": point.kind, "tokens": point.tokens, "depth": point.depth,
                   "sequences": point.sequences}
        ticks = self.ticks()
        start = time.monotonic()
        self.child.stdin.write(json.dumps(request) + "\n")
        self.child.stdin.flush()
        reply = self.read()
        wall_s = time.monotonic() - start
        own_s = (self.ticks() - ticks) / os.sysconf("SC_CLK_TCK")
        noise = foreign_percent(busy_seconds(self.cpus) - busy, own_s, wall_s, self.cpus)
        return Sample(reply["value"], noise)

    def ticks(self):
        with open(f"/proc/{self.child.pid}/stat", encoding="utf-8") as stat:
            words = stat.read().rpartition(")")[2].split()
        return int(words[11]) + int(words[12])

    def close(self):
        self.child.stdin.close()
        self.child.wait()


class OpenVino:
    name = "OpenVINO"
    note = "GGUF read by LLMPipeline; its own default type of KV cache"

    def __init__(self, model, cache, log):
        self.model = model
        self.python = install(cache, log)
        self.workers = {}
        cpus = os.sched_getaffinity(0)
        self.workers[(0, "default")] = Worker(self.python, model, {}, cpus)  # whether it loads
        self.versions = self.workers[(0, "default")].version
        self.close()

    def version(self):
        return self.versions

    def variants_of(self, point):
        if point.kind in ("first", "rss"):
            return {"default": {}}
        return {"default": {}, "f32": {"INFERENCE_PRECISION_HINT": "f32"}}

    def measure(self, point, threads, cpus, properties):
        properties = {**properties, "INFERENCE_NUM_THREADS": threads}
        if point.kind in ("first", "rss"):
            run = spawn_checked([self.python, WORKER, self.model, json.dumps(properties),
                                 str(point.tokens), PROMPT], cpus)
            return program_sample(point, run)
        key = (threads, json.dumps(properties, sort_keys=True))
        if key not in self.workers:
            self.workers[key] = Worker(self.python, self.model, properties, cpus)
        return self.workers[key].ask(point)

    def close(self):
        """Ends the loaded pipelines: between thread counts, so that none lies about in memory."""
        for worker in self.workers.values():
            worker.close()
        self.workers = {}
