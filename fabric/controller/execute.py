"""Carries one command out on some nodes, over a connection that may serve many of them."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from fabric.controller.command import ROLE, STEP, Command, command_run, command_trial
from fabric.controller.connection import Connection
from fabric.controller.entry import Read
from fabric.controller.finding import LATE, Wait, await_back, find_nodes
from fabric.controller.lookup import list_nodes
from fabric.controller.runid import new_run_id
from fabric.controller.session import Outlet, Reluctance, Session
from fabric.controller.verdict import EXIT_CODES, Verdict
from fabric.errors import UsageError
from fabric.protocol.limits import LEASE_S
from fabric.protocol.records import StepFinished
from fabric.trial.cells import Cell
from fabric.trial.resolve import asks_free, asks_lab, resolve
from fabric.trial.shortage import LabError

Show = Callable[[Sequence[Read], int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """What a command came to."""

    run: str
    verdict: Verdict
    whys: tuple[str, ...]
    started: bool  # the nodes were to be had
    was_late: bool  # they were not: somebody else has one of them
    ends: Mapping[str, StepFinished]  # of each node that has told its end
    passes_over: bool  # after Ctrl-C not all was read

    @property
    def exit_code(self) -> int:
        """Of the command."""
        return EXIT_CODES[self.verdict]


def execute(
    connection: Connection,
    nodes: Sequence[str],
    command: Command,
    show: Show,
    *,
    show_deadline: Callable[[], int | None] = lambda: None,
    outlet: Outlet | None = None,
) -> Executed:
    """Reserve the nodes, execute the command on all of them at once, let them go.

    Args:
        connection: An open one; it can be used again afterwards.
        nodes: Their names.
        command: What to execute.
        show: Called with records as they are read (perhaps none), and the instant.
        show_deadline: Says when ``show`` is to be called though nothing was read.
        outlet: Where ``show`` writes; reading waits for it.
    """
    run = command_run(
        run=new_run_id("exec", time.time()),
        nodes=nodes,
        command=command,
        lease_s=LEASE_S,
        addresses={info.name: info.addresses for info in list_nodes(connection)},
    )
    reluctance = None if outlet is None else Reluctance(outlet, run.hurry)
    Session(connection, run, _showing(show), show_deadline, reluctance=reluctance).serve()
    connection.unsubscribe(run.run)
    return Executed(
        run=run.run,
        verdict=run.findings.verdict,
        whys=run.findings.whys,
        started=bool(run.nodes),
        was_late=run.denied in LATE,
        ends={node: end for (node, step, _), end in run.desk.history.finished.items() if step == STEP},
        passes_over=run.desk.passes_over,
    )


def nodes_for(connection: Connection, spec: str, wait: Wait) -> tuple[str, ...]:
    """Return the nodes that a spec means; the broker is asked only if names alone do not say it.

    With a wait it is asked until they are free.

    Raises:
        UsageError: If it is no spec.
        LabError: If the lab does not have them now.
    """
    trial, cells = command_trial([spec], Command(argv=("true",))), [Cell(0, {})]
    seed = secrets.randbits(32)
    told = replace(wait, tell=lambda why: wait.tell(_without_role(why)))
    try:
        if wait.limit_s or asks_lab(trial, cells) or asks_free(trial, cells):
            return find_nodes(connection, trial, cells, seed, told)[0].nodes
        nodes = resolve(trial, cells, None, seed).nodes
    except LabError as error:
        whys = [_without_role(why) for why in error.problems]
        raise LabError(whys, error.hint, may_come=error.may_come) from None
    except UsageError as error:
        raise UsageError(_without_role(str(error)), error.hint) from None
    await_back(connection, nodes, wait.tell)
    return nodes


def _without_role(sentence: str) -> str:
    """Return what is wrong with a spec of a command, of whose role nobody knows."""
    return sentence.removeprefix(f"role {ROLE}: ").removeprefix(f"nodes of role `{ROLE}`: ")


def _showing(show: Show) -> Callable[[Sequence[Read], int], tuple[()]]:
    """Return what a session calls: it asks for metrics, of which a command has none."""

    def shown(reads: Sequence[Read], now_ns: int) -> tuple[()]:
        show(reads, now_ns)
        return ()

    return shown
