"""docs/events.md names every event and each of its fields."""

import re
import typing
from pathlib import Path

import pytest

from fabric.protocol.records import Record
from fabric.report.events import SILENT, _own_fields

TEXT = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
EVERYWHERE = {"node", "attempt", "cell", "repeat"}


@pytest.mark.parametrize("record", typing.get_args(Record), ids=lambda record: record.kind)
def test_every_field_of_an_event_is_documented(record: type) -> None:
    """Scripts are written from the document; a field that it does not have may as well not be there."""
    kind = record.kind  # type: ignore[attr-defined]
    if issubclass(record, SILENT):
        assert f"`{kind}`" not in TEXT
        return
    (row,) = re.findall(rf"^\| `{kind}` \|.*$", TEXT, re.MULTILINE)
    keys = {name.removesuffix("_ns") for name in _own_fields(record)} - EVERYWHERE
    assert {key for key in keys if f"`{key}`" not in row} == set()
