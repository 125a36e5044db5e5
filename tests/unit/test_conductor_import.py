"""Conductor's files as trials: nodes, roles, files that are looked for, and a TOML that loads."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.errors import UsageError
from fabric.protocol.messages import NodeInfo
from fabric.trial.cells import cells_of
from fabric.trial.diagnostics import TrialError
from fabric.trial.explain import Explanation, explanations
from fabric.trial.importers.conductor import trial_name
from fabric.trial.importers.foreign import Import, import_trial, is_foreign, open_trial
from fabric.trial.importers.tomltext import toml_string
from fabric.trial.load import parse_trial
from fabric.trial.resolve import resolve
from fabric.trial.shortage import LabError

WORKER = "[Coordinator]\nplayer = {}\ncmdport = {}\nresultsport = 6971\n[Run]\nstep1 = echo hello\n"


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def worker(name: str, player: str = "10.0.0.1", port: int = 6970) -> Path:
    return write(name, WORKER.format(player, port))


def coordinator(text: str, **players: str) -> Path:
    for name, player in players.items():
        worker(f"{name}.cfg", player)
    return write("c.cfg", text)


def codes(made: Import) -> list[str]:
    return [one.code for one in made.trial.warnings]


def errors(path: Path) -> list[str]:
    with pytest.raises(TrialError) as raised:
        import_trial(path, {})
    assert raised.value.exit_code == 2
    return [one.render().splitlines()[0] for one in raised.value.diagnostics if one.is_error]


def test_a_coordinator_with_two_workers_is_a_trial_with_two_roles() -> None:
    """The names are those of the coordinator file; the node is called as it is reached."""
    path = coordinator("[Test]\ntrials = 3\n[Workers]\na = a.cfg\nb: b.cfg\n", a="10.0.0.1", b="lab7")
    made = import_trial(path, {})
    assert made.trial.repeat == 3
    assert dict(made.trial.roles) == {"a": ("10.0.0.1",), "b": ("lab7",)}
    assert [(step.role, step.command, step.timeout_s) for step in made.trial.steps] == [
        ("a", "echo hello", 30.0),
        ("b", "echo hello", 30.0),
    ]
    assert codes(made) == []
    assert parse_trial(made.trial.text, "x.toml").warnings == ()


@pytest.mark.parametrize("names", [("Workers", "Coordinator"), ("Clients", "Master")])
def test_older_names_of_sections(names: tuple[str, str]) -> None:
    """Conductor's own files have both."""
    workers, settings = names
    write("a.cfg", f"[{settings}]\nplayer = lab1\n[Startup]\nx = y\n")
    made = import_trial(write("c.cfg", f"[{workers}]\na = a.cfg\n"), {})
    assert dict(made.trial.roles) == {"a": ("lab1",)}


def test_one_file_that_holds_both() -> None:
    """A worker may be described in the file that names it."""
    text = "[Test]\ntrials=2\n[Workers]\ndut = c.cfg\n[Master]\nplayer = 127.0.0.1\n[Run]\nx = uname\n"
    made = import_trial(write("c.cfg", text), {})
    assert dict(made.trial.roles) == {"dut": ("127.0.0.1",)}
    assert [step.command for step in made.trial.steps] == ["uname"]
    assert codes(made) == []
    assert [file.name for file in made.trial.files] == ["imported/c.cfg"]


def test_a_worker_file_alone_is_one_worker() -> None:
    """Who tries the importer gives it the first file that he finds."""
    made = import_trial(worker("dut.cfg"), {})
    assert list(made.trial.roles) == ["dut"]
    assert codes(made) == ["W111"]


def test_conductors_semantics_are_spelled_out() -> None:
    """A failing step stops nothing, a spawned one lives long; and the TOML says so to its reader."""
    write(
        "a.cfg",
        "[Coordinator]\nplayer = n\n[Startup]\nspawn1 = s\n[Run]\na = r\n"
        "[Collect]\na = c\n[Reset]\na = pkill x\n",
    )
    made = import_trial(write("c.cfg", "[Workers]\na = a.cfg\n"), {})
    steps = {step.phase: step for step in made.trial.steps}
    assert all(step.on_fail == "continue" for step in steps.values())
    assert (steps["startup"].verb, steps["startup"].until) == ("spawn", "reset")
    assert steps["run"].when == "passed"  # it stops nothing, but Ctrl-C stops it
    assert steps["collect"].when == "always"
    assert steps["reset"].ok == (0, 1)
    assert codes(made) == ["W110", "W110"]
    assert "# a.cfg:4 spawn1" in made.trial.text.replace("[[startup.a]]  ", "")


