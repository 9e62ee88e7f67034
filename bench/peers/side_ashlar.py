# SPDX-License-Identifier: Apache-2.0
"""Our side."""
import json
import os

from measure import PROMPT, RSS_CONTEXT, Failure, Sample, program_sample, spawn_checked


class Ashlar:
    name = "ashlar"

    def __init__(self, program, model):
        self.program, self.model = program, model
        if not os.access(program, os.X_OK):
            raise Failure(f"{program} is no program: build it (ninja -C build), or give --ashlar")

    def version(self):
        return spawn_checked([self.program, "--version"], os.sched_getaffinity(0)).output.strip()

    def variants_of(self, point):
        return {"default": None}

    def command(self, point, threads):
        return [
            self.program, "bench", "-m", self.model, "-t", str(threads), "--json", "--no-roof",
            "--repeats", "1", "--kv-type", "f16",
            "--prompt", str(point.tokens if point.kind == "prefill" else 0),
            "--gen", str(point.tokens if point.kind == "decode" else 0),
            "--depth", str(point.depth), "--sequences", str(point.sequences)]

    def measure(self, point, threads, cpus, _):
        if point.kind in ("first", "rss"):
            run = spawn_checked([
                self.program, "run", "-m", self.model, "-t", str(threads), "--raw", "--quiet",
                "--temperature", "0", "--max-tokens", str(point.tokens), "--context",
                str(RSS_CONTEXT), PROMPT], cpus)
            return program_sample(point, run)
        run = spawn_checked(self.command(point, threads), cpus)
        row = json.loads(run.output)["results"][0]
        facts = {
            "bytes_per_pass": row["gbps"] * row["ms"] * 1e6,
            "operations_per_pass": row["gops"] * row["ms"] * 1e6,
        }
        return Sample(row["tokens_per_s"], run.foreign_percent, facts)

    def roof(self, threads, cpus):
        """What this machine can do, as `ashlar bench` measures it."""
        run = spawn_checked([
            self.program, "bench", "-m", self.model, "-t", str(threads), "--json", "-p", "0", "-n",
            "1", "--repeats", "1"], cpus)
        return json.loads(run.output)["roof"]
