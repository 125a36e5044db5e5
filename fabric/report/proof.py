"""Where the order of two nodes' lines is not proven, for their clocks are not known well enough."""

from collections.abc import Iterable, Iterator

from fabric.report.ordering import Stage
from fabric.report.timeline import Line


class Proven:
    """Marks the lines that may in truth belong before one of another node above them.

    That is where the two are closer than the sum of their bounds.  Lines of one node stay in their order
    whatever its clock does, and those of the run itself tell what has come before them: neither is marked.
    """

    def __init__(self, order: Stage) -> None:
        self._order = order
        self._first: tuple[int, str] = (0, "")  # the latest instant of the lines above, and whose
        self._second_ns = 0  # ... the latest of any other node

    @property
    def deadline_ns(self) -> int | None:
        """When the order has something to give out."""
        return self._order.deadline_ns

    def take(self, lines: Iterable[Line], now_ns: int) -> Iterator[Line]:
        """Yield what can go out now, marked."""
        yield from map(self._marked, self._order.take(lines, now_ns))

    def finish(self) -> Iterator[Line]:
        """Yield what is left, marked."""
        yield from map(self._marked, self._order.finish())

    def _marked(self, line: Line) -> Line:
        if not line.nodes or line.is_loss:
            return line
        node = line.nodes[0]
        bound_ns = max(0, line.bound_ns)
        above_ns = self._second_ns if self._first[1] == node else self._first[0]
        self._note(line.t_ns + bound_ns, node)
        is_open = line.bound_ns < 0 or line.t_ns - bound_ns < above_ns
        return line._replace(is_open=is_open and above_ns > 0)

    def _note(self, latest_ns: int, node: str) -> None:
        if node == self._first[1]:
            self._first = (max(latest_ns, self._first[0]), node)
        elif latest_ns > self._first[0]:
            self._first, self._second_ns = (latest_ns, node), self._first[0]
        else:
            self._second_ns = max(self._second_ns, latest_ns)
