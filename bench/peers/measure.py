# SPDX-License-Identifier: Apache-2.0
"""Running a side of a comparison: pinned, watched, timed."""
import contextlib
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field


PROMPT = "The capital of France is"
RSS_CONTEXT = 4096  # positions that every side sets aside where memory is compared
LIMIT_S = 900  # of one run, where nothing shorter is known


class Failure(Exception):
    """What a person should read instead of a traceback."""


class TooSlow(Failure):
    """A run that was given up because it took longer than its limit."""


@dataclass
class Sample:
    """One figure of one side, and how much others used of the same processors meanwhile."""

    value: float
    foreign_percent: float
    facts: dict = field(default_factory=dict)


@dataclass
class Run:
    """A finished child: what it wrote, when its first byte came, and what it took."""

    output: str
    errors: str
    code: int
    wall_s: float
    first_s: float
    cpu_s: float
    peak_bytes: int
    foreign_percent: float


def busy_seconds(cpus):
    """CPU time spent on `cpus` by anybody, with what a hypervisor gave away; proc(5)."""
    ticks = 0
    with open("/proc/stat", encoding="ascii") as stat:
        for line in stat:
            match = re.match(r"cpu(\d+) (.*)", line)
            if match and int(match[1]) in cpus:
                user, nice, system, _, _, irq, softirq, steal = map(int, match[2].split()[:8])
                ticks += user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def foreign_percent(busy_s, own_s, wall_s, cpus):
    """Percent of the processors' time that was not ours; the counters' grain is 10 ms."""
    return max(0.0, 100 * (busy_s - own_s) / (wall_s * len(cpus)))


def spawn(command, cpus, limit_s=LIMIT_S, environment=None):
    """Runs a command on `cpus` alone to its end; after `limit_s` it is killed."""
    with tempfile.TemporaryFile("w+b") as errors:
        busy = busy_seconds(cpus)
        start = time.monotonic()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            env={**os.environ, **(environment or {})},
            preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        signal.signal(signal.SIGALRM, lambda *_: child.kill())
        signal.alarm(max(1, round(limit_s)))
        first = os.read(child.stdout.fileno(), 65536)
        first_s = time.monotonic() - start
        output = first + child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        wall_s = time.monotonic() - start
        signal.alarm(0)
        child.returncode = os.waitstatus_to_exitcode(status)
        child.stdout.close()
        errors.seek(0)
        own_s = usage.ru_utime + usage.ru_stime
        return Run(
            output.decode("utf-8", "replace"), errors.read().decode("utf-8", "replace"),
            child.returncode, wall_s, first_s, own_s, usage.ru_maxrss * 1024,
            foreign_percent(busy_seconds(cpus) - busy, own_s, wall_s, cpus))


def spawn_checked(command, cpus, **more):
    run = spawn(command, cpus, **more)
    if run.code == -signal.SIGKILL and run.wall_s >= more.get("limit_s", LIMIT_S) - 1:
        raise TooSlow(f"{os.path.basename(str(command[0]))} took more than {run.wall_s:.0f} s")
    if run.code != 0:
        how = f"signal {-run.code}" if run.code < 0 else f"exit code {run.code}"
        last = "\n".join(run.errors.strip().splitlines()[-5:])
        raise Failure(f"{' '.join(map(str, command))}\nended with {how}: {last}")
    return run


@contextlib.contextmanager
def neighbours(cpus):
    """A busy program on each of `cpus`, as long as the block lasts."""
    spin = [sys.executable, "-c", "while True: pass"]
    children = []
    try:
        for cpu in cpus:
            children.append(subprocess.Popen(
                spin, stdin=subprocess.DEVNULL, preexec_fn=lambda cpu=cpu: os.sched_setaffinity(0, [cpu])))
        time.sleep(0.1)  # for the interpreters to start
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()


def program_sample(point, run):
    """Of a whole program's run: time to its first byte of text, or its peak memory."""
    value = run.first_s * 1e3 if point.kind == "first" else run.peak_bytes / 2**20
    return Sample(value, run.foreign_percent)


def identity(name, *paths):
    """A side of this build on this file: figures of another build are not gone on with."""
    facts = [os.stat(path) for path in paths]
    return " ".join([name, *(f"{fact.st_size}@{fact.st_mtime_ns}" for fact in facts)])


def summary(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "ashlar", "peers")


def step(command, log, what):
    """One step of an installation; its output goes to a log that an error names."""
    print(f"  {what} ...", flush=True)
    with open(log, "ab") as out:
        if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                          cwd=os.path.dirname(log)).returncode:
            raise Failure(f"{what} failed; the whole log is in {log}")
