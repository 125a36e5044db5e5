"""The Run when nodes that have nothing to do in a phase do not hear of its start in time."""

from fabric.protocol.messages import Prepare
from fabric.protocol.records import PhaseStarted
from tests.unit.run_lab import T0_NS, TRIAL, Lab, started

IDLE = TRIAL.replace('a = ["n1", "n2"]', 'a = "n1"\nb = "n2"')
LATE = {"n1": "n1 did not confirm the go in time"}


def aborted(trial: str, **words: int) -> Lab:
    """Return a run whose first go was taken back, too late for n1."""
    lab = Lab(trial)
    lab.open()
    lab.ready()
    lab.abort(LATE, started=("n1",), **words)
    return lab


def test_a_node_with_nothing_to_do_cannot_have_missed_a_start() -> None:
    """All have started that had something to start: on a busy machine every tenth short phase may be so."""
    lab = aborted(IDLE, t0_ns=T0_NS)
    assert [note.t0_ns for note in lab.notes if isinstance(note, PhaseStarted)] == [T0_NS]
    lab.read("n1", started("1/run/a/a-1", T0_NS))
    lab.finish("n1")
    assert (lab.phase, lab.verdict) == ("1/collect", "pass")
    assert {message.node for message in lab.told if isinstance(message, Prepare)} == {"n1", "n2"}


def test_a_node_with_something_to_do_has_missed_it() -> None:
    """Nothing of such a phase can be trusted."""
    assert aborted(TRIAL, t0_ns=T0_NS).verdict == "invalid"


def test_starts_of_several_instants_are_no_start() -> None:
    """The broker says no t0 then."""
    assert aborted(IDLE).verdict == "invalid"