def test_the_worker_files_are_looked_for_beside_the_coordinators_first() -> None:
    """Conductor takes the current directory, where its own examples do not find them."""
    worker("x/a.cfg", "beside")
    worker("a.cfg", "here")
    path = write("x/c.cfg", "[Workers]\na = a.cfg\n")
    made = import_trial(path, {})
    assert dict(made.trial.roles) == {"a": ("beside",)}
    assert [file.name for file in made.trial.files] == ["imported/c.cfg", "imported/a.cfg"]
    Path("x/a.cfg").unlink()
    made = import_trial(path, {})
    assert dict(made.trial.roles) == {"a": ("here",)}
    assert codes(made) == ["W106"]
    assert [file.name for file in made.trial.files] == ["imported/c.cfg", "imported/a.cfg"]


def test_a_comment_behind_the_path_of_a_worker() -> None:
    """It is a part of the path to Conductor, and may be one."""
    path = coordinator("[Workers]\na = a.cfg  # the first\n", a="n")
    assert codes(import_trial(path, {})) == ["W106"]
    worker("a.cfg  # the first", "odd")
    assert dict(import_trial(path, {}).trial.roles) == {"a": ("odd",)}


def test_all_missing_files_are_told_at_once() -> None:
    """With the line that names each."""
    path = coordinator("[Workers]\na = a.cfg\nb = b.cfg\nc = .\n", a="n")
    assert errors(path) == [
        "c.cfg:3:5: error[E101]: the file of worker `b` is not there",
        "c.cfg:4:5: error[E101]: the file of worker `c` is not there",
    ]
    assert errors(Path("none.cfg")) == ["none.cfg: error[E101]: there is no file none.cfg"]
    assert errors(Path()) == [".: error[E101]: . is a directory"]


def test_only_some_workers() -> None:
    """As with `conduct -c`; the files of the others need not be there."""
    path = coordinator("[Workers]\na = a.cfg\nb = b.cfg\n", a="n")
    assert list(import_trial(path, {}, ["a"]).trial.roles) == ["a"]
    with pytest.raises(UsageError, match="has no worker `d`"):
        import_trial(path, {}, ["d"])


def test_comments_behind_addresses_and_ports_are_told() -> None:
    """Strip them there, never in commands."""
    write("a.cfg", "[Coordinator]\nplayer = 10.0.0.1# x\ncmdport = 1 ; y\n[Run]\na = echo '# z'\n")
    made = import_trial(write("c.cfg", "[Workers]\na = a.cfg\n"), {})
    assert dict(made.trial.roles) == {"a": ("10.0.0.1",)}
    assert [(one.line, one.code) for one in made.trial.warnings] == [(2, "W106"), (3, "W106")]
    assert made.trial.steps[0].command == "echo '# z'"


def test_workers_with_the_same_address_have_nodes_of_their_own() -> None:
    """With the same ports too, nothing but the name in the coordinator file tells them apart."""
    path = coordinator("[Workers]\na = a.cfg\nb = b.cfg\nc = c1.cfg\n", a="127.0.0.1", b="127.0.0.1", c1="n")
    made = import_trial(path, {})
    assert dict(made.trial.roles) == {"a": ("a",), "b": ("b",), "c": ("n",)}
    assert codes(made) == ["W108"]
    assert "same address 127.0.0.1 and ports" in made.trial.warnings[0].message
    mapped = import_trial(path, {"127.0.0.1": "lab1"})
    assert dict(mapped.trial.roles) == {"a": ("lab1",), "b": ("lab1",), "c": ("n",)}
    assert codes(mapped) == []


