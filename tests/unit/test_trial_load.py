"""What a right file becomes, and that a wrong one never becomes anything but a TrialError."""

import contextlib
import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.protocol.limits import STEP_TIMEOUT_S
from fabric.tomltext import Excess, excess_of
from fabric.trial.diagnostics import TrialError
from fabric.trial.keys import STEP_KEYS, TRIAL_KEYS
from fabric.trial.layout import MAX_STEPS
from fabric.trial.load import load_trial, parse_trial
from fabric.trial.model import Trial, TrialStep
from fabric.trial.problems import MAX_NOTED
from fabric.trial.roles import MAX_ROLES
from fabric.trial.tables import INNER_TABLES, CheckTable
from fabric.trial.vocabulary import MAX_ROLE_CHARS, PHASES

ROOT = Path(__file__).parents[2]
TEXTS = [file.read_text() for file in sorted((ROOT / "configs" / "trials").glob("*.toml"))]
HEAD = '[trial]\nname = "t"\n[nodes]\nserver = "lab1"\nclient = "lab[2-3]"\n'


def trial(body: str = '[run]\nclient = "true"\n', head: str = HEAD) -> Trial:
    return parse_trial(head + body, "t.toml")


def only_step(body: str) -> TrialStep:
    (step,) = trial(body).steps
    return step


def codes(body: str, head: str = HEAD) -> list[str]:
    with pytest.raises(TrialError) as raised:
        trial(body, head)
    return [one.code for one in raised.value.diagnostics]


def test_the_settings_have_their_defaults() -> None:
    """The shortest trial is a name, a node and a command."""
    short = trial()
    assert (short.name, short.repeat, short.on_lost) == ("t", 1, "stop")
    assert (short.timeout_s, short.max_skew_s, short.lead_s) == (None, None, None)
    assert short.roles == {"server": ("lab1",), "client": ("lab[2-3]",)}
    assert [one.code for one in short.warnings] == ["W004"], "`server` has no step"


def test_the_settings_are_read() -> None:
    """Every key of [trial] that this version has."""
    full = trial(
        head='[trial]\nname = "full-1"\nrepeat = 5\ntimeout = "1h30m"\nmax_skew = "20ms"\nlead = "0.5s"\n'
        'on_lost = "continue"\nformat = 1\n[nodes]\nclient = ["a", "b[08-10]"]\n'
    )
    assert (full.name, full.repeat, full.on_lost) == ("full-1", 5, "continue")
    assert (full.timeout_s, full.max_skew_s, full.lead_s) == (5400.0, 0.02, 0.5)
    assert full.roles == {"client": ("a", "b[08-10]")}


def test_a_cmd_has_its_defaults() -> None:
    """As docs/trial-format.md lists them."""
    step = only_step('[[run.client]]\ncmd = "echo $server"')
    assert step == TrialStep(
        phase="run",
        role="client",
        label="client-1",
        line=6,
        verb="cmd",
        argv=("/bin/sh", "-c", "echo $server"),
        env={},
        dir=None,
        timeout_s=STEP_TIMEOUT_S,
        at_s=None,
        until=None,
        ok=(0,),
        on_fail="stop",
        when="passed",
        signal=15,
        grace_s=5.0,
    )


def test_every_modifier_is_read() -> None:
    """A modifier that is accepted and then forgotten would be worse than an error."""
    step = only_step(
        '[[collect.client]]\nspawn = ["a b", "c"]\nname = "x"\nat = "0s"\nenv = { A = "" }\ndir = "/tmp"\n'
        'ok = [0, 3]\non_fail = "continue"\nwhen = "failed"\nsignal = "INT"\ngrace = "0s"\n'
    )
    assert (step.label, step.verb, step.argv, step.at_s) == ("x", "spawn", ("a b", "c"), 0.0)
    assert (step.env, step.dir, step.ok) == ({"A": ""}, "/tmp", (0, 3))
    assert (step.on_fail, step.when, step.signal, step.grace_s) == ("continue", "failed", 2, 0.0)
    assert (step.until, step.timeout_s) == ("reset", None)
    assert step.command == "'a b' c"


