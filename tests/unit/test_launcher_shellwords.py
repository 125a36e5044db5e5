"""Lines of shell without the shell: the same words, or none."""

import random
import subprocess

import pytest

from agents.launcher.shellwords import words

ENV = {"PATH": "/usr/bin:/bin", "a": "one", "b": "two  words ", "c": "", "star": "*", "q": 'it\'s "so" $a \\'}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("iperf3 -c $a -P 8", ["iperf3", "-c", "one", "-P", "8"]),
        ("  tool\t${a}:5201  --x=$b.", ["tool", "one:5201", "--x=two", "words", "."]),
        ("tool '$a *' \"$b\" $c \"$c\" '' x", ["tool", "$a *", "two  words ", "", "", "x"]),
        ('tool "${q}"$a', ["tool", 'it\'s "so" $a \\one']),
        ("./run 'a'\"b\"c", ["./run", "abc"]),
        ("/bin/echo hi", ["/bin/echo", "hi"]),
    ],
)
def test_what_is_only_words_is_read_as_a_shell_reads_it(line: str, wanted: list[str]) -> None:
    """The program starts at its instant, not after a shell."""
    assert words(line, ENV) == wanted


@pytest.mark.parametrize(
    "line",
    [
        *("", "  ", "a=1 tool", "echo hi", "cd /tmp", "if true", "exit 3", "tool; tool", "tool & ", "a | b"),
        *(
            "tool > f",
            "tool *",
            "tool $star",
            "tool ~",
            "tool # no",
            "tool \\x",
            "tool `x`",
            "tool $(x)",
            "$c",
        ),
        *(
            "tool $((1))",
            "tool ${a:-x}",
            "tool $1",
            "tool $?",
            "tool $PWD",
            "tool 'open",
            'tool "open',
            "(x)",
        ),
        *(
            "tool\nother",
            "! tool",
            "{ tool; }",
            "[ x ]",
            "tool {a,b}",
            "tool \u00e9",
            "tool $IFS",
            'tool "\\$a"',
        ),
    ],
)
def test_what_takes_a_shell_is_left_to_it(line: str) -> None:
    """A line that means a little more than its words would do something else."""
    assert words(line, ENV) is None


def test_an_environment_that_a_shell_would_change_is_left_to_it() -> None:
    """It keeps what has no name for it from its programs, and functions may hide programs."""
    assert words("tool", {"a.b": "1"}) is None
    assert words("tool", {"BASH_FUNC_tool%%": "() { :; }"}) is None


def test_a_real_shell_finds_the_same_words() -> None:
    """The reader is only worth something if it never differs."""
    source = random.Random(7)
    pieces = [
        "a",
        "-x",
        "1.5",
        "=",
        "%s",
        " ",
        "  ",
        "\t",
        "$a",
        "${b}",
        "$c",
        "$nil",
        "$q",
        '"$q"',
        "''",
        '""',
    ]
    pieces += [
        "'$a *'",
        '"$b"',
        '"x ${c}y"',
        "'",
        '"',
        "$",
        "*",
        "\\",
        ";",
        "#",
        "~",
        "é",
        ":",
        "@",
        "/",
        "{",
    ]
    compared = 0
    for _ in range(400):
        tail = "".join(source.choices(pieces, k=source.randint(1, 8)))
        line = f"/usr/bin/printf '<%s>' {tail}"
        found = words(line, ENV)
        if found is None:
            continue
        compared += 1
        by_shell = subprocess.run(["/bin/sh", "-c", line], env=ENV, capture_output=True, check=True).stdout
        alone = subprocess.run(found, env=ENV, capture_output=True, check=True).stdout
        assert alone == by_shell, line
    assert compared > 50
