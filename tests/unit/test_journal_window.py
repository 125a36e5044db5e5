from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agents.journal.window import Window


class WindowMachine(RuleBasedStateMachine):
    """The window against the plainest model: a list of sizes and two positions in it."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.sent = self.acknowledged = self.reached = 0

    @initialize(limit_bytes=st.integers(1, 50), limit_records=st.integers(1, 5))
    def begin(self, limit_bytes: int, limit_records: int) -> None:
        self.window = Window(limit_bytes, limit_records)

    @rule(size=st.integers(0, 20))
    def append(self, size: int) -> None:
        self.sizes.append(size)
        assert self.window.append(size) == len(self.sizes)

    @precondition(lambda self: self.sent < len(self.sizes))
    @rule()
    def send(self) -> None:
        size = self.sizes[self.sent]
        in_flight = self.sizes[self.acknowledged : self.sent]
        fits = sum(in_flight) + size <= self.window.limit_bytes and len(in_flight) < self.window.limit_records
        assert self.window.fits(1, size) == (fits or not in_flight)
        if self.window.fits(1, size):
            self.sent += 1
            self.reached = max(self.reached, self.sent)
            assert self.window.send(size) == self.sent

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, self.reached))
        self.window.acknowledge(number)
        self.acknowledged = max(self.acknowledged, number)
        self.sent = max(self.sent, self.acknowledged)

    @rule(number=st.integers(-1, 30))
    def rewind(self, number: int) -> None:
        self.window.rewind(number)
        self.sent = min(self.sent, max(self.acknowledged, number - 1))

    @invariant()
    def agree(self) -> None:
        if not hasattr(self, "window"):
            return
        window = self.window
        assert (window.acknowledged, window.sent, window.reached, window.appended) == (
            self.acknowledged,
            self.sent,
            self.reached,
            len(self.sizes),
        )
        assert window.unacknowledged_bytes == sum(self.sizes[self.acknowledged :])
        assert window.in_flight_bytes == sum(self.sizes[self.acknowledged : self.sent])
        assert window.is_shipped == (self.acknowledged == len(self.sizes))


TestWindow = WindowMachine.TestCase


def test_a_record_that_is_larger_than_the_window_can_be_sent_alone() -> None:
    """Else a single large record would stop a run for ever."""
    window = Window(limit_bytes=10, limit_records=10)
    window.append(1)
    window.append(11)

    window.send(1)
    assert not window.fits(1, 11)
    window.acknowledge(1)
    assert window.fits(1, 11)


def test_an_acknowledgement_that_overtakes_a_rewind_is_not_sent_again() -> None:
    """The sink's resend and its acknowledgement may cross: what is stored needs no second way."""
    window = Window(limit_bytes=100, limit_records=10)
    for _ in range(4):
        window.append(1)
        window.send(1)

    window.rewind(2)
    window.acknowledge(3)

    assert window.sent == 3
    assert window.in_flight_bytes == 0
