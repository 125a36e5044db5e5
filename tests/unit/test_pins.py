"""Fields cannot change under one number of the protocol."""

from typing import Any

import pytest

from scripts.pins import pins, stored, why_not


def form(version: int, is_record: bool = False, **fields: str) -> dict[str, Any]:
    return {
        "version": version,
        "classes": {"Word": {"kind": "word", "is_record": is_record, "fields": fields}},
    }


@pytest.mark.parametrize(
    "new",
    [
        {"a": "int", "b": "str, optional"},
        {"a": "int, optional"},
        {"a": "str"},
        {},
        {"b": "int"},
    ],
)
def test_any_other_field_needs_another_number(new: dict[str, str]) -> None:
    """Peers compare the number alone: what is not in it they find out word by word."""
    assert "raise PROTOCOL_VERSION" in why_not(form(2, a="int"), form(2, **new))
    assert "raise PROTOCOL_VERSION" in why_not(form(2, a="int"), form(1, **new))
    assert why_not(form(2, a="int"), form(3, **new)) == ""


def test_the_same_form_may_have_another_number() -> None:
    """The meaning of a field can change, too."""
    assert why_not(form(2, a="int"), form(2, a="int")) == ""
    assert why_not(form(2, a="int"), form(3, a="int")) == ""


def test_a_new_field_of_a_record_has_a_default() -> None:
    """Records are stored: those of before have to be read with the new number, too."""
    old = form(2, is_record=True, a="int")
    assert "Word.b needs a default" in why_not(old, form(3, is_record=True, a="int", b="str"))
    assert why_not(old, form(3, is_record=True, a="int", b="str, optional")) == ""


def test_what_is_pinned_is_the_present_form() -> None:
    """With the parts of messages, and the values that a field may have."""
    now = pins()
    assert stored() == now
    assert now["classes"]["NodeInfo"]["fields"]["state"].startswith("Literal['free'")
    assert now["classes"]["Batch"]["fields"]["records"] == "tuple[Record, ...]"