@pytest.mark.parametrize(
    ("phase", "until"), [("startup", "collect"), ("run", "collect"), ("collect", "reset")]
)
def test_a_spawned_step_ends_by_itself_in_the_documented_phase(phase: str, until: str) -> None:
    """Nothing that was spawned may outlive the run, whatever its author forgot."""
    assert only_step(f'[{phase}]\nclient = {{ spawn = "sleep 9" }}').until == until


def test_reset_runs_always() -> None:
    """It cleans up above all after a failure."""
    assert only_step('[reset]\nclient = "rm x"').when == "always"
    assert only_step('[reset]\nclient = { cmd = "rm x", when = "failed" }').when == "failed"


@pytest.mark.parametrize(
    "body",
    [
        '[[run.client]]\ncmd = "a"\n[[run.client]]\ncmd = "b"\ntimeout = "3s"',
        '[run]\nclient = ["a", { cmd = "b", timeout = "3s" }]',
        'run.client = ["a", { cmd = "b", timeout = "3s" }]',
        '[run]\nclient = [\n  "a",  # the first\n  { cmd = "b", timeout = "3s" },\n]',
    ],
)
def test_the_forms_of_a_phase_mean_the_same(body: str) -> None:
    """The short form is a convenience, not another language."""
    text = f"{body}\n{HEAD}" if body.startswith("run.") else HEAD + body  # a dotted key stands at the top
    steps = parse_trial(text, "t.toml").steps
    assert [(step.label, step.argv[2], step.timeout_s) for step in steps] == [
        ("client-1", "a", STEP_TIMEOUT_S),
        ("client-2", "b", 3.0),
    ]


def test_steps_come_phase_by_phase() -> None:
    """The file may be in any order; a role's steps keep theirs."""
    body = '[reset]\nserver = "z"\n[run]\nclient = ["b", "c"]\nserver = "d"\n[startup]\nserver = "a"\n'
    assert [step.argv[2] for step in trial(body).steps] == ["a", "b", "c", "d", "z"]


def test_a_message_at_run_time_points_to_the_step() -> None:
    """An error during a run is looked for in the file that was run."""
    read = trial('[run]\nclient = [\n  "true",\n  "false",\n]\n')
    step = read.step("run", "client", "client-2")
    assert read.describe(step, "lab3") == "t.toml:9: run/client step client-2 on lab3"
    with pytest.raises(KeyError):
        read.step("run", "client", "client-3")


def test_lines_may_end_as_on_windows() -> None:
    """TOML allows it, and an editor may have done it."""
    text = HEAD + '[run]\nclient = """\na\nb"""\n'
    read = parse_trial(text.replace("\n", "\r\n"), "t.toml")
    assert read.steps == parse_trial(text, "t.toml").steps
    assert read.text == text.replace("\n", "\r\n")


def test_an_unknown_name_in_a_command_is_a_warning() -> None:
    """The node may well set it; but a typo in `$server` is an empty word at run time."""
    read = trial('[run]\nclient = "echo $severr $HOME $server $my_name $client_all"\n')
    assert [(one.code, one.line, one.col, one.end_col) for one in read.warnings] == [("W001", 7, 16, 23)]
    assert not any(one.is_error for one in read.warnings)


def test_a_name_in_a_list_is_a_warning() -> None:
    """A list is executed as it stands; that `$server` stays `$server` surprises everybody once."""
    assert [one.code for one in trial('[run]\nclient = { cmd = ["echo", "$server"] }').warnings] == ["W002"]
    for shell in ('"sh", "-c"', '"/bin/bash", "-e", "-c"', '"env", "A=1", "dash", "-c"'):
        assert trial(f'[run]\nclient = {{ cmd = [{shell}, "echo $server"] }}').warnings == ()
    assert len(trial('[run]\nclient = { cmd = ["ping", "-c", "3", "$server"] }').warnings) == 1


def test_the_longest_role_leaves_room_for_the_name_of_a_step() -> None:
    """The name that a step gets has to be one that the wire takes."""
    role = "r" * MAX_ROLE_CHARS
    body = f"[run]\n{role} = {['true'] * MAX_STEPS}\n"
    assert len(trial(body, f'[trial]\nname = "t"\n[nodes]\n{role} = "lab1"\n').steps) == MAX_STEPS


