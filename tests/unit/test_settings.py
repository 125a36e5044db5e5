"""Settings files: what is wrong is told at its place, all at once, with a way out."""

import os
import tomllib
from pathlib import Path

import pytest

from fabric.errors import UsageError
from fabric.settings import Sections, SettingsError, checks, load_settings
from fabric.settings.places import Places

SECTIONS: Sections = {
    "agent": {
        "name": checks.text,
        "labels": checks.items(checks.text),
        "networks": checks.table(checks.text),
        "state_dir": checks.path,
        "spin": checks.flag,
        "log": checks.choice("console", "json"),
        "log_files": checks.whole(0, 10),
        "log_bytes": checks.size(1024, 1 << 30),
    },
    "policy": {"allow_path": checks.items(checks.path)},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "agent.toml"


def said(file: Path, text: str) -> list[str]:
    """Return what is wrong with a text, a line for each error: its place, message and hint."""
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(file, SECTIONS)
    return [
        f"{one.line}:{one.col}-{one.end_col} {one.message} = {one.hint}" for one in caught.value.diagnostics
    ]


def test_values_come_checked_and_what_is_not_said_is_not_there(file: Path) -> None:
    """An option that the file says nothing of has to keep its default."""
    file.write_text(
        '[agent]\nname = "lab1"\nlabels = ["a", "b"]\nspin = false\nlog_bytes = "64 MiB"\n'
        '[agent.networks]\nx = "y"'
    )
    assert load_settings(file, SECTIONS) == {
        "agent": {
            "name": "lab1",
            "labels": ("a", "b"),
            "spin": False,
            "log_bytes": 64 << 20,
            "networks": {"x": "y"},
        }
    }


def test_paths_are_taken_from_the_directory_of_the_file(file: Path) -> None:
    """A service is started somewhere; its file lies where it lies."""
    file.write_text('agent.state_dir = "state"\npolicy.allow_path = ["/usr/bin", "bin"]')
    found = load_settings(file, SECTIONS)
    assert found["agent"]["state_dir"] == file.parent / "state"
    assert found["policy"]["allow_path"] == (Path("/usr/bin"), file.parent / "bin")


def test_everything_wrong_is_told_at_once_in_the_order_of_the_text(file: Path) -> None:
    """Who edits a file over ssh mends it in one go."""
    text = '[agent]\nnmae = "x"\nspin = "yes"\nlog_files = 11\nlog = "jsn"\n[polcy]\n'
    assert said(file, text) == [
        "2:1-5 unknown key `nmae` under [agent] = did you mean `name`?",
        "3:8-13 `spin` needs true or false = without quotes",
        "4:13-15 `log_files` has to be from 0 to 10 = ",
        '5:7-12 `log` has to be "console" or "json" = did you mean `json`?',
        "6:2-7 unknown section `polcy` = did you mean `policy`? known: [agent], [policy]",
    ]


def test_an_error_is_printed_with_its_line_and_a_caret(file: Path) -> None:
    """As compilers and trials do: editors jump to it."""
    file.write_text("[agent]\nname = 7\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(file, SECTIONS)
    assert caught.value.is_rendered
    assert str(caught.value).splitlines() == [
        f"{file}:2:8: error: `name` needs text",
        "    2 | name = 7",
        "      |        ^",
        '      = write "7"',
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('name = "x"', "1:1-5 `name` stands under no section = `name` belongs under [agent]"),
        ('[policy]\nname = "x"', "2:1-5 unknown key `name` under [policy] = `name` belongs under [agent]"),
        ("agent = 1", "1:1-6 `agent` is a section = write [agent]"),
        ('[agent]\nlabels = ["a", 7]', '2:16-17 `labels` needs text = write "7"'),
        ('[agent]\nlabels = "a"', '2:10-13 `labels` needs a list = write ["a"]'),
        ("[agent]\nnetworks = { x = 1 }", '2:18-19 `networks` needs text = write "1"'),
        ("[agent.networks]\nx = true", '2:5-9 `networks` needs text = write "true"'),
        (
            '[agent]\nstate_dir = "~/x"',
            "2:13-18 `state_dir` cannot begin with ~ = a service has no home: write the whole path",
        ),
        ('[agent]\nname = " "', "2:8-11 `name` is empty = leave the line out"),
        ('[agent]\nname = "a\\u001b"', "2:8-17 `name` has a control character in it = "),
        ('[agent]\nlog_bytes = "1 KB"', "2:13-19 `log_bytes` has to be from 1_024 to 1_073_741_824 bytes = "),
        (
            '[agent]\nlog_bytes = "much"',
            '2:13-19 `log_bytes` needs a number, with a unit if it has one = like "64 MiB" or "2 GB"',
        ),
        ("[agent]\nlog_files = true", "2:13-17 `log_files` needs a whole number = "),
        ("[agent]\nname = lab1", '2:8-9 not TOML: invalid value = text stands in quotes: "..."'),
        (
            "[agent]\nname: lab1",
            "2:5-6 not TOML: expected '=' after a key in a key/value pair = write: key = value",
        ),
        ('[agent]\nname = "x"\nname = "y"', "3:11-12 not TOML: cannot overwrite a value = "),
        ("[agent\n", "1:7-8 not TOML: expected ']' at the end of a table declaration = "),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(file: Path, text: str, wanted: str) -> None:
    """The place is that of the item, not of the key or of the table."""
    assert said(file, text) == [wanted]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[" * 10_000 + "]" * 10_000, "2:37-38 lists and tables nest more than 32 deep = "),
        ("1" * 5000, "2:5-5005 a number of 5000 digits is no TOML value = numbers have 64 bits at most"),
        ("1\n" + "a." * 20_000 + "b = 1", "3:1-65 a key has more than 32 parts = "),
    ],
)
def test_a_hostile_text_is_an_error_like_others(file: Path, text: str, wanted: str) -> None:
    """No text ends the program with a traceback, takes minutes, or is told at the begin of the file."""
    assert said(file, "[agent]\nx = " + text) == [wanted]


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """Each in a sentence: missing, a directory, another file by mistake, another encoding."""
    big, latin = tmp_path / "big", tmp_path / "latin"
    os.truncate(os.open(big, os.O_CREAT | os.O_WRONLY), 2 << 20)
    latin.write_bytes(b"[agent]\nname = '\xe4'\n")
    for file, why in (
        (tmp_path / "none", "No such file"),
        (tmp_path, "Is a directory"),
        (big, "has more than"),
        (latin, "latin:2: not UTF-8"),
    ):
        with pytest.raises(UsageError, match=why):
            load_settings(file, SECTIONS)


def test_windows_made_it(file: Path) -> None:
    """Editors there leave a mark at the begin and two characters at each end."""
    file.write_bytes(b'\xef\xbb\xbf[agent]\r\nname = "lab1"\r\n')
    assert load_settings(file, SECTIONS) == {"agent": {"name": "lab1"}}


WHOLE = '''
# [no.header]  "no text"
top = 1
[a] # = [
"b.c" . d = [ 1, [2, { x = "}", y = \'\'\'two
lines, [ = \'\'\' }], # ]
  3 ]
day = 2024-05-06 07:08:09
end = """say \\""" and ""more""""" # here
plain.dotted = true
[[list]]
x = 1
[[list]]
x = 2
[list.sub]
y = { z = { deep = [ ] } }
'''


def test_places_are_those_of_the_values_that_tomllib_reads() -> None:
    """Every value is where its text stands, in all forms that TOML has."""
    places = Places(WHOLE)
    lines = WHOLE.split("\n")

    def look(value: object, path: tuple[str | int, ...]) -> None:
        place = places.value(path)
        shown = lines[place.line - 1][place.col - 1 : place.end_col - 1]
        name = path[-1] if path else ""
        if isinstance(value, dict):
            assert shown.startswith("{") or shown.strip('"') == name or isinstance(name, int)
            for key, inner in value.items():
                look(inner, (*path, key))
        elif isinstance(value, list):
            assert shown.startswith("[") or shown == name
            for index, inner in enumerate(value):
                look(inner, (*path, index))
        elif "\n" not in str(value):
            assert tomllib.loads(f"v = {shown}")["v"] == value

    document = tomllib.loads(WHOLE)
    for key, value in document.items():
        look(value, (key,))
    assert document["list"][1]["sub"]["y"]["z"]["deep"] == []
    assert places.key(("list", 1, "sub", "y", "z", "deep")) == (16, 13, 17)
    assert places.key(("a", "b.c", "d")) == (5, 9, 10)
    assert places.value(("a", "b.c", "none", "such")) == (5, 1, 6)