def test_a_node_of_its_own_is_never_another_workers() -> None:
    """A worker may be called like the address of another one."""
    text = "[Workers]\nn = a.cfg\nb = b.cfg\nc = c1.cfg\n"
    path = coordinator(text, a="127.0.0.1", b="127.0.0.1", c1="n")
    nodes = import_trial(path, {}).trial.roles
    assert dict(nodes) == {"n": ("n-2",), "b": ("b",), "c": ("n",)}


@pytest.mark.parametrize("key", ["a", "10.0.0.1", "10.0.0.1:6970"])
def test_nodes_are_mapped_by_role_address_or_port(key: str) -> None:
    """A lab has names; Conductor's files have addresses."""
    path = coordinator("[Workers]\na = a.cfg\nb = b.cfg\n", a="10.0.0.1", b="10.0.0.2")
    made = import_trial(path, {key: "lab[1-2], spare"})
    assert dict(made.trial.roles) == {"a": ("lab[1-2]", "spare"), "b": ("10.0.0.2",)}
    assert made.imported.nodes()[0].startswith("10.0.0.1 -> node lab[1-2], spare (role a;")
    with pytest.raises(UsageError, match=r"--nodes 10\.0\.0\.9") as raised:
        import_trial(path, {"10.0.0.9": "x"})
    assert "10.0.0.1" in raised.value.hint


def test_names_that_cannot_be_names_are_changed_and_told() -> None:
    """A role is a variable of the shell; a node's name is a part of a path."""
    players = {"a": "fe80::1", "b": "b.lab", "c1": "", "d": "d"}
    text = "[Workers]\nWeb-1 = a.cfg\n2nd = b.cfg\nrepeat = c1.cfg\nweb_1 = d.cfg\n"
    made = import_trial(coordinator(text, **players), {})
    assert dict(made.trial.roles) == {
        "web_1": ("fe80--1",),
        "w_2nd": ("b.lab",),
        "w_repeat": ("repeat",),
        "web_1_2": ("d",),
    }
    assert sorted(codes(made)) == ["W107"] * 4 + ["W108"] * 2


def test_settings_that_have_no_place_are_accounted_for() -> None:
    """Nobody shall look for a file that is not written."""
    text = "[Test]\nformat = json\noutput = r.json\nmax_message_size = 20\nfoo = 1\n[Workers]\na = a.cfg\n"
    made = import_trial(coordinator(text, a="n"), {})
    assert codes(made) == ["W109", "W109", "W109", "W111"]
    for key in ("format = json", "output = r.json", "max_message_size = 20"):
        assert f"# [Test] {key}: " in made.trial.text


@pytest.mark.parametrize("value", ["0", "many", "", "10001", "1.5", "-1"])
def test_a_wrong_number_of_trials_is_an_error_at_its_line(value: str) -> None:
    """It is a part of what is to be done, so no guess."""
    path = coordinator(f"[Test]\ntrials = {value}\n[Workers]\na = a.cfg\n", a="n")
    (error,) = errors(path)
    assert error.startswith("c.cfg:2:")
    assert "E104" in error


def test_what_conductor_would_not_see_is_told() -> None:
    """Sections are exact; phases of the coordinator file belong to nobody."""
    path = coordinator("[workers]\n[Workers]\na = a.cfg\n[Run]\nx = y\n[Other]\n", a="n")
    made = import_trial(path, {})
    assert [(one.line, one.code) for one in made.trial.warnings] == [(1, "W111"), (4, "W111"), (6, "W111")]
    assert made.trial.warnings[0].hint == "sections are exact: write [Workers]"


def test_defaults_are_values_or_the_first_steps() -> None:
    """It stands in every section to configparser, and Conductor runs what is in a section."""
    write(
        "a.cfg",
        "[DEFAULT]\nplayer = n\ntmp = /tmp\nall = date\n[Coordinator]\n"
        "[Run]\na = ls %(tmp)s\n[Reset]\nb = x\n",
    )
    made = import_trial(write("c.cfg", "[Workers]\na = a.cfg\n"), {})
    assert [(step.phase, step.command) for step in made.trial.steps] == [
        ("run", "date"),
        ("run", "ls /tmp"),
        ("reset", "date"),
        ("reset", "x"),
    ]
    assert dict(made.trial.roles) == {"a": ("n",)}
    assert codes(made) == ["W111", "W111"]


