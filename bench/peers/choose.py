# SPDX-License-Identifier: Apache-2.0
"""The best settings of a side for a piece of work, found by measuring."""
import itertools

from measure import Failure, TooSlow

SLOWER = 2.0  # times the best so far: a setting that takes longer is given up
GRACE_S = 10
HOPELESS = 1.5  # times worse than the best: not tried again


def label(settings):
    return ", ".join(word for word in settings if word) or "default"


def distance(settings, start):
    """In how many axes two settings differ; the first axes come first."""
    differing = [index for index, (one, other) in enumerate(zip(settings, start)) if one != other]
    return len(differing), differing


class Chooser:
    """Walks through a side's axes one after the other, and stays with the best value of each."""

    def __init__(self, side, point, threads, cpus, journal, tries):
        self.side, self.point, self.threads, self.cpus = side, point, threads, cpus
        self.journal, self.tries = journal, tries
        self.tried = {}  # settings: values, or the reason why there are none
        self.fastest_s = None
        self.best = None  # value so far

    def value(self, settings):
        """The best of the tries of these settings; None where they do not work, or are far too slow."""
        values = []
        for number in range(self.tries):
            key = [self.side.identity, self.point.name, self.threads, list(settings), "try", number]
            limit_s = SLOWER * self.fastest_s + GRACE_S if self.fastest_s else None
            try:
                sample = self.journal.measure(key, lambda limit_s=limit_s: self.side.measure(
                    self.point, self.threads, self.cpus, settings, limit_s))
            except Failure as error:
                why = "given up: too slow" if isinstance(error, TooSlow) else str(error).splitlines()[-1]
                self.tried[settings] = why
                self.say(f"    {self.side.name}, {label(settings)}: {why}")
                return None
            wall_s = (self.journal.find(key) or {}).get("wall_s")
            if wall_s and (self.fastest_s is None or wall_s < self.fastest_s):
                self.fastest_s = wall_s
            values.append(sample.value)
            if self.hopeless(sample.value):
                break
        self.tried[settings] = values
        value = min(values) if self.point.less_is_better else max(values)
        if self.better(value, self.best):
            self.best = value
        return value

    def say(self, what):
        if not self.journal.closed:
            print(what, flush=True)

    def hopeless(self, value):
        """So far from the best that noise cannot be why: once is enough."""
        if self.best is None:
            return False
        return value > HOPELESS * self.best if self.point.less_is_better else value * HOPELESS < self.best

    def better(self, value, than):
        return than is None or (value < than if self.point.less_is_better else value > than)

    def choose(self):
        """Settings, one name an axis; None where nothing works. A lone choice is not tried."""
        axes = [list(axis) for axis in self.side.axes(self.point)]
        if all(len(axis) == 1 for axis in axes):
            return tuple(axis[0] for axis in axes)
        best, best_value = tuple(axis[0] for axis in axes), None
        best_value = self.value(best)
        if best_value is None:  # what works and differs least from it, to begin with
            for settings in sorted(itertools.product(*axes), key=lambda words: distance(words, best)):
                if settings not in self.tried and (found := self.value(settings)) is not None:
                    best, best_value = settings, found
                    break
        if best_value is None:
            return None
        for index, axis in enumerate(axes):
            for name in axis:
                settings = best[:index] + (name,) + best[index + 1:]
                if settings in self.tried:
                    continue
                found = self.value(settings)
                if found is not None and self.better(found, best_value):
                    best, best_value = settings, found
        return best

    def report(self):
        return {label(settings): values for settings, values in self.tried.items()}
