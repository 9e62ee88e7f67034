# SPDX-License-Identifier: Apache-2.0
"""llama.cpp, out of the source package llama-cpp-python, built for this machine."""
import hashlib
import json
import os
import shutil
import sys
import tarfile

from measure import (LIMIT_S, PROMPT, RSS_CONTEXT, Failure, Sample, identity, program_sample, spawn,
                     spawn_checked, step)

VERSION = "0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
TOOLS = ("llama-bench", "llama-batched-bench", "llama-completion")
NO_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"


NAME = f"llama_cpp_python-{VERSION}"


def source_folder(cache):
    return os.path.join(cache, NAME, "vendor", "llama.cpp")


def binaries_of(source, folder):
    return os.path.join(source, folder, "bin")


def fetch(cache, log):
    """The source package, checked and unpacked; returns the folder of llama.cpp in it."""
    source = source_folder(cache)
    if os.path.exists(os.path.join(source, "CMakeLists.txt")):
        return source
    step([sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "llama-cpp-python",
          "--dest", cache, f"llama-cpp-python=={VERSION}"], log, "fetching llama.cpp")
    archive = os.path.join(cache, NAME + ".tar.gz")
    with open(archive, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        os.unlink(archive)
        raise Failure(f"{archive}: SHA-256 {found}, expected {SHA256}: removed; try again")
    partial = os.path.join(cache, "unpacking")
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(archive) as package:
        if hasattr(tarfile, "data_filter"):  # Python 3.11.4 and later
            package.extraction_filter = tarfile.data_filter
        package.extractall(partial)  # what is in it, the SHA-256 has said
    os.rename(os.path.join(partial, NAME), os.path.join(cache, NAME))
    os.rmdir(partial)
    return source


def build(source, folder, flags, log):
    """A Release build for this processor; returns the folder of its programs."""
    step(["cmake", "-S", source, "-B", os.path.join(source, folder), "-DCMAKE_BUILD_TYPE=Release",
          "-DGGML_NATIVE=ON", "-DLLAMA_CURL=OFF", "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF",
          "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_UI=OFF",
          f"-DCMAKE_C_FLAGS={flags}", f"-DCMAKE_CXX_FLAGS={flags}"], log, "configuring llama.cpp")
    jobs = str(len(os.sched_getaffinity(0)))
    step(["cmake", "--build", os.path.join(source, folder), "-j", jobs, "--target", *TOOLS], log,
         "building llama.cpp (about ten minutes on two processors)")
    return binaries_of(source, folder)


def has_amx():
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        return "amx_int8" in cpuinfo.read()


def install(cache, log):
    """The folders of its programs: for this processor, and without AMX, whose code is not always faster
    (and was seen to crash), so that both are tried. `log` None: only those that are there."""
    builds = {"build": "", **({"build-noamx": NO_AMX} if has_amx() else {})}
    if log:
        source = fetch(cache, log)
        return [build(source, folder, flags, log) for folder, flags in builds.items()]
    source = source_folder(cache)
    return [binaries_of(source, folder) for folder in builds if os.path.isdir(binaries_of(source, folder))]


def build_name(folder):
    parent, last = os.path.split(os.path.abspath(folder))
    return os.path.basename(parent) if last == "bin" else last


class LlamaCpp:
    """llama.cpp, in every build of `folders`. A setting is a name on each axis, and words for each."""

    note = None
    deep_depth = True  # llama-bench can begin behind positions that it does not time

    def __init__(self, model, folders, name="llama.cpp", extra=()):
        self.model, self.name, self.extra = model, name, list(extra)
        if not folders:
            raise Failure("it is not installed: run without --report first, or say --llama-dir")
        self.folders = {build_name(folder): folder for folder in folders}
        programs = [os.path.join(folder, "llama-bench") for folder in folders]
        for program in programs:
            if not os.access(program, os.X_OK):
                raise Failure(f"{name}: {program} is no program")
        self.identity = identity(f"{name} {' '.join(self.extra)}".strip(), model, *programs)

    def version(self):
        folder = next(iter(self.folders.values()))
        run = spawn([os.path.join(folder, "llama-bench"), "--version"], os.sched_getaffinity(0))
        lines = (run.output + run.errors).strip().splitlines()
        return next((line for line in lines if line.startswith("version")), f"of {VERSION}")

    def attention_axis(self, point):
        """With several threads, plain attention is faster at some depths, flash attention at others."""
        axis = {"fa off": ["-fa", "0"], "fa on": ["-fa", "1"]}
        if point.depth >= 1000 or point.tokens >= 1000:
            axis["fa on, q8_0 cache"] = ["-fa", "1", "-ctk", "q8_0", "-ctv", "q8_0"]
        return axis

    def repack_axis(self):
        return {"repacking": ["--repack", "1"], "no repacking": ["--repack", "0"]}

    def axes(self, point):
        builds = dict.fromkeys(self.folders, [])
        if point.kind == "together":
            return []
        if point.kind in ("first", "rss"):
            words = {"fa on": ["-fa", "on"], "fa off": ["-fa", "off"]}
            return [builds, words, {"": [], "no repacking": ["--no-repack"]}]
        if point.sequences > 1:
            return [builds, {"fa off": ["-fa", "off"], "fa on": ["-fa", "on"]},
                    {"unified KV": ["-kvu"], "split KV": ["-no-kvu"]}]
        axes = [builds, self.attention_axis(point), self.repack_axis()]
        if point.kind == "prefill":
            sizes = (512, 128) if point.tokens <= 512 else (512, 2048, 128)
            axes.append({f"ubatch {size}": ["-ub", str(size)] for size in sizes})
        return axes

    def measure(self, point, threads, cpus, settings, limit_s=None):
        words = [word for axis, name in zip(self.axes(point), settings) for word in axis[name]]
        folder, limit_s = self.folders[settings[0]], limit_s or LIMIT_S
        if point.kind in ("first", "rss"):
            return program_sample(point, spawn_checked([
                os.path.join(folder, "llama-completion"), "-m", self.model, "-t", str(threads), "-c",
                str(RSS_CONTEXT), "-n", str(point.tokens), "--temp", "0", "--no-warmup", "-no-cnv",
                "--no-display-prompt", "-p", PROMPT, *words], cpus, limit_s=limit_s))
        if point.sequences > 1:
            return self.measure_together(point, threads, cpus, folder, words, limit_s)
        return self.measure_alone(point, threads, cpus, folder, words, limit_s)

    def depth_words(self, point):
        return ["-d", str(point.depth)] if point.depth else []

    def measure_alone(self, point, threads, cpus, folder, words, limit_s):
        prompt, gen = (point.tokens, 0) if point.kind == "prefill" else (0, point.tokens)
        # Before thousands of tokens a warm-up would double the time, and what it warms is less than 1 %.
        quick = self.no_warm_up() if point.tokens >= 1000 or point.depth >= 1000 else []
        run = spawn_checked([
            os.path.join(folder, "llama-bench"), "-m", self.model, "-t", str(threads), "-r", "1", "-o",
            "json", "-p", str(prompt), "-n", str(gen), *self.depth_words(point), *quick, *words,
            *self.extra], cpus, limit_s=limit_s)
        rows = [row for row in json.loads(run.output) if row["n_prompt"] == prompt or row["n_gen"]]
        return Sample(rows[-1]["avg_ts"], run.foreign_percent)

    def no_warm_up(self):
        return ["--no-warmup"]

    def measure_together(self, point, threads, cpus, folder, words, limit_s):
        positions = point.sequences * (point.depth + point.tokens)
        run = spawn_checked([
            os.path.join(folder, "llama-batched-bench"), "-m", self.model, "-t", str(threads), "-c",
            str(positions), "-npp", str(point.depth), "-ntg", str(point.tokens), "-npl",
            str(point.sequences), "--output-format", "jsonl", "-b", "2048", "-ub", "512", *words],
            cpus, limit_s=limit_s)
        rows = [json.loads(line) for line in (run.output + run.errors).splitlines()
                if line.startswith("{")]
        if not rows:
            raise Failure("llama-batched-bench printed no result: " + run.errors[-300:])
        return Sample(rows[0]["speed_tg"], run.foreign_percent)

    def close(self):
        """Nothing stays open between two measurements."""


class IkLlamaCpp(LlamaCpp):
    """A fork with other flags: no --repack (its -rtr is given as an extra word), no -d, no unified KV."""

    def axes(self, point):
        if point.kind in ("together", "first", "rss") or point.sequences > 1:
            return []
        axes = super().axes(point)
        return axes[:2] + axes[3:]

    def depth_words(self, point):
        return ["-gp", f"{point.depth},{point.tokens}"] if point.depth else []

    def no_warm_up(self):
        return ["-w", "0"]
