"""What a variable brings into a path is refused as it is where it is written out."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from fabric.errors import UsageError
from fabric.trial.load import parse_trial
from tests.plans import plain_plan

TEXT = """
[trial]
name = "t"
[env]
e = "etc"
[matrix]
m = ["logs", "more logs"]
[nodes]
a = ["lab1", "lab2"]
[[run.a]]
put = { "beside" = "$e" }
[[run.a]]
fetch = ["plain", "$m"]
dir = "/srv/${m}/../$e"
"""


def plan(env: Mapping[str, str], matrix: Mapping[str, tuple[str, ...]]) -> None:
    trial = parse_trial(TEXT, "t.toml")
    changed = replace(trial, env={**trial.env, **env}, matrix={**trial.matrix, **matrix})
    plain_plan(changed, {}, ["run"], 1)


def test_good_values_are_taken() -> None:
    """A place of a put may go up, as where it is written out: it is a place like any other."""
    plan({"e": "../x"}, {"m": ("/var/log/*", "a..b", "$e")})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("../../etc/passwd", "`fetch` goes up with `..` in `../../etc/passwd`, as which `$m` is read there"),
        ("/x/..", "`fetch` goes up with `..` in `/x/..`"),
        ("/", "`fetch` would bring all of `/`"),
        (" ", "`fetch` is empty"),
        ("~/x", "`fetch` begins with `~`, which nobody expands here"),
    ],
)
def test_a_fetch_is_refused_in_whichever_cell_it_is_wrong(value: str, message: str) -> None:
    """Before anything has started: a bundle has no place for what lies above the root of a node."""
    with pytest.raises(UsageError) as caught:
        plan({}, {"m": ("logs", "more", value)})
    assert str(caught.value).startswith(f"t.toml:12: run/a step a-2 on lab1: {message}")


@pytest.mark.parametrize(("value", "message"), [("", "`put` is empty"), ("~", "`put` begins with `~`")])
def test_the_place_of_a_put_is_refused(value: str, message: str) -> None:
    """[env] and --set bring values, too."""
    with pytest.raises(UsageError) as caught:
        plan({"e": value}, {})
    assert str(caught.value).startswith(f"t.toml:10: run/a step a-1 on lab1: {message}")
