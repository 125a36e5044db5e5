"""docs/trial-format.md describes the reader as it is."""

import re
from pathlib import Path

import pytest

from fabric.trial import vocabulary
from fabric.trial.keys import STEP_KEYS, TRIAL_KEYS
from fabric.trial.load import parse_trial
from fabric.trial.tables import INNER_TABLES, CheckTable
from fabric.trial.values import SIGNALS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "trial-format.md").read_text()
SUPPORTED, LATER = TEXT.split("## Not supported yet")
BLOCKS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
TRIAL = '[trial]\nname = "t"\n'
NODES = '[nodes]\nserver = "lab1"\nclient = "lab2"\n'


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_loads_without_a_warning(block: str) -> None:
    """An example is copied before the text around it is read."""
    head = ("" if "[trial]" in block else TRIAL) + ("" if "[nodes]" in block else NODES)
    phase = "" if re.search(r"\[(run|startup|install)\b", block) else '[run]\nserver = "true"\n'
    warnings = parse_trial(head + block + phase, "t.toml").warnings
    assert [one for one in warnings if one.code != "W004"] == [], "examples leave out what they are not about"


def test_every_key_is_described() -> None:
    """What is supported, and what is refused, with nothing in both lists."""
    inner = {
        field.alias or key for table in INNER_TABLES.values() for key, field in table.model_fields.items()
    }
    words = {*TRIAL_KEYS, *STEP_KEYS, *CheckTable.model_fields, *vocabulary.SETTING_SECTIONS}
    for word in words | inner | {*vocabulary.OWN_VARIABLES, *SIGNALS, *vocabulary.PHASES}:
        assert re.search(rf"`(ready\.|\[\[?|\$)?{word}\b", SUPPORTED), word
    refused = vocabulary.LATER_STEP_KEYS | vocabulary.LATER_CHECK_KEYS | vocabulary.LATER_SECTIONS
    assert refused <= set(re.findall(r"\w+", LATER))
    assert not vocabulary.LATER_STEP_KEYS & set(STEP_KEYS)


def test_every_code_is_described() -> None:
    """Who gets one looks it up."""
    sources = "".join(file.read_text() for file in (ROOT / "fabric" / "trial").glob("*.py"))
    described = set()
    for first, last in re.findall(r"\b([EW]\d{3})(?: - ([EW]\d{3}))?", SUPPORTED):
        for number in range(int(first[1:]), int((last or first)[1:]) + 1):
            described.add(f"{first[0]}{number:03}")
    assert set(re.findall(r'"([EW]\d{3})"', sources)) == described
