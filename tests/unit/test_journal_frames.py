from hypothesis import given
from hypothesis import strategies as st

from agents.journal.frames import bodies, frame

BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


def test_a_file_that_is_cut_anywhere_gives_every_whole_frame_and_no_other() -> None:
    """A death in the middle of a write leaves a torn end; nothing before it may be lost."""
    wanted = [b"a", b"bc" * 20, b"\x00" * 9, b"end"]
    data = b"".join(map(frame, wanted))
    ends = [end for end, _ in bodies(data)]

    for cut in range(len(data) + 1):
        whole = sum(end <= cut for end in ends)
        assert [body for _, body in bodies(data[:cut])] == wanted[:whole]


@given(BODIES, st.binary(max_size=64))
def test_frames_come_back_and_zeros_behind_them_do_not(wanted: list[bytes], start: bytes) -> None:
    """A file system that lost power leaves zeros where blocks were promised."""
    data = start + b"".join(map(frame, wanted)) + bytes(100)
    assert [body for _, body in bodies(data, len(start))] == wanted


@given(BODIES.filter(bool), st.data())
def test_a_changed_bit_is_seen(wanted: list[bytes], data: st.DataObject) -> None:
    """What is sent from the journal is not checked again by anybody before it is stored."""
    good = b"".join(map(frame, wanted))
    bit = data.draw(st.integers(0, len(good) * 8 - 1))
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8

    got = [body for _, body in bodies(bytes(bad))]
    assert got == wanted[: len(got)]
    assert len(got) < len(wanted)
