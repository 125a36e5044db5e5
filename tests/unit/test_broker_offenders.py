"""Who says what is no message is not listened to for a while, and then again."""

from broker.limits import PENALTY_NS
from broker.offenders import _KEPT, Offenders


def test_an_offender_is_out_for_a_while() -> None:
    """The moment before, the moment itself; a second offence begins it anew."""
    offenders = Offenders()
    assert not offenders.is_out("bad", 5)
    offenders.offended("bad", 5)
    assert offenders.is_out("bad", 5 + PENALTY_NS - 1)
    assert not offenders.is_out("bad", 5 + PENALTY_NS)
    assert not offenders.is_out("good", 5)
    offenders.offended("bad", 9)
    assert offenders.is_out("bad", 9 + PENALTY_NS - 1)


def test_as_many_are_remembered_as_there_are_nodes() -> None:
    """Each connection of a viewer is one of its own: memory must not grow with them."""
    offenders = Offenders()
    offenders.offended("first", 1)
    for number in range(_KEPT):
        offenders.offended(str(number), 1)
    assert not offenders.is_out("first", 1)
    assert offenders.is_out("0", 1)
