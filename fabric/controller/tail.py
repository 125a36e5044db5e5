"""Reads one run over a connection, to its present end or as long as it goes on."""

from collections.abc import Iterable

from fabric.controller.connection import Connection
from fabric.controller.entry import Entry, Read
from fabric.controller.reader import Ask, Effect, RunReader
from fabric.errors import ConnectionRefused, FabricError
from fabric.protocol.limits import REPLAY_BYTES
from fabric.protocol.messages import Beacon, Denied, Message, ReplayEnd, RunInfo, Welcome


class RunTail:
    """Gives out a run's records turn by turn; goes on by itself after a break where it was."""

    def __init__(
        self,
        connection: Connection,
        info: RunInfo,
        *,
        number: int = 1,
        follow: bool = False,
        limit_bytes: int = REPLAY_BYTES,
        skim: bool = False,
    ) -> None:
        """Attach to the connection.

        Args:
            connection: An open one; it serves this tail from now on.
            info: The run, as the broker has just described it.
            number: Of the first record that is wanted.
            follow: Read until the run is over, not only to its present end.
            limit_bytes: Most bytes that the broker is asked for at once.
            skim: Do without the bytes of output.
        """
        self._connection = connection
        self._reader = RunReader(
            info.run, number=number, requests=connection.numbers, limit_bytes=limit_bytes
        )
        if skim:
            self._reader.skim()
        self._follow = follow and info.state == "open"
        # Of a run that is over the number is that of its end; a node that came back later has told more.
        self._last = info.last if info.state == "open" else None
        self._reads: list[Read] = []
        self._heard_ns = connection.now_ns()  # of the run, or that nothing was asked
        if self._follow:
            connection.subscribe(info.run)
        connection.attach(self)

    @property
    def next(self) -> int:
        """Number of the record that is given out next."""
        return self._reader.next

    @property
    def done(self) -> bool:
        """Whether all that was wanted has been given out."""
        if self._reads:
            return False
        if self._reader.complete:
            return True
        is_past = self._last is not None and self._reader.next > self._last
        return not self._follow and (is_past or self._reader.caught_up)

    def turn(self, deadline_ns: int | None = None) -> list[Read]:
        """Wait for records until the deadline; return those that came, perhaps none.

        Raises:
            ConnectionRefused: If the broker is away for too long.
            FabricError: If the broker does not give out the run.
        """
        self._connection.turn(_earliest(deadline_ns, self._reader.deadline_ns))
        now_ns = self._connection.now_ns()
        self._carry_out(self._reader.expire(now_ns))
        reads, self._reads = self._reads, []
        if reads or not self._reader.is_asking:
            self._heard_ns = now_ns
        elif now_ns - self._heard_ns >= self._connection.patience_s * 1e9:
            url, long = self._connection.url, f"for {self._connection.patience_s:g} s"
            raise ConnectionRefused(
                f"the broker at {url} answers, but gives out nothing of run {self._reader.run} {long}",
                hint="its disk may be slow or away; its log says more",
            )
        return reads

    def on_up(self, _welcome: Welcome, now_ns: int) -> None:
        """Ask for what follows the last record that was read."""
        self._carry_out(self._reader.connected(now_ns))

    def on_down(self, _sentence: str, _now_ns: int) -> None:
        """Wait for the connection to come back."""
        self._reader.disconnected()

    def on_entry(self, entry: Entry, now_ns: int) -> None:
        """Take records of the feed or of a replay."""
        self._carry_out(self._reader.entry(entry, now_ns))

    def on_message(self, message: Message, now_ns: int) -> None:
        """Take what else the broker says of the run."""
        if isinstance(message, ReplayEnd):
            self._carry_out(self._reader.replay_end(message, now_ns))
        elif isinstance(message, Beacon) and message.run == self._reader.run:
            self._carry_out(self._reader.beacon(message, now_ns))
        elif isinstance(message, Denied):
            raise _denial(self._reader.run, message)

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Ask):
                self._connection.send(effect.replay)
            else:
                self._reads += effect.reads


def _denial(run: str, denied: Denied) -> FabricError:
    """Return what to say when the rest of a run cannot be read."""
    if denied.code == "unknown_run":
        return FabricError(f"run {run} is not in the store any more: somebody has removed it")
    return FabricError(f"the rest of run {run} cannot be read: {denied.sentence}")


def _earliest(*deadlines_ns: int | None) -> int | None:
    return min((deadline_ns for deadline_ns in deadlines_ns if deadline_ns is not None), default=None)