def test_the_number_of_steps_has_a_limit() -> None:
    """Each becomes part of a message to every node."""
    body = f"[run]\nclient = {['true'] * (MAX_STEPS + 1)}\n"
    assert codes(body) == ["E022"]


def test_the_number_of_roles_has_a_limit() -> None:
    """Each adds two variables to the environment of every command."""
    roles = "".join(f'r{number} = "lab1"\n' for number in range(MAX_ROLES + 1))
    assert codes('[run]\nr1 = "true"\n', f'[trial]\nname = "t"\n[nodes]\n{roles}') == ["E022"]


def test_the_same_name_in_two_phases_is_no_clash() -> None:
    """The bundle keeps the phases apart."""
    assert (
        len(
            trial(
                '[run]\nclient = { cmd = "a", name = "x" }\n[collect]\nserver = { cmd = "a", name = "x" }'
            ).steps
        )
        == 2
    )


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 5000,
        "x = " + "1" * 5000,
        "[a" * 3000,
        "a." * 100_000 + "b = 1",
        "x = {'a' . " * 9 + "'a' . " * 9000,
    ],
)
def test_a_monstrous_text_is_refused(text: str) -> None:
    """Deep nesting and huge numbers end in errors of Python, not of TOML."""
    with pytest.raises(TrialError):
        parse_trial(text, "t.toml")


@pytest.mark.parametrize("depth", [33, 500, 60_000])
@pytest.mark.parametrize(("opening", "closing", "width"), [("[", "]", 1), ("{a=", "}", 3), ("[\n", "]", 0)])
def test_what_nests_too_deeply_is_told_where_it_does(
    depth: int, opening: str, closing: str, width: int
) -> None:
    """A parser ends at its stack's end without a place, and finding places took longer than anybody waits."""
    text = "[trial]\nname = 't'\n[matrix]\nv = " + opening * depth + "1" + closing * depth
    with pytest.raises(TrialError) as caught:
        parse_trial(text, "t.toml")
    line, col = (4, 5 + 32 * width) if width else (36, 1)
    where = f"t.toml:{line}:{col}: error[E010]"
    assert str(caught.value).splitlines()[0] == f"{where}: lists and tables nest more than 32 deep"


def test_brackets_in_texts_and_comments_do_not_nest() -> None:
    """A regular expression may have as many as it likes; so may a trial of forty tables."""
    body = "".join(f"\n[t{number}] # [[[\na = '[[['\nb = [[1], [2]]" for number in range(40))
    text = body + '\nc = """' + "[" * 40 + '"""'
    assert excess_of(text) is None
    assert excess_of(text.replace("'[[['", "[" * 40)) == Excess(
        "lists and tables nest more than 32 deep", 3, 37, 38, "a = " + "[" * 40
    )


@pytest.mark.parametrize(
    "text", ['"""' + '\\"""\n' * 13_000, 'a = "' + '\\"' * 32_000, "'" + "''\n" * 20_000]
)
def test_strings_that_do_not_end_are_looked_for_once(text: str) -> None:
    """Each quote may look like the begin of one up to the end: 20 s, with the square of their number."""
    before_s = time.process_time()
    assert excess_of(text) is None
    assert time.process_time() - before_s < 2.0
    assert excess_of(text + "\na = " + "[" * 40) is not None


def test_so_many_errors_are_not_collected_for_ever() -> None:
    """A file of another kind is refused within a second or two, not minutes."""
    assert set(codes(f"[run]\nclient = {[3] * 80_000}\n")) == {"E016"}
    body = "[run]\nclient = '" + " ".join(f"$a{number}" for number in range(MAX_NOTED * 2)) + "'\n"
    assert len(trial(body).warnings) == MAX_NOTED
    assert "E013" in codes(body + "[more]\n")


def test_a_lone_surrogate_is_refused() -> None:
    """Such a text cannot be sent, nor written to the bundle."""
    with pytest.raises(TrialError, match="E003"):
        parse_trial('[trial]\nname = "\ud800"', "t.toml")


@given(st.text())
def test_any_text_is_a_trial_or_an_error(text: str) -> None:
    """The reader faces whatever a person saves under the name trial.toml."""
    with contextlib.suppress(TrialError):
        parse_trial(text, "t.toml")