def test_commands_that_notice_the_difference_are_told() -> None:
    """Roles are variables here, and the directory is the run's own."""
    write("a.cfg", "[Coordinator]\nplayer = n\n[Run]\na = echo $a $repeat\nb = ./x.sh\nc = echo $foo\n")
    made = import_trial(write("c.cfg", "[Workers]\na = a.cfg\n"), {})
    assert [(one.line, one.code) for one in made.trial.warnings] == [
        *((4, "W113"), (4, "W113"), (5, "W113"), (6, "W001"))
    ]


def test_a_message_at_run_time_names_the_foreign_line() -> None:
    """The user knows his own files; the TOML was never on his disk."""
    trial = import_trial(coordinator("[Workers]\na = a.cfg\n", a="n"), {}).trial
    assert trial.describe(trial.steps[0], "n") == "a.cfg:6: run/a step a-1 on n"


def test_an_error_of_the_trial_is_told_at_the_foreign_line() -> None:
    """What a trial cannot hold is found when the made TOML is loaded; its lines mean nothing to the user."""
    steps = "".join(f"s{n} = true\n" for n in range(1001))
    write("a.cfg", f"[Coordinator]\nplayer = n\n[Run]\n{steps}")
    (error,) = errors(write("c.cfg", "[Workers]\na = a.cfg\n"))
    assert error.startswith("a.cfg:1004:")


def test_files_with_nothing_in_them_are_errors() -> None:
    """A trial needs workers and steps."""
    assert errors(write("c.cfg", "")) == ["c.cfg: error[E103]: the file names no worker"]
    assert errors(write("c.cfg", "[Workers]\n")) == ["c.cfg:1:1: error[E103]: the file names no worker"]
    write("a.cfg", "[Coordinator]\nplayer = n\n")
    assert len(errors(write("c.cfg", "[Workers]\na = a.cfg\n"))) == 1


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("c.cfg", "", True),
        ("c.conf", "# x\n[Workers]\n", True),
        ("c", "[Test]\r\ntrials = 1\r\n", True),
        ("c", "\ufeff[Test]\n", True),
        ("a.toml", "[Test]\n", False),
        ("trial", "[trial]\nname = 'x'\n[run]\n", False),
    ],
)
def test_a_foreign_file_is_known_by_its_name_or_its_content(name: str, text: str, *, wanted: bool) -> None:
    """`fabric-run` takes both sorts."""
    assert is_foreign(write(name, text)) is wanted


def test_a_trial_is_opened_as_before() -> None:
    """Its nodes are still to be put in, for it has no addresses."""
    path = write("t.toml", '[trial]\nname = "t"\n[nodes]\na = "n"\n[run]\na = "true"\n')
    trial, others = open_trial(path, {"a": "m"})
    assert (dict(trial.roles), others) == ({"a": ("n",)}, {"a": "m"})
    trial, others = open_trial(coordinator("[Workers]\na = a.cfg\n", a="n"), {"n": "m"})
    assert (dict(trial.roles), others) == ({"a": ("m",)}, {})


def test_files_from_elsewhere_stay_in_the_bundle() -> None:
    """A name in the bundle must not lead out of it, and two files must not be one."""
    worker("other/a.cfg")
    worker("more/a.cfg")
    path = write("x/c.cfg", "[Workers]\na = ../other/a.cfg\nb = ../more/a.cfg\n")
    names = [file.name for file in import_trial(path, {}).trial.files]
    assert names == ["imported/c.cfg", "imported/a.cfg", "imported/a.cfg_"]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_every_text_can_be_written_as_toml(text: str) -> None:
    """A command has to come out as it went in, quotes, backslashes, lines and all."""
    import tomllib

    assert tomllib.loads(f"a = {toml_string(text)}\n") == {"a": text}


@pytest.mark.parametrize(
    ("path", "name"), [("a/My test!.cfg", "My-test"), ("...cfg", "conductor"), ("ü.cfg", "conductor")]
)
def test_a_trial_is_called_like_its_file(path: str, name: str) -> None:
    """The name is a part of the run's id and of a path."""
    assert trial_name(path) == name


