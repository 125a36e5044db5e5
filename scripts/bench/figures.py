"""Figures of the benchmarks of a start: order statistics, the machine's state, and a plot."""

import math
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

WIDTH, LEFT, RIGHT = 860, 190, 90
ROW, HEAD, FOOT = 22, 34, 26
STYLE = (
    "text{font:12px sans-serif}.head{font-weight:bold}.grid{stroke:#ddd}.median{stroke:#000;stroke-width:2}"
    "circle{fill:#3572b0;fill-opacity:.35}circle.own{fill:#c0392b}circle.floor{fill:#555}"
)


def p95(values: Sequence[float]) -> float:
    """Return the least value that is not below 95 % of them."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def row(values: Sequence[float]) -> str:
    """Return median, p95 and max as columns of milliseconds."""
    return "".join(f"{value:10.3f}" for value in (statistics.median(values), p95(values), max(values)))


def machine() -> dict[str, object]:
    """Return what the figures depend on: this machine, and what else it does now."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "cpu": model[0].split(":", 1)[1].strip() if model else platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def load() -> str:
    """Return the load averages, and how many tasks are runnable of how many."""
    return " ".join(Path("/proc/loadavg").read_text().split()[:4])


def svg(groups: Mapping[str, Mapping[str, Sequence[float]]], unit: str) -> str:
    """Return a plot: a row for each way in each group, one logarithmic axis; zeros stand at its left end."""
    values = [value for ways in groups.values() for found in ways.values() for value in found if value > 0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    parts, y = [f"<style>{STYLE}</style>"], 0.0

    def x_of(value: float) -> float:
        share = (math.log10(value) - low) / max(1, high - low) if value > 0 else 0.0
        return LEFT + max(0.0, share) * (WIDTH - LEFT - RIGHT)

    for name, ways in groups.items():
        top, bottom = y + HEAD, y + HEAD + ROW * len(ways)
        parts.append(f'<text class="head" x="8" y="{y + HEAD - 12:.0f}">{escape(name)}</text>')
        parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{y + HEAD - 12:.0f}">median</text>')
        for power in range(low, high + 1):
            x = x_of(10.0**power)
            parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.0f}" y2="{bottom:.0f}"/>')
            label = f"{10.0**power:g} {unit}"
            parts.append(f'<text x="{x:.1f}" y="{bottom + 14:.0f}" text-anchor="middle">{label}</text>')
        for index, (way, found) in enumerate(ways.items()):
            parts += _strip(way, found, top + ROW * (index + 0.5), x_of)
        y = bottom + FOOT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:.0f}" width="{WIDTH}" '
        f'style="background:#fff">{"".join(parts)}</svg>\n'
    )


def _strip(way: str, found: Sequence[float], y: float, x_of: Callable[[float], float]) -> list[str]:
    kind = "own" if way.startswith("fabric") else "floor" if way.startswith("floor") else "peer"
    parts = [f'<text x="8" y="{y + 4:.0f}">{escape(way)}</text>']
    parts += [f'<circle class="{kind}" cx="{x_of(value):.1f}" cy="{y:.1f}" r="3.5"/>' for value in found]
    if found:
        middle = statistics.median(found)
        x = x_of(middle)
        parts.append(f'<line class="median" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 8:.1f}" y2="{y + 8:.1f}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{y + 4:.0f}">{middle:.3g}</text>')
    return parts
