"""How long the launcher works on without news."""

from agents.launcher.lease import Lease


def test_a_silent_agent_ends_the_lease_once() -> None:
    """The socket of a stopped agent stays open: only its silence tells."""
    lease = Lease(lease_ns=100, grace_ns=10, now_ns=0)
    lease.connected(5)
    lease.heard(50)
    assert lease.deadline_ns == 150
    assert not lease.expire(149)
    assert lease.expire(150)
    assert not lease.expire(1000)
    assert lease.deadline_ns is None


def test_an_agent_that_wakes_up_has_a_lease_again() -> None:
    """It may go on with new steps."""
    lease = Lease(lease_ns=100, grace_ns=10, now_ns=0)
    lease.connected(0)
    assert lease.expire(100)
    lease.heard(500)
    assert not lease.is_over
    assert lease.deadline_ns == 600


def test_without_an_agent_the_grace_counts() -> None:
    """From the start, if none ever comes, and from the end of the last one's connection."""
    lease = Lease(lease_ns=100, grace_ns=10, now_ns=0)
    assert lease.deadline_ns == 10
    lease.connected(5)
    lease.lost(60)
    assert lease.deadline_ns == 70
    assert not lease.expire(69)
    assert lease.expire(70)


def test_an_agent_within_the_grace_keeps_the_steps_alive() -> None:
    """This is how an agent is upgraded under a running step."""
    lease = Lease(lease_ns=100, grace_ns=10, now_ns=0)
    lease.lost(0)
    lease.connected(9)
    assert not lease.expire(10)


def test_a_silent_agent_that_dies_leaves_a_new_grace() -> None:
    """Its successor may come, although the lease had ended before."""
    lease = Lease(lease_ns=100, grace_ns=10, now_ns=0)
    lease.connected(0)
    assert lease.expire(100)
    lease.lost(200)
    assert lease.deadline_ns == 210
    assert lease.expire(210)


def test_a_launcher_that_has_stood_still_begins_the_lease_anew_once() -> None:
    """With the machine, so that the agent could not speak either; but a lease does end."""
    second = 1_000_000_000
    lease = Lease(lease_ns=15 * second, grace_ns=10 * second, now_ns=0)
    lease.connected(0)
    assert not lease.expire(40 * second)
    assert lease.deadline_ns == 55 * second
    assert lease.expire(80 * second)
    lease.heard(81 * second)
    assert not lease.expire(120 * second), "the next time counts anew"
    lease.lost(121 * second)
    assert lease.expire(131 * second + 1)
