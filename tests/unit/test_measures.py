"""Numbers out of what steps write, over nodes and repeats, against checks."""

import pytest

from fabric.controller.extract import MetricNotFound, Written, extract
from fabric.controller.measures import Measures, describe_check
from fabric.trial.cells import Cell, Repeat
from fabric.trial.model import Across, CheckSpec, MetricSpec, Trial, TrialStep

NO_CELL = Cell(0, {})


def regex(pattern: str) -> MetricSpec:
    return MetricSpec(name="m", line=1, regex=pattern)


def path(text: str) -> MetricSpec:
    return MetricSpec(name="m", line=1, json=text)


def out(text: str, err: str = "") -> dict[str, Written]:
    return {"stdout": Written(text.encode()), "stderr": Written(err.encode())}


def test_a_regex_takes_its_last_match_of_stdout_then_of_stderr() -> None:
    """What is printed last sums up what came before; many tools write their summary to stderr."""
    spec = regex(r"^rtt (\S+)$")
    assert extract(spec, out("rtt 1.5\nrtt 2.5e3\n", "rtt 9\n")) == 2500.0
    assert extract(spec, out("nothing\n", "rtt 9\n")) == 9.0


def test_json_may_stand_behind_lines_that_are_none() -> None:
    """Tools warn before they report, and report line by line."""
    assert extract(path("a.b[1]"), out('{"a": {"b": [1, 2]}}')) == 2.0
    assert extract(path("v"), out('warming up\n{"v": 1}\n{"v": "7.5"}\ndone\n')) == 7.5


@pytest.mark.parametrize(
    ("spec", "texts", "words"),
    [
        (regex("rtt ([0-9]+)"), out("no such thing", "x"), ["stdout (13 bytes)", "stderr (1 bytes)", "rtt"]),
        (path("a.c"), out('{"a": {"b": 1}}'), ["there is no a.c"]),
        (path("a"), out("plain text"), ["no JSON"]),
        (path("a"), out('{"a": [1]}'), ["stdout", "no number", "[1]"]),
        (path("a"), out('{"a": true}'), ["no number"]),
        (path("a"), out('{"a": NaN}'), ["no number"]),
        (regex("(x+)"), out("xxx"), ["no number", "xxx"]),
        (regex("(x)"), {}, ["nothing to look in"]),
        (regex(r"(\S+)"), out("1.7e308"), ["no number", "1.7e308"]),
    ],
)
def test_what_is_not_found_says_where_it_was_looked_for(
    spec: MetricSpec, texts: dict[str, Written], words: list[str]
) -> None:
    """Or nobody knows whether the program or the pattern is to be mended."""
    with pytest.raises(MetricNotFound) as caught:
        extract(spec, texts)
    for word in words:
        assert word in str(caught.value)


def trial(*checks: CheckSpec, across: Across = "mean", unit: str = "ms") -> Trial:
    spec = MetricSpec(name="rtt", line=3, regex="(.*)", unit=unit, across=across)
    step = TrialStep(
        phase="run", role="a", label="a-1", line=2, verb="cmd", argv=("x",), env={}, dir=None, timeout_s=1.0,
        at_s=None, until=None, ok=(0,), on_fail="stop", when="passed", signal=15, grace_s=5.0,
        metrics=(spec,),
    )  # fmt: skip
    return Trial(
        path="t.toml", text="", name="t", repeat=2, timeout_s=None, max_skew_s=None, lead_s=None,
        on_lost="stop", roles={"a": ("n1", "n2")}, steps=(step,), checks=checks,
    )  # fmt: skip


def repeats(count: int, *, warmup: int = 0) -> list[Repeat]:
    numbers = range(1, warmup + count + 1)
    return [Repeat(NO_CELL, number, number <= warmup, ("run", "reset")) for number in numbers]


