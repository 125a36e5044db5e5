"""All nodes of a run are reserved or none."""

from broker.reservations import Reservation, Reservations

SINCE = Reservation("20260301-102207-ping-k3f9", "ann", 1_772_360_527_000_000_000)
OTHER = Reservation("20260301-110000-other-aaaa", "bob", 1_772_362_800_000_000_000)


def test_a_busy_node_is_told_with_its_run_its_operator_and_since_when() -> None:
    """Two people who want one node must find each other."""
    table = Reservations()
    assert table.reserve(["lab1", "lab2"], SINCE) == ""
    sentence = table.reserve(["lab2", "lab3"], OTHER)
    assert sentence == (
        "lab2 is in use by run 20260301-102207-ping-k3f9 of ann since 2026-03-01 10:22:07 UTC"
    )


def test_nothing_is_reserved_where_one_node_is_busy() -> None:
    """Half a reservation would block others for nothing."""
    table = Reservations()
    table.reserve(["lab2"], SINCE)
    table.reserve(["lab1", "lab2"], OTHER)
    assert table.holder("lab1") == ""


def test_a_run_may_reserve_its_nodes_again() -> None:
    """A request is repeated until it is answered."""
    table = Reservations()
    table.reserve(["lab1"], SINCE)
    assert table.reserve(["lab1"], SINCE) == ""


def test_released_nodes_are_free_and_others_are_not() -> None:
    """The end of one run must not touch another."""
    table = Reservations()
    table.reserve(["lab1"], SINCE)
    table.reserve(["lab2"], OTHER)
    table.release(SINCE.run)
    table.release(SINCE.run)
    assert (table.holder("lab1"), table.holder("lab2")) == ("", OTHER.run)
