#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The comparison with peers, on peers that are made up: peers.py PROGRAM."""
import contextlib
import io
import json
import os
import stat
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PEERS = os.path.join(os.path.dirname(TESTS), "bench", "peers")
sys.path.insert(0, PEERS)

from choose import Chooser
from journal import Journal, Stopped
from measure import Failure, Sample, TooSlow, neighbours, spawn, spawn_checked
from points import POINTS, Point
from report import report_point, roof_shares, table_rows

PROGRAM = None
POINT = Point("decode 128", "decode", 128)

# Speed by settings; a crash of one build, as llama.cpp's AMX code was seen to crash.
FAKE_BENCH = """#!/usr/bin/env python3
import json, os, sys
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if "--version" in sys.argv:
    sys.exit(print("version: fake"))
if "crash" in sys.argv[0]:
    os.kill(os.getpid(), 11)
speed = 10 + 5 * (words["-fa"] == "1") - 3 * (words["--repack"] == "0")
print(json.dumps([{"avg_ts": speed, "n_prompt": int(words["-p"]), "n_gen": int(words["-n"])}]))
"""


class FakeSide:
    """Two axes; the best is (b, y), (a, y) crashes, and (b, z) takes too long."""

    name, identity, note = "fake", "fake 1", None
    speeds = {("a", "x"): 10, ("b", "x"): 12, ("b", "y"): 20}

    def __init__(self):
        self.asked = []

    def axes(self, point):
        return [{"a": [], "b": []}, {"x": [], "y": [], "z": []}]

    def measure(self, point, threads, cpus, settings, limit_s=None):
        self.asked.append(settings)
        if settings == ("b", "z"):
            raise TooSlow("took long")
        if settings not in self.speeds:
            raise Failure("crashed")
        return Sample(self.speeds[settings], 0.0)


class InFolder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def journal(self, resume=False, for_s=None):
        return Journal(self.path("journal"), resume, for_s)


class Choosing(InFolder):
    def choose(self, side, journal, point=POINT):
        with contextlib.redirect_stdout(io.StringIO()):
            chooser = Chooser(side, point, 1, [0], journal, 2)
            return chooser.choose(), chooser.report()

    def test_the_best_value_of_each_axis_is_found_and_what_fails_is_left_out(self):
        best, tried = self.choose(FakeSide(), self.journal())
        self.assertEqual(best, ("b", "y"))
        self.assertEqual(tried["b, y"], [20, 20])
        self.assertEqual(tried["b, z"], "given up: too slow")

    def test_less_may_be_better(self):
        best, _ = self.choose(FakeSide(), self.journal(), Point("first", "first", 1))
        self.assertEqual(best, ("a", "x"))

    def test_where_the_first_settings_crash_others_are_tried(self):
        side = FakeSide()
        side.speeds = {("b", "y"): 20}
        self.assertEqual(self.choose(side, self.journal())[0], ("b", "y"))
        side.speeds, side.identity = {}, "fake 2"
        self.assertIsNone(self.choose(side, self.journal())[0])

    def test_what_the_journal_has_is_not_measured_again(self):
        first, second = FakeSide(), FakeSide()
        self.choose(first, self.journal())
        with open(self.path("journal"), "a", encoding="utf-8") as journal:
            journal.write('{"key": ["half a li')
        resumed = self.journal(resume=True)
        best, _ = self.choose(second, resumed)
        self.assertEqual((best, second.asked), (("b", "y"), []))
        resumed.note(["behind the half line"], done=1)
        self.assertIsNotNone(self.journal(resume=True).find(["behind the half line"]))
        self.choose(second, self.journal(resume=False))
        self.assertEqual(first.asked, second.asked)


class Stopping(InFolder):
    def test_nothing_is_begun_that_would_end_too_late(self):
        journal = self.journal(for_s=100)
        journal.note(["side", "point", 1, "x"], wall_s=200, sample={"value": 1, "foreign_percent": 0})
        journal.check_time(["other", "point", 1])  # the first is always begun
        with self.assertRaises(Stopped):
            journal.check_time(["side", "point", 1, "y"])
        journal.check_time(["other", "point", 1])

    def test_a_child_that_takes_too_long_is_killed_and_a_crash_is_told_from_it(self):
        cpus = sorted(os.sched_getaffinity(0))[:1]
        with self.assertRaises(TooSlow):
            spawn_checked(["sleep", "60"], cpus, limit_s=1)
        with self.assertRaises(Failure) as crash:
            spawn_checked(["sh", "-c", "echo why >&2; kill -SEGV $$"], cpus)
        self.assertIn("signal 11: why", str(crash.exception))
        self.assertNotIsInstance(crash.exception, TooSlow)

    def test_neighbours_are_busy_on_every_processor_and_gone_afterwards(self):
        cpus = sorted(os.sched_getaffinity(0))[:2]
        with neighbours(cpus):
            run = spawn(["sleep", "1"], cpus)
        self.assertGreater(run.foreign_percent, 40)
        listing = subprocess.run(["ps", "-o", "ppid=,args="], capture_output=True, text=True).stdout
        self.assertNotIn(f"{os.getpid()} {sys.executable} -c while True", listing)


