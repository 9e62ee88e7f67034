# SPDX-License-Identifier: Apache-2.0
"""Every finished measurement, a line each, so that an interrupted comparison goes on where it was."""
import dataclasses
import json
import os
import time

from measure import Failure, Sample, TooSlow


class Stopped(Exception):
    """Nothing may be measured any more; what was is in the journal."""


class Journal:
    """Measurements by what they are of. `for_s`: nothing is begun that would end later than that.
    `closed`: nothing is measured at all, and the file stays as it is."""

    def __init__(self, path, resume, for_s=None, closed=False):
        self.path, self.for_s, self.closed, self.start = path, for_s, closed, time.monotonic()
        self.entries = self.read() if resume or closed else {}
        if closed:
            return
        # Whether it can be written is said now, not after the first measurement.
        with open(path, "a+b" if resume else "wb") as out:
            if out.tell() > 0:  # the half line of an interruption must not swallow the next one
                out.seek(-1, os.SEEK_END)
                if out.read() != b"\n":
                    out.write(b"\n")

    def read(self):
        entries = {}
        if os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as lines:
                for line in lines:
                    try:
                        entry = json.loads(line)
                        entries[self.text(entry["key"])] = entry
                    except (ValueError, KeyError, TypeError):
                        continue  # the half line of an interruption
        return entries

    @staticmethod
    def text(key):
        return json.dumps(key)

    def find(self, key):
        return self.entries.get(self.text(key))

    def note(self, key, **facts):
        entry = {"key": key, **facts}
        with open(self.path, "a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")
        self.entries[self.text(key)] = entry

    def expected_s(self, key):
        """How long a measurement takes, from those of the same side, point and threads; None = unknown."""
        walls = [entry["wall_s"] for entry in self.entries.values()
                 if entry["key"][:3] == key[:3] and "wall_s" in entry]
        return max(walls) if walls else None

    def check_time(self, *keys):
        """Raises Stopped where the measurements of `keys`, one after the other, would take too long."""
        if self.for_s is None:
            return
        spent = time.monotonic() - self.start
        needed = sum(self.expected_s(key) or 0.2 * self.for_s for key in keys)
        if spent > 0 and spent + needed > self.for_s and self.begun:
            raise Stopped
        self.begun = True  # a measurement longer than all the time given must begin some time

    begun = False

    def measure(self, key, run):
        """What the journal has under `key`, or else what run() gives; a failure is remembered, too."""
        known = self.find(key)
        if known is None and self.closed:
            raise Stopped
        if known is None:
            self.check_time(key)
            return self.measure_now(key, run)
        if "failure" in known:
            raise (TooSlow if known.get("slow") else Failure)(known["failure"])
        return sample_of(known)

    def measure_now(self, key, run):
        start = time.monotonic()
        try:
            sample = run()
        except Failure as error:
            self.note(key, failure=str(error), slow=isinstance(error, TooSlow))
            raise
        self.note(key, wall_s=time.monotonic() - start, sample=dataclasses.asdict(sample))
        return sample


def sample_of(entry):
    return Sample(**entry["sample"])
