"""Variables that are secrets: by name in all that is made of a trial, by value only where they are sent."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from agents.launching import environment
from fabric.controller.document import plan_document
from fabric.controller.plan import make_plan
from fabric.errors import UsageError
from fabric.protocol.shared_env import wanted_secrets
from fabric.report.plan_json import plan_json
from fabric.report.plan_text import plan_text
from fabric.trial.cells import cells_of, set_variables
from fabric.trial.diagnostics import TrialError
from fabric.trial.model import Trial
from fabric.trial.parse import parse_trial
from fabric.trial.resolve import resolve
from fabric.trial.secrets import secrets_of

VALUES = {"API": "correct-horse", "DB": "battery-staple"}

TEXT = """
[trial]
name = "t"
[nodes]
server = "lab1"
client = "lab2"
[env]
TOKEN = "secret:API"
PLAIN = "text"
[[run.client]]
cmd = "curl $TOKEN $PASSWORD"
env = { PASSWORD = "secret:DB" }
[[run.server]]
cmd = "serve"
env = { TOKEN = "none" }
"""


def parsed(text: str = TEXT) -> Trial:
    """Read a trial whose secrets are those of VALUES."""
    return parse_trial(text, "t.toml", look_secret=lambda name: "" if name in VALUES else f"no {name}")


def errors(text: str) -> Iterator[str]:
    """Return what is wrong with a trial."""
    with pytest.raises(TrialError) as caught:
        parsed(text)
    return (f"{one.line}:{one.col} {one.code} {one.message}" for one in caught.value.diagnostics)


def test_only_steps_that_want_a_secret_are_given_it() -> None:
    """A node is told of those of its own steps, and a step's own `env` goes over [env]."""
    trial = parsed()
    assert secrets_of(trial) == ("API", "DB")
    cells = cells_of(trial)
    found = resolve(trial, cells, None, 0)
    plan = make_plan(trial, cells, found, {}, phases=trial.phases, repeats=1, seed=0)
    steps = plan.steps(plan.repeats[0], "run")
    assert wanted_secrets(steps["lab2"], VALUES) == VALUES
    assert wanted_secrets(steps["lab1"], VALUES) == {}
    (client,) = steps["lab2"]
    assert not {"TOKEN", "PASSWORD"} & client.env.keys()
    given = environment(client, VALUES)
    assert (given["TOKEN"], given["PASSWORD"]) == ("correct-horse", "battery-staple")
    assert environment(steps["lab1"][0], {})["TOKEN"] == "none"


def test_plans_name_secrets_and_never_show_them() -> None:
    """They are stored at the broker and in the bundle, and printed by --plan."""
    trial = parsed()
    cells = cells_of(trial)
    plan = make_plan(trial, cells, resolve(trial, cells, None, 0), {}, phases=trial.phases, repeats=1, seed=0)
    plan.secrets = VALUES
    shown = [json.dumps(plan_document(plan)), "".join(plan_json(plan)), repr(plan)]
    text = "\n".join(plan_text(plan, knows_addresses=False))
    assert "with PASSWORD=secret:DB" in text
    assert "DB    for lab2" in " ".join(text.split("\n")) or "DB   for lab2" in text or "for lab2" in text
    for one in (*shown, text):
        assert "secret:DB" in one or one is shown[2]
        assert not any(value in one for value in VALUES.values())


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("secret:API", "secret:NONE", "8:9 E053 no NONE"),
        ("secret:DB", "secret:my db", "12:20 E053 'my db' cannot be the name of a secret"),
        ('env = { PASSWORD = "secret:DB" }', 'dir = "/tmp/$TOKEN"', "12:13 E054 $TOKEN is a secret"),
        ("{ PASSWORD", '{ URL = "http://$TOKEN@x", PASSWORD', "12:23 E054 $TOKEN is a secret"),
    ],
)
def test_a_secret_that_cannot_be_had_or_used_is_told_where_it_stands(old: str, new: str, wanted: str) -> None:
    """Before anything is started."""
    assert any(one.startswith(wanted) for one in errors(TEXT.replace(old, new))), [
        *errors(TEXT.replace(old, new))
    ]


def test_a_step_that_has_no_secret_under_that_name_may_expand_it() -> None:
    """Its own `env` has gone over that of [env]."""
    assert parsed(TEXT.replace('TOKEN = "none"', 'TOKEN = "none" }\ndir = "/tmp/$TOKEN"\nlimits = {'))


def test_set_gives_no_secret_away() -> None:
    """The arguments of a running program can be read by everybody on its machine."""
    with pytest.raises(UsageError, match="everybody"):
        set_variables(parsed(), ["TOKEN=correct-horse"])
    assert secrets_of(set_variables(parsed(), ["TOKEN=secret:DB"])) == ("DB",)
    with pytest.raises(UsageError, match="cannot be the name"):
        set_variables(parsed(), ["PLAIN=secret:a b"])
    assert secrets_of(replace(parsed(), env={})) == ("DB",)