class Reporting(unittest.TestCase):
    roof = {"read_gbps": 20.0, "int8_gops": 1000.0, "amx_bf16_gops": 4000.0, "amx_int8_gops": 0}
    facts = {"bytes_per_pass": 1e8, "operations_per_pass": 1e11}

    def test_ratios_are_of_pairs_and_above_1_where_ours_is_ahead(self):
        ours = [Sample(100, 0, self.facts), Sample(50, 0, self.facts), Sample(80, 0, self.facts)]
        pairs = list(zip(ours, (Sample(50, 0), Sample(50, 0), Sample(20, 0))))
        result = report_point(POINT, 2, ((), {}, ours), {"peer": (("x",), {}, pairs)}, self.roof)
        self.assertEqual(result["sides"]["peer"]["ratio"]["samples"], [2.0, 1.0, 4.0])
        self.assertEqual(result["sides"]["peer"]["ratio"]["median"], 2.0)
        self.assertEqual(result["sides"]["ashlar"]["median"], 80)
        self.assertAlmostEqual(result["sides"]["ashlar"]["percent_of_roof"]["bandwidth"], 40)
        self.assertEqual(len(list(table_rows(result))), 2)
        rss = Point("peak RSS", "rss", 64)
        result = report_point(rss, 2, ((), {}, ours), {"peer": ((), {}, pairs)}, self.roof)
        self.assertEqual(result["sides"]["peer"]["ratio"]["samples"], [0.5, 1.0, 0.25])

    def test_shares_are_of_every_unit_that_the_machine_has(self):
        shares = roof_shares(Point("p", "prefill", 512), self.facts, 1024, self.roof)
        self.assertEqual(shares, {"int8": 20.0, "AMX bf16": 5.0})
        self.assertEqual(roof_shares(POINTS[-1], self.facts, 1, self.roof), {})


class WholeRuns(InFolder):
    """bench/peers/run with our program on a tiny model, and a llama.cpp that is made up."""

    def setUp(self):
        super().setUp()
        for name in ("crash", "works"):
            os.mkdir(self.path(name))
            program = os.path.join(self.path(name), "llama-bench")
            with open(program, "w", encoding="utf-8") as out:
                out.write(FAKE_BENCH)
            os.chmod(program, os.stat(program).st_mode | stat.S_IXUSR)

    def run_peers(self, *words):
        command = [sys.executable, os.path.join(PEERS, "run"), "--ashlar", PROGRAM, "-m",
                   os.path.join(TESTS, "models", "llama", "tied.gguf"), "-t", "1", "--quick",
                   "--peers", "llama.cpp", "--cache", self.path("cache"), "-o", self.path("out.json"),
                   "--llama-dir", f"{self.path('crash')},{self.path('works')}", *words]
        return subprocess.run(command, capture_output=True, text=True)

    def test_a_run_that_is_stopped_again_and_again_gets_to_its_end(self):
        points = ("--points", "decode 128,16 prompts")
        codes = [self.run_peers(*points, "--for", "0.01").returncode]
        while codes[-1] == 75 and len(codes) < 60:
            codes.append(self.run_peers(*points, "--for", "0.01", "--resume").returncode)
        self.assertEqual(codes[-1], 0)
        self.assertGreater(len(codes), 3)
        with open(self.path("out.json"), encoding="utf-8") as out:
            results = json.load(out)["results"]
        self.assertEqual([result["point"] for result in results], ["decode 128", "16 prompts prefill"])
        peer = results[0]["sides"]["llama.cpp"]
        self.assertEqual((peer["settings"], peer["median"]), ("works, fa on, repacking", 15))
        self.assertIn("signal 11", peer["tried"]["crash, fa off, repacking"])
        self.assertEqual(list(results[1]["sides"]), ["ashlar"])
        before = os.path.getsize(self.path("out.json.journal"))
        run = self.run_peers(*points, "--report", "--points", "decode 128,16 prompts,prefill 512")
        self.assertEqual((run.returncode, os.path.getsize(self.path("out.json.journal"))), (0, before))
        self.assertIn("16 prompts prefill", run.stdout)

    def test_a_report_installs_nothing(self):
        with open(self.path("out.json.journal"), "w", encoding="utf-8"):
            pass
        run = self.run_peers("--report", "--llama-dir", "", "--peers", "llama.cpp,openvino")
        for name in ("llama.cpp", "openvino"):
            self.assertIn(f"{name} is left out: it is not installed", run.stdout)
        self.assertIn("the journal has nothing of this build", run.stderr)
        self.assertFalse(os.path.exists(self.path("cache")))

    def test_mistakes_are_told_in_a_line(self):
        for words, says in ((("--points", "sing"), "no such point"), (("-t", "9999"), "compare nothing"),
                            (("--peers", "torch"), "no peer is called"),
                            (("--cache", os.path.join(PEERS, "x")), "in the repository"),
                            (("--ashlar", "/none"), "is no program")):
            run = self.run_peers(*words)
            self.assertNotEqual(run.returncode, 0)
            self.assertIn(says, run.stderr)
            self.assertNotIn("Traceback", run.stderr)


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
