# SPDX-License-Identifier: Apache-2.0
"""The pieces of work that are compared."""
import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """One piece of work, the same for all sides.

    `kind`: prefill, decode, first (load to first token), rss, or together (prefill of several prompts
    against one, which every side could only be asked of itself: ours alone).
    """

    name: str
    kind: str
    tokens: int = 0
    depth: int = 0
    sequences: int = 1
    crowded: bool = False  # how many times slower with a busy neighbour on each processor

    @property
    def unit(self):
        if self.crowded:
            return "x slower"
        return {"first": "ms", "rss": "MiB", "together": "%"}.get(self.kind, "tokens/s")

    @property
    def less_is_better(self):
        return self.crowded or self.kind in ("first", "rss")

    @property
    def idle(self):
        """The same work without neighbours, whose settings serve both."""
        return dataclasses.replace(self, name=self.name.removesuffix(CROWDED), crowded=False)


CROWDED = ", busy neighbours"

POINTS = (
    Point("prefill 512", "prefill", 512),
    Point("decode 128", "decode", 128),
    Point("decode at 8000", "decode", 32, depth=8000),
    Point("prefill 8000", "prefill", 8000),
    Point("16 sequences decode", "decode", 32, depth=128, sequences=16),
    Point("16 prompts prefill", "together", 512, sequences=16),
    Point("load to first token", "first", 1),
    Point("peak RSS", "rss", 64),
    Point("prefill 512" + CROWDED, "prefill", 512, crowded=True),
    Point("decode 128" + CROWDED, "decode", 128, crowded=True),
)
