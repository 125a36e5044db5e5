"""PURE.  A plan as text: every command of every cell, on which nodes, with its variables filled in."""

from collections.abc import Iterable, Iterator, Sequence
from signal import Signals
from typing import Final

from fabric.controller.plan import RunPlan
from fabric.protocol.limits import STEP_TIMEOUT_S
from fabric.report.fold import folded
from fabric.report.quantities import size
from fabric.trial.cells import Cell
from fabric.trial.drafts import Draft, Form, drafts, values_of
from fabric.trial.model import Trial, TrialStep
from fabric.trial.resolve import Roles
from fabric.trial.secrets import secret_variables
from fabric.trial.shelltext import with_values
from fabric.trial.variables import address, shared_variables

_GRACE_S: Final = 5.0
_NAMES_CHARS: Final = 60

Key = tuple[tuple[tuple[str, ...], str], ...]
"""What is done in a cell: for each step its nodes and its lines, with marks."""


def plan_text(plan: RunPlan, *, knows_addresses: bool) -> Iterator[str]:
    """Yield the lines of a plan; cells in which the same is done are told once.

    Args:
        plan: What is to be done.
        knows_addresses: Whether a broker has told the nodes' addresses; else names stand for them.
    """
    yield from _head(plan)
    yield from _nodes(plan, knows_addresses=knows_addresses)
    yield from _environment(plan)
    groups: dict[Key, list[Cell]] = {}
    texts = _Texts(plan)
    for cell in plan.cells:
        groups.setdefault(texts.key(cell), []).append(cell)
    for key, cells in groups.items():
        yield ""
        if plan.trial.matrix:
            yield from _heading(cells)
        yield from texts.lines(key)


# --- what holds for all cells -------------------------------------------------------------------------


def _head(plan: RunPlan) -> Iterator[str]:
    trial, cells = plan.trial, len(plan.cells)
    warmups = sum(repeat.is_warmup for repeat in plan.repeats) // cells
    counted = len(plan.repeats) // cells - warmups
    words = [_count(counted, "repeat")] + ([_count(warmups, "warm-up")] if warmups else [])
    sweep = " + ".join(words)
    cycle = [phase for phase in plan.phases if phase in trial.cycle]
    is_whole = cycle == list(plan.phases)
    if cells > 1 or trial.matrix:
        order = trial.order if is_whole or trial.order == "random" else "cell after cell"
        sweep = f"{_count(cells, 'cell')}, each {sweep}: {len(plan.repeats)} in all, {order}"
    yield f"{trial.name}  {trial.path}  {sweep}"
    once = "" if is_whole else f" (anew in each repeat: {', '.join(cycle) or 'none'})"
    yield f"phases  {', '.join(plan.phases)}{once}"
    if _is_by_chance(trial):
        drawn = (
            "" if trial.seed is not None else "; without a `seed` each run draws one, and may pick otherwise"
        )
        yield f"seed    {plan.seed}{drawn}"
    if trial.matrix:
        yield from _table("matrix", [(name, " ".join(values)) for name, values in trial.matrix.items()])


def _is_by_chance(trial: Trial) -> bool:
    return trial.order == "random" or any(" of " in text for texts in trial.roles.values() for text in texts)


def _nodes(plan: RunPlan, *, knows_addresses: bool) -> Iterator[str]:
    cells = list({id(roles): roles for roles in plan.roles.values()}.values())
    rows = []
    for role, texts in plan.trial.roles.items():
        specs = ", ".join(texts)
        same = len({roles[role] for roles in cells}) == 1
        nodes = folded(cells[0][role], limit=_NAMES_CHARS) if same else ""
        rows.append((role, specs if nodes in ("", specs) else f"{specs}: {nodes}"))
    yield from _table("roles", rows)
    for note in plan.notes:
        yield f"  {note}"
    if not knows_addresses:
        yield "addresses are not known without a broker: names stand for them"
        return
    network = plan.trial.network
    yield from _table("addresses", [(node, address(node, plan.addresses, network)) for node in plan.nodes])