PIECES = [
    "[run]",
    "[[run.client]]",
    "{",
    "}",
    "[",
    "]",
    '"',
    "'''",
    "=",
    "\n",
    "\\",
    "$x",
    "cmd",
    "spawn",
    "7",
    "client",
]


@given(st.sampled_from([*TEXTS, HEAD]), st.randoms(use_true_random=False), st.integers(1, 6))
def test_a_damaged_trial_is_a_trial_or_an_error(text: str, chance: random.Random, wounds: int) -> None:
    """Nearly right texts reach deeper than arbitrary ones."""
    for _ in range(wounds):
        start = chance.randrange(len(text) + 1)
        text = text[:start] + chance.choice(["", *PIECES]) + text[start + chance.randrange(12) :]
    with contextlib.suppress(TrialError):
        parse_trial(text, "t.toml")


KEYS = [
    *("trial", "nodes", "matrix", "env", "check", *PHASES, *TRIAL_KEYS, *STEP_KEYS, *CheckTable.model_fields),
    *(field.alias or key for table in INNER_TABLES.values() for key, field in table.model_fields.items()),
    *("client", "x y", "lost", "A"),
]
VALUES = st.recursive(
    st.sampled_from(
        [
            '"true"',
            '"lab1"',
            '"3s"',
            "3",
            "-1",
            "0.5",
            "true",
            "00:05:00",
            "1979-05-27",
            '""',
            "[]",
            "{}",
            "nan",
            '"(1)"',
            '"2 MB"',
            '"95%"',
            '["run"]',
            '["A", "client"]',
            "{ A = { regex = '(1)' } }",
        ]
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=3).map(
            lambda table: "{" + ", ".join(f"{key!r} = {value}" for key, value in table.items()) + "}"
        ),
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6))
def test_any_value_at_any_key_is_right_or_an_error(document: dict[str, str]) -> None:
    """Every key is checked against every type that TOML has."""
    text = "".join(f"{key!r} = {value}\n" for key, value in document.items())
    with contextlib.suppress(TrialError):
        parse_trial(text, "t.toml")


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=5))
def test_a_step_of_any_shape_is_right_or_an_error(table: dict[str, Any]) -> None:
    """As above, below a right [trial] and [nodes], so that the steps are reached."""
    step = "".join(f"{key!r} = {value}\n" for key, value in table.items())
    with contextlib.suppress(TrialError):
        trial(f"[[run.client]]\n{step}")


@given(
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4),
    st.dictionaries(st.sampled_from(["A", "client", "x y"]), VALUES, max_size=3),
    st.sampled_from(["matrix", "env", "check", "check.A"]),
)
def test_settings_and_sections_of_any_shape_are_right_or_an_error(
    settings: dict[str, Any], section: dict[str, Any], name: str
) -> None:
    """As above, for all that is no step."""
    lines = "".join(f"{key!r} = {value}\n" for key, value in settings.items())
    body = "".join(f"{key!r} = {value}\n" for key, value in section.items())
    step = "[[run.client]]\nspawn = 'x'\nmetric.A.regex = '(1)'\n"
    with contextlib.suppress(TrialError):
        trial(f"[{name}]\n{body}{step}", HEAD.replace('name = "t"\n', f"name = 't'\n{lines}"))


def test_several_files_may_go_into_one_directory() -> None:
    """A place that ends in `/` is one for many: only the same name in it would be lost."""
    (step,) = trial('[run]\nclient = { put = { "x/a" = "all/", "x/b" = "all/" } }').steps
    assert [one.target for one in step.put] == ["all/", "all/"]
    with pytest.raises(TrialError, match="to the same place, `all/a`"):
        trial('[run]\nclient = { put = { "x/a" = "all/", "y/a" = "all/" } }')


@pytest.mark.parametrize(
    "file", sorted((ROOT / "configs" / "trials").glob("*.toml")), ids=lambda one: one.stem
)
def test_the_examples_load_without_a_warning(file: Path) -> None:
    """They are what a newcomer copies."""
    example = load_trial(file)
    assert (example.name, example.warnings) == (file.stem, ())
