# SPDX-License-Identifier: Apache-2.0
"""Our side."""
import json
import os

from measure import (LIMIT_S, PROMPT, RSS_CONTEXT, Failure, Sample, identity, program_sample,
                     spawn_checked)


class Ashlar:
    name = "ashlar"
    note = None

    def __init__(self, program, model):
        self.program, self.model = program, model
        if not os.access(program, os.X_OK):
            raise Failure(f"{program} is no program: build it (ninja -C build), or give --ashlar")
        self.identity = identity(self.name, program, model)

    def version(self):
        return spawn_checked([self.program, "--version"], os.sched_getaffinity(0)).output.strip()

    def axes(self, point):
        return [{"": []}]  # its defaults

    def bench(self, threads, cpus, limit_s, *words):
        run = spawn_checked([self.program, "bench", "-m", self.model, "-t", str(threads), "--json",
                             "--repeats", "1", *map(str, words)], cpus,
                            limit_s=limit_s or LIMIT_S)
        return json.loads(run.output), run

    def measure(self, point, threads, cpus, settings, limit_s=None):
        if point.kind in ("first", "rss"):
            run = spawn_checked([
                self.program, "run", "-m", self.model, "-t", str(threads), "--raw", "--quiet",
                "--temperature", "0", "--max-tokens", str(point.tokens), "--context",
                str(RSS_CONTEXT), PROMPT], cpus)
            return program_sample(point, run)
        if point.kind == "together":
            return self.measure_prompts(point, threads, cpus, limit_s)
        answer, run = self.bench(
            threads, cpus, limit_s, "--no-roof",
            "--prompt", point.tokens if point.kind == "prefill" else 0,
            "--gen", point.tokens if point.kind == "decode" else 0,
            "--depth", point.depth, "--sequences", point.sequences)
        row = answer["results"][0]
        return Sample(row["tokens_per_s"], run.foreign_percent, {
            "bytes_per_pass": row["gbps"] * row["ms"] * 1e6,
            "operations_per_pass": row["gops"] * row["ms"] * 1e6,
        })

    def measure_prompts(self, point, threads, cpus, limit_s):
        """Several prompts that share pieces, in percent of one alone: both in one process, in turn."""
        answer, run = self.bench(threads, cpus, limit_s, "--no-roof", "--prompt", point.tokens,
                                 "--gen", 0, "--prompts", f"1,{point.sequences}")
        one, together = (row["tokens_per_s"] for row in answer["results"])
        return Sample(100 * together / one, run.foreign_percent, {"one": one, "together": together})

    def roof(self, threads, cpus):
        """What this machine can do, as `ashlar bench` measures it."""
        answer, _ = self.bench(threads, cpus, None, "-p", 0, "-n", 1)
        return answer["roof"]

    def close(self):
        """Nothing stays open between two measurements."""
