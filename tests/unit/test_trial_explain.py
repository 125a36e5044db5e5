"""Each code is explained by examples that are what they say."""

import re
from pathlib import Path

import pytest

from fabric.errors import UsageError
from fabric.trial.diagnostics import Diagnostic, TrialError
from fabric.trial.explain import Explanation, explain, explanations
from fabric.trial.parse import parse_trial

ROOT = Path(__file__).parents[2]
ABOUT_THE_FILE = {"E001", "E002", "E003", "E004", "E005"}
"""No part of a trial can show these."""

SHOWN = [one for one in explanations().values() if one.code not in ABOUT_THE_FILE and not one.is_of_import]
"""Those of an import are in `test_conductor_import`."""


def found_in(example: str) -> list[Diagnostic]:
    """Return what the reader says of an example, with what it leaves out of a whole trial."""
    parts = [example]
    if "[trial]" not in example:
        parts.insert(0, '[trial]\nname = "t"')
    if "[nodes]" not in example:
        parts.append('[nodes]\nserver = "lab1"\nclient = "lab[2-3]"')
    if not re.search(r"^\[+(startup|run|collect)\b", example, re.MULTILINE):
        parts.append('[run]\nserver = "true"')
    try:
        warnings = parse_trial("\n".join(parts), "t.toml").warnings
        is_whole = (
            "[nodes]" in example and "[run]" in example
        )  # else a role without a step is none of its own
        return [one for one in warnings if is_whole or one.code != "W004"]
    except TrialError as error:
        return list(error.diagnostics)


def test_every_code_is_explained() -> None:
    """Who gets one looks it up; and what is not used any more is taken out."""
    sources = "".join(file.read_text() for file in (ROOT / "fabric" / "trial").rglob("*.py"))
    assert set(re.findall(r'"([EW]\d{3})"', sources)) == set(explanations())
    assert list(explanations()) == sorted(explanations())


@pytest.mark.parametrize("one", SHOWN, ids=lambda one: one.code)
def test_the_wrong_example_is_wrong_and_the_right_one_right(one: Explanation) -> None:
    """An example is copied, and a wrong one shall show this code and no other."""
    assert {found.code for found in found_in(one.wrong)} == {one.code}
    assert found_in(one.right) == []
    assert one.text


def test_all_other_codes_have_a_text() -> None:
    """Those of the file itself have no example."""
    for code in ABOUT_THE_FILE:
        one = explanations()[code]
        assert one.text
        assert not one.wrong + one.right


@pytest.mark.parametrize("code", ["E012", "e012", "e12", " E12 "])
def test_a_code_is_found_however_it_is_written(code: str) -> None:
    """It is typed by hand from a screen."""
    assert explain(code).render().startswith("E012: A phase has a role that is not in [nodes]\n\nEach role ")


def test_an_unknown_code_is_an_error() -> None:
    """With a way out."""
    with pytest.raises(UsageError, match="no code 'E999'") as raised:
        explain("E999")
    assert "--explain lists all" in raised.value.hint