def _environment(plan: RunPlan) -> Iterator[str]:
    roles: Roles = {
        role: nodes
        for role, nodes in plan.roles[plan.cells[0].number].items()
        if all(other[role] == nodes for other in plan.roles.values())
    }
    shared = shared_variables(plan.trial, Cell(0, {}), roles, plan.addresses)
    named = [role for role in plan.trial.roles if role not in roles]
    rows = [("PYTHONUNBUFFERED", "1"), *shared.items(), *plan.trial.env.items()]
    yield from _table("environment", rows)
    of_cell = [*(name for role in named for name in (role, f"{role}_all")), *plan.trial.matrix]
    if of_cell:
        yield f"  of each cell: {', '.join(of_cell)}"
    yield "  of each node: me, my_name, my_role, my_index; of each repeat: repeat"
    if secrets := _secrets(plan):
        yield from _table("secrets", secrets)


def _secrets(plan: RunPlan) -> list[tuple[str, str]]:
    """Return the names of secrets, each with the nodes that are told it."""
    told: dict[str, dict[str, None]] = {}
    for step in plan.trial.steps if plan.trial.env or any(step.env for step in plan.trial.steps) else ():
        for name in secret_variables(plan.trial, step).values() if step.phase in plan.phases else ():
            nodes = (node for roles in plan.roles.values() for node in roles[step.role])
            told.setdefault(name, {}).update(dict.fromkeys(nodes))
    return [(name, f"for {folded(tuple(nodes), limit=_NAMES_CHARS)}") for name, nodes in told.items()]


