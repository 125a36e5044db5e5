"""Examples load, links lead somewhere, and what the documents name is there."""

import os
import re
from pathlib import Path

import pytest

import agents.settings
import broker.settings
from fabric.settings import load_settings
from fabric.trial.importers.foreign import import_trial
from fabric.trial.load import load_trial
from tests.architecture import documents
from tests.architecture.source import ROOT

TRIALS = Path("configs/trials")
CONDUCTOR = Path("configs/conductor")
UNITS = Path("configs/systemd")
SERVICES = {
    "broker": broker.settings.SECTIONS,
    "agent": agents.settings.SECTIONS,
    "policy": {"policy": agents.settings.SECTIONS["policy"]},
}


@pytest.mark.parametrize("file", documents.EXAMPLES, ids=str)
def test_every_example_loads(file: Path) -> None:
    """Examples are copied before anything is read."""
    if file.is_relative_to(CONDUCTOR):
        files = import_trial(ROOT / CONDUCTOR / "conductor.cfg", {}).trial.files
        assert f"imported/{file.relative_to(CONDUCTOR)}" in {one.name for one in files}
        return
    if file.stem in SERVICES and file.parent == Path("configs"):
        load_settings(ROOT / file, SERVICES[file.stem])
        return
    if file.is_relative_to(UNITS):
        return  # test_units.py
    if file.suffix != ".toml":
        trials = [load_trial(trial) for trial in (ROOT / TRIALS).glob("*.toml")]
        sources = {one.source for trial in trials for step in trial.steps for one in step.put}
        assert str(file.relative_to(TRIALS)) in sources, f"no trial puts {file} anywhere"
        return
    assert file.parent == TRIALS, f"nothing here loads {file}: add it with what reads it"
    assert load_trial(ROOT / file).warnings == ()


@pytest.mark.parametrize("service", ["broker", "agent"])
def test_settings_that_are_not_called_examples_are_shown_as_they_are_without_a_line(service: str) -> None:
    """The files say so, and who leaves a line out goes by it."""
    file = ROOT / "configs" / f"{service}.toml"
    named = re.search(r"^# (.+) and (\w+) are examples:", file.read_text(), re.MULTILINE)
    assert named is not None
    examples = {*named[1].split(", "), named[2]}
    found = load_settings(file, SERVICES[service])[service]
    assert examples <= found.keys()
    context = documents.contexts()[f"fabric-{service}"]
    usual = {one.name: one.get_default(context) for one in context.command.params}
    assert {key: found[key] for key in found.keys() - examples} == {
        key: usual[key] for key in found.keys() - examples
    }


@pytest.mark.parametrize("file", [*documents.DOCUMENTS, Path("docs/protocol.md")], ids=str)
def test_links_lead_somewhere(file: Path) -> None:
    """A page that is moved takes its readers along."""
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / file).read_text()):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        page = (ROOT / file).parent / name if name else ROOT / file
        assert page.exists(), f"{file}: {target}"
        if anchor:
            assert anchor in _anchors(page), f"{file}: {target}"


@pytest.mark.parametrize("file", documents.DOCUMENTS, ids=str)
def test_files_that_are_named_exist(file: Path) -> None:
    """A document that names what is gone was not read when the code was changed."""
    text = (ROOT / file).read_text()
    folders = "fabric|broker|agents|tests|scripts|configs|docs"
    for name in re.findall(rf"(?<![\w/-])(?:\./)?((?:{folders})/[\w./-]*[\w/])", text):
        if "NNNN" in name:  # a number to be filled in
            continue
        assert (ROOT / name).exists(), f"{file}: {name}"


def test_scripts_can_be_started() -> None:
    """A script without its bit fails for everybody but its author."""
    for file in [*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run"]:
        if file.is_file() and not file.suffix:
            assert os.access(file, os.X_OK), file


def test_decisions_are_listed_in_their_order() -> None:
    """Numbers without gaps or doubles; the index names each with its title."""
    folder = ROOT / "docs" / "adr"
    files = sorted(folder.glob("[0-9]*.md"))
    assert [int(file.name[:4]) for file in files] == list(range(1, len(files) + 1))
    index = (folder / "README.md").read_text()
    for file in files:
        number, title = re.fullmatch(r"# (\d{4})\. (.+)", file.read_text().splitlines()[0]).groups()
        assert f"- [{number}]({file.name}) {title}\n" in index


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
