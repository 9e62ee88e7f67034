# SPDX-License-Identifier: Apache-2.0
"""llama.cpp, out of the source package llama-cpp-python, built for this machine."""
import hashlib
import json
import os
import shutil
import sys
import tarfile

from measure import PROMPT, RSS_CONTEXT, Failure, Sample, program_sample, spawn, spawn_checked, step

VERSION = "0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
TOOLS = ("llama-bench", "llama-batched-bench", "llama-completion")
NO_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
BATCH = ["-b", "2048", "-ub", "512"]  # its defaults, written out


def fetch(cache, log):
    """The source package, checked and unpacked; returns the folder of llama.cpp in it."""
    name = f"llama_cpp_python-{VERSION}"
    source = os.path.join(cache, name, "vendor", "llama.cpp")
    if os.path.exists(os.path.join(source, "CMakeLists.txt")):
        return source
    step([sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "llama-cpp-python",
          "--dest", cache, f"llama-cpp-python=={VERSION}"], log, "fetching llama.cpp")
    archive = os.path.join(cache, name + ".tar.gz")
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
    os.rename(os.path.join(partial, name), os.path.join(cache, name))
    os.rmdir(partial)
    return source


def build(source, folder, flags, log):
    """A Release build for this processor; returns the folder of its programs."""
    binaries = os.path.join(source, folder, "bin")
    step(["cmake", "-S", source, "-B", os.path.join(source, folder), "-DCMAKE_BUILD_TYPE=Release",
          "-DGGML_NATIVE=ON", "-DLLAMA_CURL=OFF", "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF",
          "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_UI=OFF",
          f"-DCMAKE_C_FLAGS={flags}", f"-DCMAKE_CXX_FLAGS={flags}"], log, "configuring llama.cpp")
    jobs = str(len(os.sched_getaffinity(0)))
    step(["cmake", "--build", os.path.join(source, folder), "-j", jobs, "--target", *TOOLS], log,
         "building llama.cpp (about ten minutes on two processors)")
    return binaries


def crash_of(binaries, model):
    """How it ends on this model: None where it works."""
    run = spawn([os.path.join(binaries, "llama-bench"), "-m", model, "-p", "32", "-n", "2", "-r",
                 "1", "-o", "json"], os.sched_getaffinity(0))
    if run.code == 0:
        return None
    return f"signal {-run.code}" if run.code < 0 else f"exit code {run.code}"


def has_amx():
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        return "amx_int8" in cpuinfo.read()


def install(cache, model, log):
    """Returns the folder of the programs, and what a reader should know about the build."""
    source = fetch(cache, log)
    binaries = build(source, "build", "", log)
    crash = crash_of(binaries, model)
    if crash is None:
        return binaries, "native build"
    if not has_amx():
        raise Failure(f"llama.cpp's native build ends with {crash} on {model}; see {log}")
    print(f"  llama.cpp's native build ends with {crash} on this model; building without AMX")
    binaries = build(source, "build-noamx", NO_AMX, log)
    again = crash_of(binaries, model)
    if again:
        raise Failure(f"llama.cpp ends with {again} on {model}, with AMX and without; see {log}")
    return binaries, f"native build without AMX: with AMX it ended with {crash} on this model"


class LlamaCpp:
    name = "llama.cpp"

    def __init__(self, model, cache, log, folder=None):
        self.model = model
        if folder:
            self.folder, self.note = folder, "programs given with --llama-dir"
            crash = crash_of(folder, model)
            if crash:
                raise Failure(f"{folder}/llama-bench ends with {crash} on {model}")
        else:
            self.folder, self.note = install(cache, model, log)

    def tool(self, name):
        return os.path.join(self.folder, name)

    def version(self):
        run = spawn([self.tool("llama-bench"), "--version"], os.sched_getaffinity(0))
        lines = (run.output + run.errors).strip().splitlines()
        return next((line for line in lines if line.startswith("version")), f"of {VERSION}")

    def variants_of(self, point):
        """The settings that are tried before the rounds; the best one is compared."""
        attention = {"fa on": ["-fa", "on"], "fa off": ["-fa", "off"]}
        if point.kind == "rss":
            return attention
        if point.kind == "first":
            return {"fa on": ["-fa", "on"], "fa off": ["-fa", "off"],
                    "fa off, no repacking": ["-fa", "off", "--no-repack"]}
        if point.sequences > 1:
            return {f"{name}, {cache}": words + extra for name, words in attention.items()
                    for cache, extra in (("unified KV", ["-kvu"]), ("split KV", ["-no-kvu"]))}
        return {f"{name}, {repack}": words + extra for name, words in attention.items()
                for repack, extra in (("repacking", ["--repack", "1"]),
                                      ("no repacking", ["--repack", "0"]))}

    def measure(self, point, threads, cpus, settings):
        if point.kind in ("first", "rss"):
            run = spawn_checked([
                self.tool("llama-completion"), "-m", self.model, "-t", str(threads), "-c",
                str(RSS_CONTEXT), "-n", str(point.tokens), "--temp", "0", "--no-warmup", "-no-cnv",
                "--no-display-prompt", "-p", PROMPT, *settings], cpus)
            return program_sample(point, run)
        if point.sequences > 1:
            return self.measure_together(point, threads, cpus, settings)
        prompt, gen = (point.tokens, 0) if point.kind == "prefill" else (0, point.tokens)
        run = spawn_checked([
            self.tool("llama-bench"), "-m", self.model, "-t", str(threads), "-r", "1", "-o", "json",
            "-p", str(prompt), "-n", str(gen), "-d", str(point.depth), *BATCH, *settings], cpus)
        return Sample(json.loads(run.output)[0]["avg_ts"], run.foreign_percent)

    def measure_together(self, point, threads, cpus, settings):
        positions = point.sequences * (point.depth + point.tokens)
        run = spawn_checked([
            self.tool("llama-batched-bench"), "-m", self.model, "-t", str(threads), "-c",
            str(positions), "-npp", str(point.depth), "-ntg", str(point.tokens), "-npl",
            str(point.sequences), "--output-format", "jsonl", *BATCH, *settings], cpus)
        rows = [json.loads(line) for line in (run.output + run.errors).splitlines()
                if line.startswith("{")]
        if not rows:
            raise Failure("llama-batched-bench printed no result: " + run.errors[-300:])
        return Sample(rows[0]["speed_tg"], run.foreign_percent)
