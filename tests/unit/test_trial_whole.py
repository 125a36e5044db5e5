"""What each part of the format becomes in the model."""

from typing import Any

import pytest

from fabric.trial.diagnostics import TrialError
from fabric.trial.model import CheckSpec, MetricSpec, PutSource, ReadyCondition, Trial, TrialStep
from fabric.trial.parse import parse_trial
from fabric.trial.stops import find_spawned

NODES = '[nodes]\nserver = "lab1"\nclient = "lab[2-3]"\n'
RUN = '[run]\nclient = "true $server"\n'


def trial(body: str = RUN, settings: str = "") -> Trial:
    return parse_trial(f'[trial]\nname = "t"\n{settings}\n{NODES}{body}', "t.toml")


def only_step(keys: str, phase: str = "run") -> TrialStep:
    (step,) = trial(f"[[{phase}.client]]\n{keys}\n").steps
    return step


def codes(body: str, settings: str = "") -> list[str]:
    with pytest.raises(TrialError) as raised:
        trial(body, settings)
    return [one.code for one in raised.value.diagnostics]


def test_all_settings_reach_the_model() -> None:
    """A setting that is read and then forgotten would be worse than an error."""
    full = trial(
        '[matrix]\na = "lab[1-2]"\nb = ["lab1", "lab2"]\n' + RUN,
        'warmup = 2\nseed = 7\nquorum = "95%"\ndistinct = ["a", "b"]\npairing = ["b", "a"]\n'
        'order = "random"\n'
        'network = "test"\noutput_limit = "100 MB"\n',
    )
    assert (full.warmup, full.seed, full.quorum, full.order) == (2, 7, 0.95, "random")
    assert (full.distinct, full.pairing) == (("a", "b"), ("b", "a"))
    assert (full.network, full.output_limit_bytes) == ("test", 100_000_000)
    assert full.matrix == {"a": ("lab1", "lab2"), "b": ("lab1", "lab2")}


def test_the_defaults_are_those_of_the_model() -> None:
    """Other makers of trials, an importer say, get the same."""
    short = trial()
    given = {name: getattr(short, name) for name in ("path", "text", "name", "repeat", "roles", "steps")}
    none = dict.fromkeys(("timeout_s", "max_skew_s", "lead_s"))
    assert short == Trial(**given, **none, on_lost="stop")


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        ('cmd = "x"\nspread = "30s"', {"spread_s": 30.0, "at_s": None}),
        ('cmd = "x"\nretries = 2\nretry_on = "fail"', {"attempts": 3, "retry_on": "fail"}),
        ('spawn = "x"\nmay_exit = true', {"may_exit": True}),
        ('cmd = "x"\nuser = "nobody"\npty = true', {"user": "nobody", "pty": True}),
        ('cmd = "x"\nstdin = "a"', {"stdin": "a", "stdin_file": ""}),
        ('cmd = "x"\nstdin = ""', {"stdin": "", "stdin_file": ""}),
        ('cmd = "x"\nstdin = { file = "/x/$me" }', {"stdin": None, "stdin_file": "/x/$me"}),
        ('cmd = "x"\noutput = "drop"', {"output": "drop"}),
        (
            'cmd = "x"\nlimits = { memory = "2 GiB", files = 9, cpu = "1500ms", core = "0 B" }',
            {"limits": {"memory": 2 << 30, "files": 9, "cpu": 2, "core": 0}},
        ),
        ('spawn = "x"\nready.port = 80', {"ready": ReadyCondition(port=80)}),
        (
            'spawn = "x"\nready = { log = "up", within = "5s" }',
            {"ready": ReadyCondition(log="up", within_s=5.0)},
        ),
        ('spawn = "x"\nready.cmd = "a b"', {"ready": ReadyCondition(cmd=("/bin/sh", "-c", "a b"))}),
        ('spawn = "x"\nready.cmd = ["a", "b"]', {"ready": ReadyCondition(cmd=("a", "b"))}),
        ('spawn = "x"\nready.file = "$my_name"', {"ready": ReadyCondition(file="$my_name")}),
        ('wait = "5s"', {"verb": "wait", "wait_s": 5.0, "timeout_s": None, "argv": ()}),
        (
            'put = "a/b.sh"',
            {"verb": "put", "put": (PutSource(source="a/b.sh", target=None),), "timeout_s": 3600.0},
        ),
        (
            'put = ["a", "*.b"]',
            {"put": (PutSource(source="a", target=None), PutSource(source="*.b", target=None))},
        ),
        ('put = { "a" = "/x/$me" }', {"put": (PutSource(source="a", target="/x/$me"),)}),
        ('fetch = "*.log"\ntimeout = "9s"', {"verb": "fetch", "fetch": ("*.log",), "timeout_s": 9.0}),
        ('fetch = ["/a", "b/$me"]', {"fetch": ("/a", "b/$me")}),
    ],
)
def test_every_modifier_reaches_the_model(keys: str, values: dict[str, Any]) -> None:
    """In the units of the model."""
    step = only_step(keys)
    assert {name: getattr(step, name) for name in values} == values


def test_a_metric_reaches_the_model() -> None:
    """With its line, by which its failure is told."""
    step = only_step(
        """cmd = "x"
metric.rtt = { regex = '= (\\d+)', unit = "ms", better = "lower", across = "max" }
metric.sum = { file = "$me.json", json = 'a."b c"[-1]' }"""
    )
    rtt = MetricSpec(name="rtt", line=9, regex=r"= (\d+)", unit="ms", better="lower", across="max")
    assert step.metrics == (rtt, MetricSpec(name="sum", line=10, json='a."b c"[-1]', file="$me.json"))


