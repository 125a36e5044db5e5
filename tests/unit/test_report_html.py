"""report.html: complete, harmless, and of a size that a browser can show."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fabric.report import html
from fabric.report.html import MAX_FAILURES, MAX_HELD, MAX_ROWS, TAIL_BYTES, render
from fabric.report.plots import Column, dots, nice_ticks

STEP: dict[str, Any] = {
    "cell": 0,
    "repeat": 1,
    "phase": "run",
    "role": "client",
    "step": "client-1",
    "node": "lab1",
    "line": 12,
    "verb": "cmd",
    "command": "iperf3 -c $server",
    "attempt": 1,
    "state": "finished",
    "reason": "exited",
    "failed": True,
    "retried": False,
    "exit_code": 1,
    "signal": None,
    "message": "exit 1",
    "duration_s": 2.1,
    "stdout_bytes": 5,
    "stderr_bytes": 0,
    "user_s": 0.1,
    "system_s": 0.2,
}
RESULT: dict[str, Any] = {
    "format": 1,
    "run": "20260301-102207-ping-k3f9",
    "name": "ping",
    "file": "ping.toml",
    "verdict": "fail",
    "exit_code": 1,
    "why": ["ping.toml:12: run/client step client-1 on lab1: exit 1"],
    "started": 1772360527.5,
    "duration_s": 64.0,
    "seed": 7,
    "matrix": {"streams": ["1", "8"]},
    "repeats": 2,
    "warmup": 0,
    "cells": [{"cell": 1, "variables": {"streams": "1"}, "repeats": []}],
    "phases": [
        {
            "cell": 1,
            "repeat": 1,
            "phase": "run",
            "go": 1,
            "t0": 1.0,
            "lead_s": 0.02,
            "ended": 3.0,
            "failed": True,
            "skew_s": 0.00031,
            "skew_bound_s": 0.0001,
            "latest_node": "lab1",
            "earliest_node": "lab7",
            "delayed_by": "its launcher woke 0.3 ms late",
            "way": "exec_stop",
            "aborted": [],
        },
    ],
    "steps": [STEP],
    "metrics": [
        {
            "name": "rate",
            "unit": "bit/s",
            "better": None,
            "across": "mean",
            "step": "run/client/client-1",
            "cells": [
                {
                    "cell": 1,
                    "repeats": [
                        {"repeat": 1, "value": 9.1e9, "nodes": {}},
                        {"repeat": 2, "value": 9.4e9, "nodes": {}},
                    ],
                    "n": 2,
                    "median": 9.25e9,
                    "mean": 9.25e9,
                    "min": 9.1e9,
                    "max": 9.4e9,
                    "stdev": 2.1e8,
                }
            ],
        },
    ],
    "checks": [
        {
            "metric": "rate",
            "kind": "min",
            "limit": 9.2e9,
            "limit_text": "9.2 Gbit/s",
            "unit": "bit/s",
            "cell": 1,
            "repeat": 1,
            "value": 9.1e9,
            "ok": False,
        }
    ],
    "nodes": {
        "lab1": {
            "roles": ["client"],
            "addresses": {"": "10.0.0.1"},
            "labels": [],
            "facts": {"os": "Linux"},
            "lost": None,
        }
    },
    "versions": {"testfabric": "0.1.0"},
}


class Page(HTMLParser):
    """Collects text, tags and what would be fetched from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "srcset")]
        if tag == "link":
            self.fetched.append(str(attrs))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_page_tells_what_the_run_came_to(tmp_path: Path) -> None:
    """Verdict, why, check, metric with its plot, skew with its bound, failed step with its last words."""
    out = tmp_path / "out/1/run/lab1"
    out.mkdir(parents=True)
    (out / "client-1.stderr").write_text("unable to connect\n")
    page = Page(render(RESULT, tmp_path))
    for words in (
        *("ping", "fail", "exit 1", "rate.min", "9.2 Gbit/s", "does not hold", "streams=1", "9.25 Gbit/s"),
        *("lab7 lab1 its launcher woke 0.3 ms late exec_stop",),
        *("0.310 ms", "0.100 ms", "unable to connect", "ping.toml:12", "10.0.0.1", "2026-03-01 10:22:07 UTC"),
    ):
        assert words in page.text, words
    assert page.tags.count("svg") == 2
    assert page.tags.count("circle") == 3


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    """It is mailed, and opened where there is no network."""
    page = Page(render(RESULT, tmp_path))
    assert page.fetched == []
    assert "script" not in page.tags


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", '"><img src=x>', "{{ 7 * 7 }}", "\x1b[2J\x00"])
def test_what_programs_and_nodes_say_is_text(evil: str, tmp_path: Path) -> None:
    """Output, names of cells and facts come from anybody."""
    result = json.loads(json.dumps(RESULT))
    result["name"] = result["why"][0] = result["steps"][0]["message"] = evil
    result["cells"][0]["variables"]["streams"] = evil
    result["nodes"]["lab1"]["facts"]["os"] = evil
    text = render(result, tmp_path)
    assert not {"\x1b", "\x00"} & set(text), "who copies from the page has a terminal"
    page = Page(text)
    assert not {"script", "img"} & set(page.tags)
    assert "49" not in page.text