def _table(title: str, rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    if rows:
        yield title
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        yield f"  {name.ljust(width)}  {text}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


# --- the cells ----------------------------------------------------------------------------------------


def _heading(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield the numbers of some cells, and the values that they have in common."""
    same = {
        name: value
        for name, value in cells[0].variables.items()
        if all(cell.variables[name] == value for cell in cells)
    }
    numbers = (
        f"cell {cells[0].number}" if len(cells) == 1 else f"cells {_ranges([cell.number for cell in cells])}"
    )
    yield "  ".join([numbers, *(f"{name}={value}" for name, value in same.items())])


def _ranges(numbers: Sequence[int]) -> str:
    """Return numbers in few words: ``1-3,7``."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in found)


class _Texts:
    """The lines of the steps.  What does not depend on the cell is made once."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan
        self._steps = [step for step in plan.trial.steps if step.phase in plan.phases]
        self._heads = [_modifiers(plan, step) for step in self._steps]
        self._folded: dict[tuple[str, ...], str] = {}

    def key(self, cell: Cell) -> Key:
        """Return what is done in a cell."""
        made = drafts(self._plan.trial, cell, self._plan.roles[cell.number], self._plan.addresses)
        found = {(draft.source.phase, draft.source.label): (draft.nodes, _lines(draft)) for draft in made}
        return tuple(found.get((step.phase, step.label), ((), "")) for step in self._steps)

    def lines(self, key: Key) -> Iterator[str]:
        """Yield what is done, phase by phase."""
        phase = ""
        for step, head, (nodes, text) in zip(self._steps, self._heads, key, strict=True):
            if not nodes:
                continue
            if step.phase != phase:
                phase = step.phase
                yield f"  {phase}"
            yield "  ".join([f"    {step.role}/{step.label}", self._names(nodes), *head])
            yield from self._commands(step, nodes, text)

    def _commands(self, step: TrialStep, nodes: tuple[str, ...], text: str) -> Iterator[str]:
        form = Form(text)
        if form.is_same:
            yield from (f"      {line}" for line in text.split("\n"))
            return
        groups: dict[str, list[str]] = {}
        plan = self._plan
        for values in values_of(step, nodes, plan.addresses, plan.trial.network):
            groups.setdefault(form.fill(values), []).append(values[1])
        names = [self._names(tuple(members)) if len(groups) > 1 else "" for members in groups.values()]
        width = max(map(len, names)) + 2 if len(groups) > 1 else 0
        for name, filled in zip(names, groups, strict=True):
            first, *rest = filled.split("\n")
            yield f"      {name.ljust(width)}{first}"
            yield from (f"      {' ' * width}{line}" for line in rest)

    def _names(self, nodes: tuple[str, ...]) -> str:
        if len(nodes) == 1:
            return nodes[0]
        if nodes not in self._folded:
            self._folded[nodes] = folded(nodes)
        return self._folded[nodes]


def _lines(draft: Draft) -> str:
    """Return what a step does on a node, with marks: its command, and what else has names in it."""
    source, step, env = draft.source, draft.step, draft.step.env
    lines: list[str] = []
    if step.argv[:2] == ("/bin/sh", "-c"):
        lines += with_values(step.argv[2], env).rstrip("\n").split("\n")
    elif step.argv:
        lines.append(source.command)
    lines += [f"put {put.source} as {put.target or put.source}" for put in source.put]
    if step.paths:
        lines.append(f"fetch {' '.join(step.paths)}")
    if source.stop:
        lines.append(f"stop {source.stop}")
    if source.verb == "wait":
        lines.append(f"wait {_seconds(step.wait_s)}")
    return "\n".join(lines + list(_more(draft)))


def _more(draft: Draft) -> Iterator[str]:
    source, step = draft.source, draft.step
    if step.dir is not None:
        yield f"in {step.dir}"
    for name in source.env:
        yield f"with {name}={step.env.get(name, source.env[name])}"
    if step.stdin is not None:
        yield f"input {source.stdin!r:.80}"
    if step.stdin_file:
        yield f"input from {step.stdin_file}"
    if step.ready is not None:
        ready = step.ready
        conditions = (
            (f"port {ready.port} listens", ready.port is not None),
            (f"its output matches {ready.log}", ready.log),
            (f"{ready.file} is there", ready.file),
            (f"`{' '.join(ready.cmd[2:] or ready.cmd)}` succeeds", ready.cmd),
        )
        what = next(text for text, is_set in conditions if is_set)
        yield f"ready when {what}, within {_seconds(ready.within_s)}"
    for file in step.bring:
        yield f"bring {file}"


def _modifiers(plan: RunPlan, step: TrialStep) -> list[str]:
    """Return what is unusual about a step, in few words."""
    at = f"at {_seconds(step.at_s or 0)}" if step.at_s or step.spread_s else ""
    retries = f"{step.attempts} attempts" + (" also after a failure" if step.retry_on == "fail" else "")
    usual_when = "always" if step.phase == plan.phases[-1] else "passed"
    limits = ", ".join(f"{name} {_limit(name, value)}" for name, value in step.limits.items())
    words: Iterable[tuple[str, object]] = (
        (f"spawned until {' or '.join(plan.ends(step))}", step.verb == "spawn"),
        (at + (f", spread over {_seconds(step.spread_s)}" if step.spread_s else ""), at),
        (f"timeout {_seconds(step.timeout_s or 0)}", step.timeout_s and step.timeout_s != STEP_TIMEOUT_S),
        (f"when {step.when}", step.when != usual_when),
        (f"ok {' '.join(map(str, step.ok))}", step.ok != (0,)),
        ("may exit", step.may_exit),
        ("on failure continue", step.on_fail == "continue"),
        (retries, step.attempts > 1),
        (f"user {step.user}", step.user),
        ("on a terminal", step.pty),
        (f"limits {limits}", limits),
        ("output may be dropped", step.output == "drop"),
        (f"ends by {Signals(step.signal).name}", step.signal != Signals.SIGTERM),
        (f"grace {_seconds(step.grace_s)}", step.grace_s != _GRACE_S and step.verb in ("cmd", "spawn")),
        (f"metrics {' '.join(metric.name for metric in step.metrics)}", step.metrics),
    )
    return [text for text, is_said in words if is_said]


def _limit(name: str, value: int) -> str:
    """Return a limit with its unit, if what it limits has one."""
    if name == "cpu":
        return _seconds(value)
    return size(value) if name in ("memory", "file_size", "core") else str(value)


def _seconds(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 or not seconds else f"{seconds * 1000:g} ms"
