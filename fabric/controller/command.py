"""PURE.  One command on some nodes, as a run: one phase with one step, and nothing to reset."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from fabric.controller.effects import Effect
from fabric.controller.outcome import result_of, result_text
from fabric.controller.plan import NodeSteps, RunPlan
from fabric.controller.run import Run
from fabric.controller.script import LEFT
from fabric.errors import UsageError
from fabric.protocol.limits import MAX_TEXT_BYTES, STEP_TIMEOUT_S
from fabric.protocol.messages import Step
from fabric.protocol.names import StepId
from fabric.trial.cells import Cell, Repeat
from fabric.trial.model import Trial, TrialStep
from fabric.trial.variables import NodeAddresses, own_variables, repeat_variable

NAME: Final = "exec"
PHASE: Final = "run"
ROLE: Final = "node"
LABEL: Final = "command"
STEP: Final = str(StepId(1, PHASE, ROLE, LABEL))

GRACE_S: Final = 5.0
"""Between TERM and KILL."""

LEAVE_NS: Final = 15_000_000_000
"""Whoever hurries waits so long for the nodes: their grace, and time to ship what they have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is executed, and how."""

    argv: tuple[str, ...]
    timeout_s: float = STEP_TIMEOUT_S
    user: str = ""  # "": the agent's own

    @classmethod
    def of(cls, words: Sequence[str], timeout_s: float = STEP_TIMEOUT_S, user: str = "") -> "Command":
        """Take words as they stand; a single one with a space in it is a line for the shell.

        Raises:
            UsageError: If the first one, the program, is empty.
        """
        if not words or not words[0].strip():
            raise UsageError("the command is empty", hint="like: fabric exec lab1 -- uname -a")
        argv = ("/bin/sh", "-c", words[0]) if len(words) == 1 and " " in words[0].strip() else tuple(words)
        return cls(argv=argv, timeout_s=timeout_s, user=user)


class CommandPlan(RunPlan):
    """The same step for all nodes, but for the variables that say which node it is."""

    def _make(self, repeat: Repeat, phase: str) -> NodeSteps:
        if phase != PHASE:
            return dict.fromkeys(self.nodes, ())
        step = self._step(repeat)
        return {
            node: (replace(step, env=step.env | self._variables(node, index, repeat)),)
            for index, node in enumerate(self.nodes)
        }

    def _variables(self, node: str, index: int, repeat: Repeat) -> dict[str, str]:
        """Return a node's own.  Those of the role are left out: each node would get the addresses of all."""
        own = own_variables(self.trial, self.trial.steps[0], node, index, self.addresses)
        return own | repeat_variable(repeat)

    def reset_alone(self, cell: Cell) -> NodeSteps:
        """Return nothing: there is no reset."""
        return dict.fromkeys(self.nodes, ())

    def describe(self, step: str, node: str) -> str:
        """Return the node: there is but one step, and no file with a line of it."""
        return node

    def _step(self, repeat: Repeat) -> Step:
        step = self.trial.steps[0]
        return Step(
            step=str(StepId(repeat.number, PHASE, ROLE, LABEL)),
            verb="cmd",
            argv=step.argv,
            env={"PYTHONUNBUFFERED": "1"},  # or nobody would see the output of Python programs live
            dir=None,
            timeout_s=step.timeout_s,
            at_s=None,
            ok=step.ok,
            on_fail=step.on_fail,
            when=step.when,
            signal=step.signal,
            grace_s=step.grace_s,
            user=step.user,
        )


