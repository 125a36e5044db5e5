"""What the kernel says of its clock: asked, never changed."""

from agents.facts import kernel_clock
from agents.kernel_clock import in_words, read_kernel_clock
from fabric.protocol.codec import decode, encode
from fabric.protocol.messages import Beat, KernelClock, NodeClock


def test_the_kernel_says_something_that_fits_a_message() -> None:
    """Units and fields of the structure are those of this kernel: wrong ones would be absurd at once."""
    found = read_kernel_clock()
    assert found is not None
    assert 0 <= found.maxerror_ns <= 10**15
    assert abs(found.frequency_ppb) <= 500_000, "the kernel allows no more"
    assert abs(found.tick_ppb) <= 100_000_000
    clock = NodeClock(
        epoch=1, told_ns=0, asked_ns=0, offset_ns=0, bound_ns=0, rtt_ns=0, wall_ns=0, contradictions=0,
        kernel=found,
    )  # fmt: skip
    assert decode(encode(Beat(clock=clock))) == Beat(clock=clock)


def test_it_is_asked_only() -> None:
    """Two readings in a row agree on what only a daemon changes."""
    first, second = read_kernel_clock(), read_kernel_clock()
    assert first is not None
    assert second is not None
    assert (first.frequency_ppb, first.tick_ppb) == (second.frequency_ppb, second.tick_ppb)


def test_it_is_a_fact_of_the_node() -> None:
    """And how wrong a clock may be that nobody tells the time is not worth saying."""
    assert set(kernel_clock()) == {"kernel_clock"}
    fields = {"esterror_ns": 0, "frequency_ppb": 0, "tick_ppb": 0, "status": 0}
    synchronised = KernelClock(synchronised=True, maxerror_ns=1_500_000, **fields)
    assert in_words(synchronised) == "synchronised, off by 1.500 ms at most"
    alone = KernelClock(synchronised=False, maxerror_ns=16 * 10**9, **fields)
    assert in_words(alone) == "not synchronised"
    assert in_words(None) == ""
