"""The line reader of Conductor's files: it reads as configparser does, and keeps what that throws away."""

from configparser import ConfigParser, Error

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.trial.importers.conductor_ini import IniFile, read_ini, with_defaults
from fabric.trial.importers.conductor_values import MAX_VALUE_CHARS, expanded, without_comment
from fabric.trial.importers.notes import Notes


def read(text: str) -> tuple[IniFile, Notes]:
    notes = Notes()
    return read_ini("a.cfg", text, notes), notes


def codes(notes: Notes) -> list[tuple[int, str]]:
    return [(one.line, one.code) for one in notes.found]


def values(text: str, section: str = "Run") -> list[tuple[str, str]]:
    file, notes = read(text)
    assert not notes.any_errors
    found = file.sections[section]
    return [(entry.key, expanded(file, found, entry, notes)) for entry in with_defaults(file, found)]


LINES = st.one_of(
    st.sampled_from(
        [
            *("[Run]", "[Startup]", " [Reset]", "[DEFAULT]", "[a] b]", "[]", "", "   ", "\t", "# c", "  ; c"),
            *("k = v", "k: v", "K=v", "a b = c", "k", "= v", ": v", "  more", "  x = y", "\tdeeper: z"),
            *(
                "k1 =",
                "k2 :  ",
                "k3=a=b:c",
                "k4:a=b",
                "  # inner",
                "k5 = %%d",
                "k6 = %(k1)s %(K4)s",
                "k7 = %s",
            ),
            *("k8 = a # b ; c", " k9 = v", "k10 = [x]", "k11\u00a0= \u3000v\u2003"),
        ]
    ),
    st.text(st.sampled_from("ab =:#;[]%()s\t"), max_size=8),
)


@given(st.lists(LINES, max_size=12))
def test_what_configparser_can_read_is_read_as_it_reads_it(lines: list[str]) -> None:
    """Conductor reads its files with it; whatever it accepts has to mean the same here."""
    text = "\n".join(lines)
    parser = ConfigParser()
    try:
        parser.read_string(text)
        wanted = {name: parser.items(name) for name in parser.sections()}
    except Error:
        return
    file, notes = read(text)
    assert not notes.any_errors
    found = {
        name: [(entry.key, expanded(file, section, entry, notes)) for entry in with_defaults(file, section)]
        for name, section in file.sections.items()
    }
    # `items` lets a key of a section stand where [DEFAULT] has it; here it stands where it is written.
    assert {name: sorted(items) for name, items in found.items()} == {
        name: sorted(items) for name, items in wanted.items()
    }
    for name, items in found.items():
        own = [key for key, _ in items if key not in parser.defaults()]
        assert own == [key for key, _ in wanted[name] if key not in parser.defaults()]


@given(st.lists(LINES, max_size=12))
def test_no_text_makes_the_reader_fail(lines: list[str]) -> None:
    """What cannot be read is an error with a line, never an exception."""
    file, notes = read("\n".join(lines))
    for section in file.sections.values():
        for entry in section.entries:
            expanded(file, section, entry, notes)
    assert all(0 < one.line <= len(lines) for one in notes.found)


def test_the_first_delimiter_wins_and_keys_are_small() -> None:
    """`step1:echo "a=b"` is a command with an equals sign in it, not a key with a colon."""
    assert values('[Run]\nStep1:echo "a=b"\nX = a:b\n') == [("step1", 'echo "a=b"'), ("x", "a:b")]


def test_a_hash_in_a_command_is_part_of_it() -> None:
    """There are no inline comments in configparser; a command may need a `#`."""
    assert values("[Run]\n# no\n a = echo '# x' ; y # z\n;no\n") == [("a", "echo '# x' ; y # z")]


def test_lines_that_are_indented_go_on_and_comments_between_them_vanish() -> None:
    """A multi-line value is a multi-line command."""
    assert values("[Run]\na = one\n  two\n# no\n\n  three\n\nb = x\n") == [
        ("a", "one\ntwo\n\nthree"),
        ("b", "x"),
    ]


