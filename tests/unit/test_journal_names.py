from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.journal.ledger import StreamKey
from agents.journal.names import TAIL, journal_directory, parse_spool_name, spool_name
from fabric.errors import DecodeError, StoreError
from fabric.protocol.names import WORD

WORDS = st.from_regex(WORD, fullmatch=True)
STEPS = st.builds("{}/{}/{}/{}".format, st.integers(0, 10**6), WORDS, WORDS, WORDS)
KEYS = st.builds(StreamKey, STEPS, st.integers(1, 10**6), st.sampled_from(["stdout", "stderr"]))


@given(KEYS, st.integers(0, 1 << 62))
def test_a_spool_file_says_what_it_holds(key: StreamKey, offset: int) -> None:
    """After a death the name is all that tells whose bytes these are."""
    name = spool_name(key, offset)
    assert parse_spool_name(name) == (key, offset)
    assert "/" not in name
    assert len(name) <= 255
    assert parse_spool_name(spool_name(key, TAIL)) == (key, None)


@pytest.mark.parametrize(
    "run", ["", ".", "..", "../../etc", "20240101-000000-a-abcd/..", "20240101-000000-a-abcd\n"]
)
def test_a_run_id_cannot_lead_out_of_the_state_directory(run: str) -> None:
    """Run ids come from the wire."""
    with pytest.raises(StoreError, match="expected the id of a run"):
        journal_directory(Path("/state"), run, 1)


@pytest.mark.parametrize(
    "step", ["", "..", "1/run/../x", "1/run/a/b+c", "1/run/a", "x/run/a/b", "1/run/a/b\0"]
)
def test_a_step_that_is_none_gets_no_file(step: str) -> None:
    """Steps come from the wire as well."""
    with pytest.raises(DecodeError):
        spool_name(StreamKey(step, 1, "stdout"), 0)


@pytest.mark.parametrize(
    "name", ["x", "1+run+a+b.1.stdout", "1+run+a+b.1.stdin.0", "1+run+a.1.stdout.0", "1+run+a+b.1.stdout.-1"]
)
def test_other_files_are_left_alone(name: str) -> None:
    """Somebody may have put something there."""
    assert parse_spool_name(name) is None