@pytest.mark.parametrize(
    ("across", "value"), [("mean", 20.0), ("sum", 60.0), ("min", 10.0), ("max", 30.0), ("median", 20.0)]
)
def test_the_nodes_of_a_role_come_to_one_value(across: Across, value: float) -> None:
    """Lost writes add up, a worst latency does not."""
    measures = Measures(trial(across=across))
    for node, number in (("n1", 10.0), ("n2", 20.0), ("n3", 30.0)):
        measures.add("rtt", (0, 1), node, number)
    (metric,) = measures.describe(repeats(1))
    assert metric["cells"][0]["repeats"][0]["value"] == value


def test_warm_ups_do_not_count() -> None:
    """Neither in the summary nor against a check."""
    limit = CheckSpec(metric="rtt", kind="max", line=9, limit=2.0, text="2 ms")
    measures = Measures(trial(limit))
    for number, value in ((1, 50.0), (2, 1.0), (3, 2.0)):
        measures.add("rtt", (0, number), "n1", value)
    (metric,) = measures.describe(repeats(2, warmup=1))
    (cell,) = metric["cells"]
    assert (cell["n"], cell["median"], cell["max"]) == (2, 1.5, 2.0)
    assert [result.ok for result in measures.check(repeats(2, warmup=1))] == [True, True]


def test_a_check_holds_in_every_repeat_or_says_what_was_found() -> None:
    """A median would hide the one repeat in which writes were lost."""
    limit = CheckSpec(metric="rtt", kind="max", line=9, limit=2.0, text="2000 us")
    measures = Measures(trial(limit))
    measures.add("rtt", (0, 1), "n1", 1.0)
    measures.add("rtt", (0, 2), "n1", 3.5)
    first, second = measures.check(repeats(2))
    assert (first.ok, second.ok) == (True, False)
    sentence = describe_check(trial(limit), second, "repeat 2")
    assert sentence == "t.toml:9: check rtt.max: 3.5 ms in repeat 2 is not at most 2000 us"


def test_what_is_found_is_not_shown_as_the_limit_that_it_misses() -> None:
    """Three digits are enough for people, but for `2 ms is not at most 2 ms`."""
    limit = CheckSpec(metric="rtt", kind="max", line=9, limit=2.0, text="2 ms")
    measures = Measures(trial(limit))
    measures.add("rtt", (0, 1), "n1", 2.0001)
    (result,) = measures.check(repeats(1))
    assert "2.0001 ms in" in describe_check(trial(limit), result, "repeat 1")


def test_cells_stand_in_their_order_whatever_the_one_in_which_they_were_done() -> None:
    """With order = "random", too, people compare neighbours."""
    limit = CheckSpec(metric="rtt", kind="max", line=9, limit=2.0, text="2 ms")
    measures = Measures(trial(limit))
    places = [(3, 1), (1, 2), (2, 1), (1, 1)]
    done = [Repeat(Cell(cell, {}), number, is_warmup=False, phases=("run",)) for cell, number in places]
    for place in places:
        measures.add("rtt", place, "n1", 1.0)
    (metric,) = measures.describe(done)
    assert [cell["cell"] for cell in metric["cells"]] == [1, 2, 3]
    assert [entry["repeat"] for entry in metric["cells"][0]["repeats"]] == [1, 2]
    assert [result.place for result in measures.check(done)] == sorted(places)


def test_a_check_without_a_value_does_not_hold() -> None:
    """Nothing measured is not nothing wrong."""
    limit = CheckSpec(metric="rtt", kind="equals", line=9, limit=0.0, text="0")
    (result,) = Measures(trial(limit)).check(repeats(1))
    assert not result.ok
    assert "no value in repeat 1" in describe_check(trial(limit), result, "repeat 1")


def test_json_that_is_nested_without_end_is_none() -> None:
    """A program that went wrong must not take the verdict along."""
    with pytest.raises(MetricNotFound):
        extract(path("a"), out("[" * 100_000))
