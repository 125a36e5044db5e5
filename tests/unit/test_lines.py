"""Lines come out whole, however their bytes come in."""

from agents.lines import LINE_BYTES, Lines


def test_a_line_that_comes_in_pieces_is_seen_whole_and_streams_do_not_mix() -> None:
    """What was there of it before may come too: a prompt has no end."""
    lines = Lines()
    assert list(lines.take("stdout", b"one\ntw")) == ["one", "tw"]
    assert list(lines.take("stderr", b"x\n")) == ["x"]
    assert list(lines.take("stdout", b"o\n\n")) == ["two"]
    assert lines.last == "two"


def test_letters_that_are_cut_are_put_together_and_bytes_that_are_none_are_replaced() -> None:
    """A chunk ends where it likes; a program writes what it likes."""
    lines = Lines()
    found = [line for byte in "höre\n".encode() for line in lines.take("stdout", bytes([byte]))]
    assert found[-1] == "höre"
    assert list(lines.take("stdout", b"\xff!\r\n")) == ["\N{REPLACEMENT CHARACTER}!"]


def test_a_line_without_end_takes_no_more_memory_than_a_long_one() -> None:
    """Some programs write megabytes of dots."""
    lines = Lines()
    for _ in range(100):
        found = list(lines.take("stdout", b"." * 5000))
        assert all(len(line) <= LINE_BYTES for line in found)
    assert len(lines.last) <= LINE_BYTES