@pytest.mark.parametrize("line", ["step2 = echo", "spawn: x", "timeout5=x", "[Reset]", "a: b"])
def test_a_continuation_that_looks_like_a_line_of_its_own_is_told(line: str) -> None:
    """One space too many, and a step is silently a part of the one before it."""
    _, notes = read(f"[Run]\na = one\n {line}\n")
    assert codes(notes) == [(3, "W103")]


@pytest.mark.parametrize("line", ["echo a", "X=1", "if true; then", "grep a:b x"])
def test_an_ordinary_continuation_is_not(line: str) -> None:
    """A warning at every line of a script would hide the one that counts."""
    assert codes(read(f"[Run]\na = one\n {line}\n")[1]) == []


def test_keys_and_sections_that_are_there_twice_are_all_kept_in_order() -> None:
    """`timeout120` twice ends Conductor, though both lines are meant."""
    text = "[Run]\ntimeout120 = a\ntimeout120 = b\n[Reset]\n[Run]\nc = d\n"
    file, notes = read(text)
    entries = [(entry.key, entry.raw, entry.line) for entry in file.sections["Run"].entries]
    assert entries == [("timeout120", "a", 2), ("timeout120", "b", 3), ("c", "d", 6)]
    assert codes(notes) == [(3, "W101"), (5, "W101")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_all_systems_are_read(end: str) -> None:
    """These files have been through editors of all sorts."""
    assert values(end.join(["[Run]", "a = b", "  c", ""])) == [("a", "b\nc")]


def test_a_byte_order_mark_is_taken_off_and_told() -> None:
    """It would be a part of the first section's line, and end Conductor."""
    file, notes = read("\ufeff[Run]\na = b\n")
    assert list(file.sections) == ["Run"]
    assert codes(notes) == [(1, "W112")]


def test_percent_signs() -> None:
    """`%%` is one; `%(name)s` a value; what would end Conductor stays, with a warning."""
    file, notes = read("[DEFAULT]\nd = /tmp\n[Run]\na = %(d)s/%(B)s %%d\nb = x\nc = date +%s %(no)s %(d\n")
    section = file.sections["Run"]
    found = [expanded(file, section, entry, notes) for entry in section.entries]
    assert found == ["/tmp/x %d", "x", "date +%s %(no)s %(d"]
    assert {(line, code) for line, code in codes(notes)} == {(6, "W102")}


@pytest.mark.parametrize("last", ["xxxxxxxx", ""])
def test_percent_signs_that_lead_to_themselves_end(last: str) -> None:
    """A foreign file must not hang the importer or fill its memory."""
    lines = [f"k{n} = " + f"%(k{n + 1})s" * 30 for n in range(12)]
    file, notes = read("[Run]\nloop = %(loop)s\n" + "\n".join(lines) + f"\nk12 = {last}\n")
    section = file.sections["Run"]
    for entry in section.entries:
        assert len(expanded(file, section, entry, notes)) < 40 * MAX_VALUE_CHARS
    assert notes.found
    assert {one.code for one in notes.found} == {"W102"}


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = b\n[Run]\n", 1), ("[Run]\nno key\n", 2), ("[Run]\n= x\n", 2), ("[Run]\na = \0\n", 2)],
)
def test_what_cannot_be_read_is_an_error_at_its_line(text: str, line: int) -> None:
    """Exit code 2 with file:line, instead of a trial with a hole in it."""
    _, notes = read(text)
    assert codes(notes) == [(line, "E102")]


def test_bytes_that_are_no_text_are_an_error_only_where_they_count() -> None:
    """An umlaut of Latin-1 in a comment is no reason to refuse a file; in a command it is."""
    text = b"# f\xfcr alle\n[Run]\na = \xfc\n".decode(errors="surrogateescape")
    assert codes(read(text)[1]) == [(3, "E102")]


@pytest.mark.parametrize(
    ("text", "wanted"), [("10.0.0.1 # x", "10.0.0.1"), ("6970;x", "6970"), ("# x", ""), ("a", "a")]
)
def test_comments_behind_addresses_and_ports_are_taken_off(text: str, wanted: str) -> None:
    """Its users write them there, and Conductor fails on them."""
    assert without_comment(text) == wanted
