"""configs/trial.schema.json is made of the reader's tables, and says what the reader says."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fabric.trial.explain import explanations
from fabric.trial.keys import STEP_KEYS, TRIAL_KEYS
from tests.architecture.source import ROOT
from tests.unit.json_schema import errors, schemas

SCHEMA = json.loads((ROOT / "configs" / "trial.schema.json").read_text())
TRIALS = sorted((ROOT / "configs" / "trials").glob("*.toml"))
DOCUMENT = (ROOT / "docs" / "trial-format.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)

SEEN = {
    "E013",
    "E014",
    "E015",
    "E016",
    "E017",
    "E018",
    "E019",
    "E026",
    "E030",
    "E031",
    "E033",
    "E035",
    "E043",
}
"""Codes of rules that a schema can express: those that look at one value or one table."""


def misfits(text: str) -> list[str]:
    """Return what of a part of a trial does not fit the schema."""
    head = ("" if "[trial]" in text else '[trial]\nname = "t"\n') + (
        "" if "[nodes]" in text else '[nodes]\na = "lab1"\n'
    )
    return list(errors(tomllib.loads(head + text), SCHEMA, SCHEMA))


def test_the_schema_is_current() -> None:
    """An editor that knows other keys than the reader sends people astray."""
    script = ROOT / "scripts" / "generate-trial-schema"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", TRIALS, ids=lambda file: file.stem)
def test_the_examples_fit(file: Path) -> None:
    """A right file without a red line below it."""
    assert misfits(file.read_text()) == []


def test_the_documented_examples_fit() -> None:
    """As above, for all that the documents show."""
    for text in [*EXAMPLES, *(one.right for one in explanations().values() if not one.is_of_import)]:
        assert misfits(text) == [], text


@pytest.mark.parametrize("code", sorted(SEEN))
def test_a_wrong_example_does_not_fit(code: str) -> None:
    """What one value or one table shows is shown while it is typed."""
    assert misfits(explanations()[code].wrong) != []


def test_every_key_is_described() -> None:
    """The text is what an editor shows beside the key."""
    step, trial = SCHEMA["definitions"]["StepTable"], SCHEMA["definitions"]["TrialTable"]
    assert set(step["properties"]) == set(STEP_KEYS)
    assert set(trial["properties"]) == set(TRIAL_KEYS)
    for one in schemas(SCHEMA):
        if one.get("type") == "object" and "properties" in one:
            assert [key for key, inner in one["properties"].items() if not inner.get("description")] == []
