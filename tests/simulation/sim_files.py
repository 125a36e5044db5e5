"""What an agent does by itself, and what dies with it: transfers of files, looks whether a step is ready."""

from functools import partial
from typing import TYPE_CHECKING

from agents.effects import Bring, Effect, Look, StopTransfer, Transfer
from agents.executor import Executor
from tests.simulation.world import MS

if TYPE_CHECKING:
    from tests.simulation.sim_agent import SimAgent


class SimFiles:
    """Of one life of an agent."""

    def __init__(self, agent: "SimAgent") -> None:
        self.agent, self.world, self.life = agent, agent.world, agent.life
        self._transfers: dict[str, bool] = {}  # that are under way, and whether for metrics

    def do(self, effect: Effect) -> None:
        """Begin what an executor asks for; the answer comes later."""
        random = self.world.random
        match effect:
            case Look(key):
                what = "it listens" if random.random() < 0.3 else ""
                self._answer(1 * MS, key, partial(self._looked, key, what))
            case Transfer(key) | Bring(key):
                self._transfers[key] = isinstance(effect, Bring)
                self._answer(random.randint(1, 300) * MS, key, partial(self._moved, key, stopped=False))
            case StopTransfer(key):
                self._answer(1 * MS, key, partial(self._moved, key, stopped=True))
            case _:
                raise AssertionError(effect)

    @staticmethod
    def _looked(key: str, what: str, executor: Executor, now_ns: int) -> list[Effect]:
        return executor.looked(key, what, "nothing", now_ns)

    def _moved(self, key: str, executor: Executor, now_ns: int, *, stopped: bool) -> list[Effect]:
        is_brought = self._transfers.pop(key, None)
        if is_brought is None:
            return []
        if is_brought:
            return executor.brought(key, now_ns)
        return executor.transferred(key, stopped, "", now_ns)

    def _answer(self, delay_ns: int, key: str, call: "partial[list[Effect]]") -> None:
        agent, life = self.agent, self.life

        def event() -> None:
            if agent.alive and agent.life == life:
                agent.tell(key.split("|", maxsplit=1)[0], call)

        self.world.after(delay_ns, event)
