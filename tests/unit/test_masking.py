"""Secrets in what programs write: found wherever the stream is cut, and nothing else is changed."""

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.journal.masked_transfer import MaskedTransfer, mask_tails
from agents.journal.masking import TOKEN, Mask, Masker

SECRET = "hunter2-hunter2"
TEXTS = st.text("ab*", max_size=40)
SECRETS = st.lists(st.text("ab", min_size=6, max_size=9), min_size=1, max_size=3)


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut a stream at these places."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


@given(TEXTS, SECRETS, st.lists(st.integers(0, 60), max_size=8))
def test_the_cuts_of_a_stream_make_no_difference(text: str, secrets: list[str], cuts: list[int]) -> None:
    """A pipe gives what it has; a secret that is torn between two reads is one all the same."""
    mask, data = Mask(secrets), text.encode()
    masker = Masker(mask)
    got = b"".join([masker.feed(piece) for piece in in_pieces(data, cuts)]) + masker.finish()
    assert got == mask.mask(data)
    assert not any(secret.encode() in got for secret in secrets)
    assert len(got) <= len(data)


@given(st.text("cd", max_size=40), SECRETS, st.lists(st.integers(0, 60), max_size=8))
def test_what_is_no_secret_stays(text: str, secrets: list[str], cuts: list[int]) -> None:
    """Masking must not eat output, also not at the end of a stream."""
    masker, data = Masker(Mask(secrets)), text.encode()
    assert b"".join([masker.feed(piece) for piece in in_pieces(data, cuts)]) + masker.finish() == data


def test_overlapping_secrets_leave_nothing_of_each_other() -> None:
    """Where one begins within another, neither's rest is shown."""
    mask = Mask(["abcdefgh", "ghijklmn"])
    assert mask.mask(b"<abcdefghijklmn>") == b"<***>"
    masker = Masker(mask)
    assert masker.feed(b"<abcdefgh") + masker.feed(b"ijklmn>") + masker.finish() == b"<***>"


def test_a_secret_is_known_in_the_forms_in_which_programs_print_it() -> None:
    """JSON, URLs and the lines of a key are how secrets get into logs."""
    mask = Mask(['p"ss/wörd\\', "-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----\n"])
    for text in ('p"ss/wörd\\', 'p\\"ss/wörd\\\\', 'p\\"ss/w\\u00f6rd\\\\', "p%22ss%2Fw%C3%B6rd%5C"):
        assert mask.mask_text(f"<{text}>") == "<***>", text
    assert mask.mask_text("line: MIIEvQIBADAN\r\n") == "line: ***\r\n"


def test_a_held_back_begin_is_let_out_at_the_end() -> None:
    """A program may end in what looks like the begin of a secret; that is its output."""
    masker = Masker(Mask([SECRET]))
    assert masker.feed(b"the hunt") == b"the "
    assert masker.finish() == b"hunt"


def test_the_end_of_a_secret_whose_begin_was_lost_is_masked() -> None:
    """The agent was killed in the middle of it; what its launcher has drained begins there."""
    masker = Masker(Mask([SECRET]), after_loss=True)
    assert masker.feed(b"hunter2 and on") == b"*** and on"


@pytest.mark.parametrize("lost", range(1, len(SECRET) - 3))
@pytest.mark.parametrize("cut", range(len(SECRET)))
def test_what_is_left_of_a_secret_may_come_in_pieces(lost: int, cut: int) -> None:
    """A program that writes letter by letter is read letter by letter by the next agent."""
    masker = Masker(Mask([SECRET]), after_loss=True)
    rest = SECRET[lost:].encode() + b" and on"
    assert masker.feed(rest[:cut]) + masker.feed(rest[cut:]) + masker.finish() == b"*** and on"


def test_the_middle_of_a_secret_behind_a_loss_is_masked_though_nothing_follows() -> None:
    """Its program was killed with its agent; of some letters nobody can tell."""
    for text, left in ((SECRET[2:-2].encode(), b"***"), (SECRET[1:3].encode(), SECRET[1:3].encode())):
        masker = Masker(Mask([SECRET]), after_loss=True)
        assert masker.feed(text) + masker.finish() == left


def test_a_pipe_is_moved_into_the_file_without_secrets(tmp_path: Path) -> None:
    """Offsets count what is in the file, and the end of the stream lets out what was kept back."""
    source, sink = os.pipe()
    path = tmp_path / "spool"
    transfer = MaskedTransfer(Mask([SECRET]))
    with path.open("wb") as target:
        os.write(sink, b"a hunter2-")
        assert transfer.move(source, target.fileno(), 0, 1000) == 2
        assert transfer.move(source, target.fileno(), 2, 1000) is None
        os.write(sink, b"hunter2 b hunt")
        os.close(sink)
        assert transfer.move(source, target.fileno(), 2, 4) == 4  # in pieces: a limit on what is kept
        assert transfer.move(source, target.fileno(), 6, 1000) == 6
        assert transfer.move(source, target.fileno(), 12, 1000) == 0
    os.close(source)
    assert path.read_bytes() == b"a *** b hunt"


def test_what_is_thrown_away_is_masked_too() -> None:
    """It is looked at for the line that shows a step ready, which is told."""
    source, sink = os.pipe()
    transfer = MaskedTransfer(Mask([SECRET]))
    os.write(sink, f"ready {SECRET}\n".encode())
    assert transfer.discard(source, 1000) == b"ready ***\n"
    assert transfer.discard(source, 1000) is None
    os.close(sink)
    assert transfer.discard(source, 1000) == b""
    os.close(source)


def test_a_launchers_tail_is_masked_before_it_is_shipped(tmp_path: Path) -> None:
    """The launcher knows no secrets; twice does no harm, for the agent may die in between."""
    tail = tmp_path / "1+run+a+b.1.stdout.tail"
    tail.write_bytes(f"x{SECRET}y".encode() * 3)
    for _ in range(2):
        mask_tails(tmp_path, Mask([SECRET]))
        assert tail.read_bytes() == b"x" + TOKEN + b"yx" + TOKEN + b"yx" + TOKEN + b"y"
    assert list(tmp_path.iterdir()) == [tail]
