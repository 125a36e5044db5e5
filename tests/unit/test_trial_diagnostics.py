"""How an error is printed."""

from fabric.trial.diagnostics import MAX_SHOWN, Diagnostic, TrialError


def diagnostic(**changes: object) -> Diagnostic:
    given: dict[str, object] = {"path": "a.toml", "line": 16, "col": 11, "end_col": 13, "code": "E030"}
    given |= {"message": "`timeout` needs a duration with its unit", "source": "timeout = 30", **changes}
    return Diagnostic(**given)  # type: ignore[arg-type]


def test_the_format_is_the_documented_one() -> None:
    """The format is promised to editors in docs/trial-format.md."""
    assert diagnostic(hint='write timeout = "30s"').render().split("\n") == [
        "a.toml:16:11: error[E030]: `timeout` needs a duration with its unit",
        "   16 | timeout = 30",
        "      |           ^^",
        '      = write timeout = "30s"',
    ]


def test_the_caret_stands_under_wide_characters() -> None:
    """Chinese and Japanese characters take two cells of a terminal, combining accents none."""
    lines = diagnostic(source="日e\N{COMBINING ACUTE ACCENT} x本", col=5, end_col=7).render().split("\n")
    assert lines[2] == "      |     ^^^"


def test_a_large_line_number_keeps_the_columns_in_line() -> None:
    """A file of 256 KiB can have more than 99,999 lines."""
    first, second = diagnostic(line=123456, col=1).render().split("\n")[1:3]
    assert first.index("|") == second.index("|")


def test_control_characters_do_not_reach_the_terminal() -> None:
    """A trial may come from anybody; showing it must not move the cursor or turn the text around."""
    text = diagnostic(
        message="no role `\x1b[2J\n`", source="a\x1b[2J\u202e", hint="\x07", path="\x1b.toml"
    ).render()
    assert all(char.isprintable() or char == "\n" for char in text)
    assert text.count("\n") == 3


def test_an_error_prints_its_diagnostics_in_the_order_of_the_file() -> None:
    """Who repairs a file goes through it from top to bottom."""
    error = TrialError([diagnostic(line=9), diagnostic(line=2, code="W001")])
    assert [one.line for one in error.diagnostics] == [2, 9]
    assert str(error).startswith("a.toml:2:11: warning[W001]: ")


def test_an_error_does_not_flood_the_terminal() -> None:
    """A file of another kind can have thousands of errors; the first ones say enough."""
    error = TrialError(diagnostic(line=line, source="") for line in range(1, 1000))
    assert len(str(error).split("\n")) == MAX_SHOWN + 1
    assert str(error).endswith(f"... and {999 - MAX_SHOWN} more")
    assert len(error.diagnostics) == 999
