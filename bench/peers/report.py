# SPDX-License-Identifier: Apache-2.0
"""From samples to figures: each side's own, the ratios of pairs, shares of the machine's roofs; a table."""
import statistics

from choose import label
from measure import summary


def roof_shares(point, facts, value, roof):
    """Percent of what the machine can do, by the work that our plan counts: the same for all sides."""
    if point.crowded or point.kind not in ("prefill", "decode") or not facts:
        return {}
    passes = value / (point.tokens * point.sequences if point.kind == "prefill" else point.sequences)
    if point.kind == "decode":
        return {"bandwidth": 100 * passes * facts["bytes_per_pass"] * 1e-9 / roof["read_gbps"]}
    gops = passes * facts["operations_per_pass"] * 1e-9
    units = {"int8": roof["int8_gops"], "AMX bf16": roof.get("amx_bf16_gops"),
             "AMX int8": roof.get("amx_int8_gops")}
    return {unit: 100 * gops / rate for unit, rate in units.items() if rate}


def report_point(point, threads, ours, peers, roof):
    """`ours`: (settings, tried, samples); `peers`: name -> (settings, tried, pairs of ours and its)."""
    settings, tried, samples = ours
    facts = next((sample.facts for sample in samples if sample.facts), None)
    result = {"point": point.name, "unit": point.unit, "threads": threads, "sides": {}}
    result["sides"]["ashlar"] = side_of(point, samples, settings, tried, facts, roof)
    for name, (settings, tried, pairs) in peers.items():
        side = side_of(point, [its for _, its in pairs], settings, tried, facts, roof)
        ratios = [(its.value / mine.value if point.less_is_better else mine.value / its.value)
                  for mine, its in pairs]
        side["ratio"] = summary(ratios)  # above 1: ours is ahead
        side["ratio"]["samples"] = ratios
        result["sides"][name] = side
    return result


def side_of(point, samples, settings, tried, facts, roof):
    values = [sample.value for sample in samples]
    side = {**summary(values), "samples": values, "settings": label(settings), "tried": tried}
    side["foreign_cpu_percent"] = statistics.median(sample.foreign_percent for sample in samples)
    side["percent_of_roof"] = roof_shares(point, facts, side["median"], roof)
    if point.crowded:
        side["idle"] = summary([sample.facts["idle"] for sample in samples])
        side["crowded"] = summary([sample.facts["crowded"] for sample in samples])
    return side


HEAD = ("POINT", "THREADS", "SIDE", "UNIT", "MIN", "MEDIAN", "MAX", "RATIO", "(MIN-MAX)", "OF ROOF",
        "NOISE %", "SETTINGS")


def number(value):
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 1000 else f"{value:,.0f}"


def table_rows(result):
    for name, side in result["sides"].items():
        ratio = side.get("ratio")
        shares = [f"{share:.0f} % {unit}" for unit, share in side["percent_of_roof"].items()]
        yield (result["point"], str(result["threads"]), name, result["unit"], number(side["min"]),
               number(side["median"]), number(side["max"]),
               f"{ratio['median']:.2f}" if ratio else "",
               f"{ratio['min']:.2f}-{ratio['max']:.2f}" if ratio else "",
               ", ".join(shares) or "-", f"{side['foreign_cpu_percent']:.0f}", side["settings"])


def print_table(results, markdown=False):
    rows = [HEAD] + [row for result in results for row in table_rows(result)]
    if markdown:
        rows.insert(1, ("---",) * len(HEAD))
        for row in rows:
            print("| " + " | ".join(row) + " |")
        return
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