def test_a_large_run_has_a_page_that_a_browser_can_show(tmp_path: Path) -> None:
    """A thousand cells are in result.json; the page has what failed, and says what it left out."""
    many = [STEP | {"repeat": number, "node": f"lab{number % 100}"} for number in range(1, 30_001)]
    text = render(RESULT | {"steps": many}, tmp_path)
    assert len(text) < 4_000_000
    page = Page(text)
    assert f"{30_000 - MAX_ROWS} more steps are in result.json" in page.text
    assert f"{30_000 - MAX_FAILURES} more have failed" in page.text


def test_of_a_long_output_the_end_is_shown(tmp_path: Path) -> None:
    """What a program says last is why it ended."""
    out = tmp_path / "out/1/run/lab1"
    out.mkdir(parents=True)
    (out / "client-1.stdout").write_text("".join(f"line {number}\n" for number in range(100_000)))
    text = Page(render(RESULT, tmp_path)).text
    assert "line 99999" in text
    assert "line 1 " not in text
    assert len(text) < TAIL_BYTES + 3000


def test_a_run_that_broke_off_has_a_page_too(tmp_path: Path) -> None:
    """It is then that somebody looks."""
    assert "error" in Page(render({"verdict": "error", "name": "t"}, tmp_path)).text


def test_the_verdict_can_be_read() -> None:
    """Of two rules of one weight the later one counts: white on red, not red on red."""
    style = (Path(html.__file__).parent / "templates" / "report.html.j2").read_text()
    assert style.index(".fail { color:") < style.index(".verdict { color: #fff;")


def test_a_check_that_does_not_hold_stands_there_once(tmp_path: Path) -> None:
    """In a sweep the reasons would be the table again; many that hold are behind a click."""
    check = {
        "metric": "rtt",
        "kind": "max",
        "limit": 2,
        "limit_text": "2 ms",
        "unit": "ms",
        "line": 9,
        "cell": 1,
    }
    held = [check | {"repeat": number, "value": 1.0, "ok": True} for number in range(1, MAX_HELD + 2)]
    checks = [check | {"repeat": 99, "value": 3.0, "ok": False}, *held]
    why = [
        "ping.toml:9: check rtt.max: 3 ms in cell 1 (streams=1), repeat 99 is not at most 2 ms",
        "lab1 was lost",
    ]
    page = render({**RESULT, "checks": checks, "why": why}, tmp_path)
    assert (page.count("repeat 99"), page.count("<li>")) == (1, 1)
    assert f"<summary>{MAX_HELD + 1} hold</summary>" in page
    assert "<details>" not in render({**RESULT, "checks": checks[:3]}, tmp_path)


def test_labels_of_a_plot_do_not_lie_on_one_another() -> None:
    """Twenty cells of two variables; the numbers beside it are those that people read."""
    plot = dots([Column(f"{number}, 9000", [number * 1e5]) for number in range(1, 21)], "bit/s")
    assert "1.5 Mbit/s" in plot
    assert "e+06 bit" not in plot
    below = re.findall(r'<text x="([0-9.]+)" y="206" [^>]*>([^<]*)', plot)
    for (left, text), (right, other) in pairwise(below):
        assert float(right) - float(left) > 3 * (len(text) + len(other))


def test_ticks_are_round_and_span_the_values() -> None:
    """An axis that begins at 0.3137 is of no use."""
    assert nice_ticks(0, 9.4e9) == [0, 2.5e9, 5e9, 7.5e9, 1e10]
    assert nice_ticks(0, 0) == [0, 0.25]
    low, *_, high = nice_ticks(-3.2, 0)
    assert low <= -3.2
    assert high >= 0


def test_a_plot_without_numbers_is_none() -> None:
    """Not an empty frame."""
    assert dots([], "ms") == ""
    assert dots([Column("a", [float("nan")])], "ms") == ""