def test_a_check_is_in_the_unit_of_its_metric() -> None:
    """What is compared later are plain numbers; what is shown is what the person wrote."""
    checked = trial(
        "[[run.client]]\ncmd = 'x'\nmetric.rate = { json = 'x', unit = 'bit/s' }\nmetric.lost.regex = '(1)'\n"
        "[check]\nlost.equals = 0\n[check.rate]\nmin = '9 Gbit/s'\nmax = 1e10\n"
    )
    assert checked.checks == (
        CheckSpec(metric="lost", kind="equals", line=12, limit=0.0, text="0"),
        CheckSpec(metric="rate", kind="min", line=14, limit=9e9, text="9 Gbit/s"),
        CheckSpec(metric="rate", kind="max", line=15, limit=1e10, text="10000000000 bit/s"),
    )


def test_values_of_the_matrix_are_texts() -> None:
    """They go into the environment, which has nothing else; in the order of the file."""
    body = '[matrix]\nz = [8, 1.5, true, "x y", 1e3, -0]\na = "lab[08-10]"\n' + RUN
    assert list(trial(body).matrix.items()) == [
        ("z", ("8", "1.5", "true", "x y", "1000.0", "0")),
        ("a", ("lab08", "lab09", "lab10")),
    ]


def test_variables_of_the_matrix_and_of_env_are_known_to_commands() -> None:
    """Nobody is warned of what is set."""
    body = '[matrix]\nn = [1]\n[env]\nE = "/tmp/$n"\n'
    body += '[[run.client]]\ncmd = "echo $n $E $server"\ndir = "/tmp/$n"\nenv = { F = "$E" }\n'
    known = trial(body)
    assert (known.env, known.warnings) == ({"E": "/tmp/$n"}, ())
    assert trial(body.replace('dir = "/tmp/$n"', 'dir = "$E/$F"')).warnings == ()
    assert codes(body.replace('"/tmp/$n"\n[[', '"$F"\n[[')) == ["E037"]  # not what a single step sets


def test_own_phases_have_their_order() -> None:
    """Steps come in it, a spawned step ends in a later one, and the reset is there unasked."""
    own = trial(
        '[b]\nclient = "b"\n[a]\nclient = { spawn = "a" }\n[reset]\nclient = "r"\n',
        'phases = ["a", "b"]\ncycle = ["b"]',
    )
    assert (own.phases, own.cycle) == (("a", "b", "reset"), ("b",))
    assert [(step.phase, step.until, step.when) for step in own.steps] == [
        ("a", "reset", "passed"),
        ("b", None, "passed"),
        ("reset", None, "always"),
    ]


def test_a_phase_without_steps_is_a_warning() -> None:
    """All nodes would wait for each other for nothing; of the usual phases nobody expects steps."""
    assert [one.code for one in trial(RUN, 'phases = ["startup", "run", "soak"]').warnings] == ["W003"]
    (empty,) = trial(f"[startup]\n{RUN}").warnings
    assert (empty.code, empty.message) == ("W003", "phase `startup` has no step"), (
        "a section says that some were meant"
    )


def test_a_role_that_has_nothing_to_do_is_a_warning() -> None:
    """Its nodes are kept from others; where its address is used, it is a place to reach."""
    for use, codes in (
        ("", ["W004"]),
        (" ${server}", []),
        (" $server_all", []),
        (" $servers", ["W001", "W004"]),
        ("; ./bench.sh", []),
        ("; python3 bench.py", []),
        ("; printenv server_all", []),
        ("'  # reads $server\n#'", []),
    ):
        found = trial(f"[run]\nclient = 'true{use}'\n").warnings
        assert sorted(one.code for one in found) == codes


def test_a_setting_among_the_nodes_is_told_where_it_belongs() -> None:
    """A key under the wrong header is a role like any other there."""
    (warning,) = trial(f'timeout = "30s"\n{RUN}').warnings
    assert (warning.code, warning.hint) == ("W004", "as a setting, `timeout` belongs under [trial]")


def test_a_stop_ends_the_last_step_of_its_name() -> None:
    """The same name in two phases is the usual case."""
    body = '[startup]\nserver = { spawn = "a", name = "x" }\n'
    body += '[run]\nserver = [{ stop = "x" }, { spawn = "b", name = "x" }, { stop = "x" }]\n'
    steps = trial(body).steps
    first, early, second, late = steps
    assert find_spawned(steps, [first, second], early, "x") is first
    assert find_spawned(steps, [first, second], late, "x") is second
    assert find_spawned(steps, [second], early, "x") is None


def test_a_stop_in_the_cycle_lets_a_spawned_step_be_there() -> None:
    """Without it the next repeat would find it running."""
    body = '[run]\nclient = [{ spawn = "x", name = "x" }, { stop = "x" }]\n'
    assert trial(body, 'cycle = ["run"]').cycle == ("run",)
    assert codes(body.replace(', { stop = "x" }', ""), 'cycle = ["run"]') == ["E032"]


def test_two_hundred_steps_in_a_phase_are_fine() -> None:
    """And quickly read."""
    body = "".join(f"[[run.client]]\ncmd = 'echo {number} $server'\n" for number in range(200))
    assert len(trial(body).steps) == 200


def test_the_sources_of_a_put_are_looked_for() -> None:
    """All of them, each at its place; who has no files, a test say, does not look."""
    text = f'[trial]\nname = "t"\n{NODES}[run]\nclient = {{ put = ["a", "b"] }}\n'
    with pytest.raises(TrialError) as raised:
        parse_trial(text, "t.toml", lambda source: f"there is no file `{source}`")
    assert [(one.code, one.col) for one in raised.value.diagnostics] == [("E024", 19), ("E024", 24)]
    assert parse_trial(text, "t.toml", lambda _: "").steps