class CommandRun(Run):
    """The run of one command: there is no bundle, so it can end before all that it reports has been read."""

    _leave_ns: int | None = None  # then it is left, whatever the nodes say

    def hurry(self, now_ns: int) -> list[Effect]:
        """Go by what the nodes say of themselves from now on, and by what is read at the end of the log."""
        self.desk.passes_over = True
        self._leave_ns = now_ns + LEAVE_NS
        if self._phase is not None and self._phase.state == "running":
            return self._free(now_ns)
        if self._ending is not None:
            self._ending.hurry(now_ns)
        return self._go_on([], now_ns)

    @property
    def deadline_ns(self) -> int | None:
        """When `expire` has something to do."""
        times = (super().deadline_ns, self._leave_ns)
        return None if self.state == "over" else min((at for at in times if at is not None), default=None)

    def expire(self, now_ns: int) -> list[Effect]:
        """Say again, give up on nodes; leave if those that were told to end need too long."""
        if self._leave_ns is not None and now_ns >= self._leave_ns and self.state != "over":
            self.findings.add("interrupted", LEFT.format(lease_s=self._lease_s))
            return self._over()
        return super().expire(now_ns)


def command_run(
    *,
    run: str,
    nodes: Sequence[str],
    command: Command,
    lease_s: float,
    addresses: Mapping[str, NodeAddresses] | None = None,
) -> CommandRun:
    """Return the run of one command: one phase, and no reset, for nothing is known that would undo it.

    Raises:
        UsageError: If the command is too long for a message.
    """
    trial = command_trial(nodes, command)
    size = len(trial.text.encode("utf-8", "surrogateescape"))
    if size > MAX_TEXT_BYTES:
        raise UsageError(
            f"the command and its nodes have {size} bytes as a trial, over the limit of {MAX_TEXT_BYTES}",
            hint="put it into a script, and `put` that with a trial",
        )
    plan = CommandPlan(
        trial=trial,
        addresses=addresses or {},
        phases=(PHASE, "reset"),
        repeats=(Repeat(Cell(0, {}), 1, is_warmup=False, phases=(PHASE,)),),
        roles={0: trial.roles},
        takes_dirty=True,  # a person may clean up by it
    )
    return CommandRun(
        run=run,
        plan=plan,
        lease_s=lease_s,
        document=json.dumps(_document(trial, command)),
        result=lambda made: result_text(result_of(made)),
    )


def command_trial(nodes: Sequence[str], command: Command) -> Trial:
    """Return a trial of one command on some nodes, or on what specs of them mean."""
    step = TrialStep(
        phase=PHASE,
        role=ROLE,
        label=LABEL,
        line=6,
        verb="cmd",
        argv=command.argv,
        env={},
        dir=None,
        timeout_s=command.timeout_s,
        at_s=None,
        until=None,
        ok=(0,),
        on_fail="continue",
        when="passed",
        signal=15,
        grace_s=GRACE_S,
        user=command.user,
    )
    return Trial(
        path="fabric exec",
        text=_text(nodes, command),
        name=NAME,
        repeat=1,
        timeout_s=None,
        max_skew_s=None,
        lead_s=None,
        on_lost="stop",
        roles={ROLE: tuple(nodes)},
        steps=(step,),
        phases=(PHASE, "reset"),
    )


def _text(nodes: Sequence[str], command: Command) -> str:
    """Return a trial that does the same: who wants to keep the command can begin with it."""
    user = f", user = {json.dumps(command.user)}" if command.user else ""
    words = json.dumps(list(command.argv))
    return (
        f'[trial]\nname = "{NAME}"\n[nodes]\n{ROLE} = {json.dumps(list(nodes))}\n[{PHASE}]\n'
        f'{ROLE} = {{ cmd = {words}, timeout = "{command.timeout_s:g}s"{user} }}\n'
    )


def _document(trial: Trial, command: Command) -> dict[str, object]:
    return {
        "format": 1,
        "trial": {"name": NAME, "file": trial.path},
        "repeats": 1,
        "phases": [PHASE],
        "roles": {ROLE: list(trial.roles[ROLE])},
        "steps": [
            {"phase": PHASE, "role": ROLE, "step": LABEL, "argv": list(command.argv), "user": command.user}
        ],
    }
