"""Messages that are too large, found before anything is started."""

import time

import pytest

from fabric.controller.puts import PutFile
from fabric.controller.sizes import check_sizes
from fabric.errors import UsageError
from fabric.trial.load import parse_trial
from tests.plans import plain_plan


def text(steps: str, roles: str = 'a = "lab[1-100]"\n') -> str:
    return f'[trial]\nname = "t"\n[nodes]\n{roles}[run]\n{steps}'


def test_two_hundred_steps_on_many_nodes_fit() -> None:
    """All addresses are in the environment of each of them, but they are sent once."""
    roles = "".join(f'r{number} = "node[1000-1999]"\n' for number in range(5))
    commands = ", ".join('"echo $r0_all $my_index"' for _ in range(200))
    plan = plain_plan(parse_trial(text(f"r0 = [{commands}]", roles), "t.toml"), {}, ("run",), 1)
    began_s = time.monotonic()
    check_sizes(plan)
    assert time.monotonic() - began_s < 10


def test_what_does_not_fit_is_refused_before_anything_is_started() -> None:
    """In the middle of a run it would be an error of the fabric."""
    many = "".join(f'r{number} = "a-node-with-a-long-name-[1000-2999]"\n' for number in range(30))
    trial = parse_trial(text('r0 = "true"', many), "t.toml")
    with pytest.raises(UsageError, match=r"in phase run does not fit into a message: prepare: [0-9]+ bytes"):
        check_sizes(plain_plan(trial, {}, ("run",), 1))


def test_the_files_of_a_put_count() -> None:
    """Their names go to the node before their bytes do."""
    plan = plain_plan(parse_trial(text('a = { put = "here" }'), "t.toml"), {}, ("run",), 1)
    files = tuple(PutFile(f"{'d' * 200}/{number}", 1, "0" * 64, 0o644) for number in range(5000))
    plan.puts = {("run", "a", "a-1"): files[:1000]}
    check_sizes(plan)
    plan.puts = {("run", "a", "a-1"): files}
    with pytest.raises(UsageError, match="does not fit"):
        check_sizes(plan)
