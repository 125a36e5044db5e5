"""Settings files of the services: a key for each option, an example of each key."""

import re

import pytest

import agents.settings
import broker.settings
from tests.architecture.documents import contexts
from tests.architecture.source import ROOT
from tests.architecture.test_commands import INSTEAD

SERVICES = {"broker": broker.settings.SECTIONS, "agent": agents.settings.SECTIONS}
NO_SETTING = {*INSTEAD, "--config", "--policy"}
"""Options about the file itself, and what a command does instead of its work."""


@pytest.mark.parametrize("name", SERVICES)
def test_every_option_has_its_key(name: str) -> None:
    """A service is started by nobody: what can be said must be sayable in its file."""
    command = contexts()[f"fabric-{name}"].command
    wanted = {
        one.name
        for one in command.params
        if not getattr(one, "hidden", False) and not NO_SETTING & {*one.opts}
    }
    rules = SERVICES[name].get("policy", {}).keys()
    assert SERVICES[name][name].keys() | rules == wanted


@pytest.mark.parametrize("name", SERVICES)
def test_the_example_shows_every_key(name: str) -> None:
    """It is copied and then edited: what is not in it is not found."""
    text = (ROOT / "configs" / f"{name}.toml").read_text()
    for section, keys in SERVICES[name].items():
        assert f"[{section}]" in text
        for key in keys:
            assert re.search(rf"^(# )?{key} = ", text, re.MULTILINE), f"configs/{name}.toml: {key}"
