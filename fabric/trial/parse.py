"""The text of a trial.toml to a `Trial`, or everything that is wrong with it."""

from collections.abc import Mapping
from typing import Any, Final

from fabric.protocol.limits import MAX_TEXT_BYTES
from fabric.tomltext import excess_of
from fabric.trial.checks import read_checks
from fabric.trial.diagnostics import TrialError
from fabric.trial.environment import read_env
from fabric.trial.keys import split_keys
from fabric.trial.layout import find_steps, note_idle, note_unused
from fabric.trial.matrix import check_cells, read_matrix
from fabric.trial.metrics import check_metrics
from fabric.trial.model import Trial, TrialStep
from fabric.trial.positions import Positions
from fabric.trial.problems import Problems
from fabric.trial.references import ReferenceChecker
from fabric.trial.roles import check_roles, read_roles
from fabric.trial.secrets import LookSecret, check_secrets
from fabric.trial.settings import EXAMPLE, Order, part, read_order, read_settings
from fabric.trial.steps import read_steps
from fabric.trial.syntax import read_toml
from fabric.trial.tables import MAX_PHASES, TrialTable
from fabric.trial.transfers import Look
from fabric.trial.vocabulary import LATER_SECTIONS, PHASES, SETTING_SECTIONS, variables_of
from fabric.trial.wholefile import at_start, too_large, too_much, whole_file

_BOM: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"


def parse_trial(
    text: str, path: str, look: Look | None = None, look_secret: LookSecret | None = None
) -> Trial:
    """Return the trial that a text describes.

    Args:
        text: Of the file.
        path: As diagnostics and messages shall name the file.
        look: Says what is wrong with a file beside the trial that a put names; None: not to be looked at.
        look_secret: Says why a secret cannot be had; None: not to be looked for.

    Raises:
        TrialError: If anything is wrong with it; it has every error and warning, each at its place.
    """
    lines = _checked_text(text, path)
    problems = Problems(path, Positions(lines))
    document = read_toml(lines, problems)
    trial = None if document is None else _build(document, text, look, look_secret, problems)
    if trial is None or problems.any_errors:
        raise TrialError(problems.found)
    return trial


def _checked_text(text: str, path: str) -> str:
    """Return the text with lines that end in LF, if it can be a trial at all."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:  # a lone surrogate
        raise whole_file(path, "E003", f"not Unicode text: {error.reason}") from None
    if size > MAX_TEXT_BYTES:
        raise too_large(path)
    if text.startswith(_BOM):
        message, hint = "the file begins with a byte order mark", "save it as UTF-8 without BOM"
        raise at_start(path, "E004", message, hint)
    if not text.strip():
        raise whole_file(path, "E005", "the file is empty")
    text = text.replace("\r\n", "\n")
    if excess := excess_of(text):
        raise too_much(path, excess)
    return text


def _build(
    document: dict[str, Any],
    text: str,
    look: Look | None,
    look_secret: LookSecret | None,
    problems: Problems,
) -> Trial | None:
    order = read_order(document, problems)
    _check_sections(document, order, problems)
    roles = _roles(document, problems)
    matrix = read_matrix(document.get("matrix"), tuple(roles), problems)
    named = check_roles(document.get("nodes"), roles, matrix, problems)
    table = read_settings(document, matrix, problems)
    variables = (*variables_of(tuple(roles)), *matrix)
    env = read_env(document.get("env"), variables, problems)
    references = ReferenceChecker(variables, env, problems)
    references.check_env(document.get("env"))
    found = find_steps(document, order.phases, tuple(roles), problems)
    own = (((*step.where, "env"), step.table.get("env")) for step in found)
    check_secrets([(("env",), document.get("env")), *own], look_secret, problems)
    metrics = check_metrics(found, order, problems)
    steps = read_steps(found, named, order, references, look=look, problems=problems)
    checks = read_checks(document.get("check"), metrics, problems)
    if table is not None:
        check_cells(matrix, table.distinct, table.pairing, table.repeat + table.warmup, problems)
    if table is None or problems.any_errors:
        return None
    note_idle(document, order.phases, found, problems)
    note_unused(roles, found, text, problems)
    parts = {"roles": roles, "matrix": matrix, "env": env, "checks": checks}
    return _trial(table, order, steps=steps, parts=parts, text=text, problems=problems)


def _trial(
    table: TrialTable,
    order: Order,
    *,
    steps: tuple[TrialStep, ...],
    parts: Mapping[str, Any],
    text: str,
    problems: Problems,
) -> Trial:
    return Trial(
        path=problems.path,
        text=text,
        name=table.name,
        repeat=table.repeat,
        warmup=table.warmup,
        timeout_s=table.timeout,
        max_skew_s=table.max_skew,
        lead_s=table.lead,
        on_lost=table.on_lost,
        phases=order.phases,
        cycle=order.cycle,
        order=table.order,
        seed=table.seed,
        quorum=float(part(table.quorum)),
        distinct=tuple(table.distinct),
        pairing=tuple(table.pairing),
        network=table.network or "",
        output_limit_bytes=table.output_limit,
        steps=steps,
        warnings=tuple(problems.found),
        **parts,
    )


def _check_sections(document: Mapping[str, Any], order: Order, problems: Problems) -> None:
    if "trial" not in document:
        problems.missing("there is no [trial]", EXAMPLE)
    left_out = [phase for phase in PHASES if phase in document and phase not in order.phases]
    for phase in left_out:
        message = f"`{phase}` is not among the phases of this trial"
        problems.at_key((phase,), "E013", message, "add it to `phases` under [trial]")
    known = (*SETTING_SECTIONS, *order.phases)
    rest = {key: value for key, value in document.items() if key not in left_out}
    split_keys(rest, (), known, LATER_SECTIONS, problems)
    if not left_out and not any(phase in document for phase in order.phases):
        hint = 'write [run] and below it client = "command"'
        problems.missing("there is no phase: what is to be done?", hint)
    is_sound = not problems.any_errors and len(order.phases) <= MAX_PHASES + 1
    for index, phase in enumerate(order.phases if is_sound else ()):
        if phase not in document and phase not in PHASES:
            where = ("trial", "phases", index)
            problems.at_value(
                where, "W003", f"phase `{phase}` has no step", f"write [{phase}], or leave it out"
            )


def _roles(document: Mapping[str, Any], problems: Problems) -> dict[str, tuple[str, ...]]:
    if "nodes" in document:
        return read_roles(document["nodes"], problems)
    problems.missing("there is no [nodes]: who takes part?", 'write [nodes] and below it client = "lab1"')
    return {}
