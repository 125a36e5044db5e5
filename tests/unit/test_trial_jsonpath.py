"""Paths into JSON, as metrics have them."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.trial.jsonpath import PathError, look_up, parse, write

DOCUMENT = json.loads('{"a": {"b c": [1, {"p(95)": 2}]}, "n": null, "x": {"0": 3}}')


@pytest.mark.parametrize(
    ("text", "parts", "value"),
    [
        ("a", ("a",), DOCUMENT["a"]),
        ('a."b c"[0]', ("a", "b c", 0), 1),
        ('a."b c"[-1]."p(95)"', ("a", "b c", -1, "p(95)"), 2),
        ('a."b c"[1].p(95)', ("a", "b c", 1, "p(95)"), 2),
        ("x.0", ("x", "0"), 3),
        ("n", ("n",), None),
    ],
)
def test_a_path_leads_to_a_value(text: str, parts: tuple[str | int, ...], value: Any) -> None:
    """Keys of real programs have spaces and brackets in them."""
    assert parse(text) == parts
    assert look_up(DOCUMENT, parts) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("b.c", "there is no b"),
        ("a.b", "there is no a.b"),
        ('a."b c"[2]', r'a."b c"\[2\]'),
        ("a[0]", r"a\[0\]"),
        ("n.x", "n.x"),
    ],
)
def test_it_is_said_how_far_a_path_leads(text: str, message: str) -> None:
    """A metric that is not found is a failure of the run; this is what the person needs then."""
    with pytest.raises(LookupError, match=message):
        look_up(DOCUMENT, parse(text))


@pytest.mark.parametrize(
    ("text", "offset"),
    [("", -1), ("$.a", 0), (".a", 0), ("a..b", 2), ("a.", 1), ("a[x]", 1), ('a "b"', 1), ("a]", 1)],
)
def test_a_wrong_path_says_where(text: str, offset: int) -> None:
    """The caret stands below that character."""
    with pytest.raises(PathError) as raised:
        parse(text)
    assert raised.value.offset == offset


@given(st.lists(st.one_of(st.text(min_size=1, max_size=5), st.integers(-9, 9)), min_size=1, max_size=4))
def test_what_is_written_is_read_again(parts: list[str | int]) -> None:
    """Any key of any document can be named."""
    assert parse(write(tuple(parts))) == tuple(parts)


@given(st.text('ab."[]0-\\ $', max_size=10))
def test_any_text_is_a_path_or_an_error(text: str) -> None:
    """The reader faces whatever a person writes."""
    with contextlib.suppress(PathError):
        assert parse(write(parse(text))) == parse(text)