def found_in(code: str, example: str) -> set[str]:
    """Return the codes that an example leads to, with what it leaves out of a whole test."""
    rest = "\n[Collect]\nx = true\n"
    for name in ("w", "dut", "web"):
        write(f"{name}.cfg", f"[Coordinator]\nplayer = {name}{rest}")
    if "[Test]" in example or "[Workers]" in example:
        workers = "" if "[Workers]" in example or code == "E103" else "\n[Workers]\nw = w.cfg\n"
        write("c.cfg", example + workers)
    else:
        settings = "" if "[Coordinator]" in example else "\n[Coordinator]\nplayer = n"
        write("w.cfg", example + settings + rest)
        write("c.cfg", "[Workers]\nw = w.cfg\n")
    try:
        return set(codes(import_trial(Path("c.cfg"), {})))
    except TrialError as error:
        return {one.code for one in error.diagnostics}


@pytest.mark.parametrize(
    "one", [one for one in explanations().values() if one.is_of_import], ids=lambda one: one.code
)
def test_the_codes_of_an_import_are_explained_by_examples_that_are_what_they_say(one: Explanation) -> None:
    """`fabric-run --explain W104`: an example is copied, and shall show this code and no other."""
    assert one.text
    if one.wrong:
        assert found_in(one.code, one.wrong) == {one.code}
        assert found_in(one.code, one.right) == set()


LINE = st.one_of(
    st.sampled_from(
        [
            *(
                "[Run]",
                "[Startup]",
                "[Collect]",
                "[Reset]",
                "[Coordinator]",
                "[DEFAULT]",
                "[x]",
                "",
                "  go on",
            ),
            *(
                "player = 10.0.0.1",
                "player = \u00fc ::1",
                "timeout5 = a",
                "spawn1 = b",
                "c = spawn:timeout0:d",
            ),
            *(
                "e = %s %(player)s %%",
                "f = ''' \"\"\" \\",
                "  'g'",
                "h = $i ${j} `k`",
                "\ttab: \x07\x1b[1m\x7f",
            ),
        ]
    ),
    st.text(st.characters(exclude_characters="\n"), max_size=20),
)


@given(st.lists(LINE, max_size=15), st.text(max_size=10))
def test_every_file_becomes_a_trial_that_loads_or_is_refused(lines: list[str], name: str) -> None:
    """Whatever stands in a file: never an exception, and never a TOML that cannot be read."""
    with TemporaryDirectory() as folder:
        worker_file = "\n".join(["[Run]", "ok = true", *lines])
        (Path(folder) / "a.cfg").write_text(worker_file, errors="surrogatepass")
        path = Path(folder) / "c.cfg"
        path.write_text(f"[Workers]\nx{name} = a.cfg\nb = a.cfg\n", errors="surrogatepass")
        try:
            made, refused = import_trial(path, {}), False
        except TrialError as error:
            made, refused = None, any(one.is_error for one in error.diagnostics)
        if made is None:
            assert refused
            return
        assert len(made.trial.roles) in (1, 2, 3)
        again = parse_trial(made.imported.text, "x.toml")
        assert [step.argv for step in again.steps] == [step.argv for step in made.trial.steps]


def test_nodes_that_are_not_there_can_be_named_by_their_addresses() -> None:
    """Conductor knows addresses, a broker names: who comes from there is told which option joins them."""
    path = coordinator("[Workers]\na = a.cfg\nb = b.cfg\n", a="192.0.2.10", b="192.0.2.11")
    trial, _ = open_trial(path, {"b": "lab2"})
    lab2 = NodeInfo(
        name="lab2", state="free", incarnation=1, labels=(), addresses={}, facts={}, run="", heard_ns=0
    )
    with pytest.raises(LabError) as raised:
        resolve(trial, cells_of(trial), [lab2], 0)
    assert str(raised.value) == "role a: 192.0.2.10 is unknown to the broker"
    assert raised.value.hint == (
        "say which nodes they are: --nodes 192.0.2.10=NODE; `fabric nodes` shows the lab"
    )
