"""What GitHub Actions is told: annotations, and the step summary."""

from pathlib import Path
from typing import Any

import pytest

from fabric.cli.answers import answering
from fabric.cli.checking import check_files
from fabric.errors import UsageError
from fabric.report import github
from fabric.report.github import Annotation, annotate, annotations_of, report, summary_blocks
from fabric.trial.diagnostics import Diagnostic, TrialError
from tests.unit.report_results import CHECK, METRIC, failed, result, step

WHY = "t/trial.toml:12: run/client step client-1 on lab3: exit 3 after 2.1 s, last line: 100%, no: x"


def failing(**values: Any) -> dict[str, Any]:
    return result(step(), failed(), **({"verdict": "fail", "why": [WHY, "lab4 was lost"]} | values))


def test_a_reason_is_an_annotation_at_its_line() -> None:
    """That is where a reviewer sees it in the changes."""
    lines = list(annotate(annotations_of(failing()), {}))
    assert lines == [
        (
            "::error file=t/trial.toml,line=12,title=run/client step client-1 on lab3"
            "::exit 3 after 2.1 s, last line: 100%25, no: x"
        ),
        "::error title=fail::lab4 was lost",
    ]


def test_what_the_commands_want_escaped_is_escaped() -> None:
    """Or a program could end the annotation with its output, and begin a command of its own."""
    one = Annotation(level="warning", message="a\r\nb::%0A", title="x,y:z%", file="a,b.toml", line=1)
    assert one.command() == "::warning file=a%2Cb.toml,line=1,title=x%2Cy%3Az%25::a%0Ab::%250A"
    assert Annotation(level="error", message="m").command() == "::error::m"


def test_control_characters_of_a_program_do_not_reach_the_log() -> None:
    """The runner's log is a terminal, too: a title could be set there, or a line be overwritten."""
    one = Annotation(level="error", message="last: \x1b]0;t\x07\rx\x9b\u202e", title="a\x1b[31mb\x00")
    assert one.command() == r"::error title=ab\x00::last: \x1b]0;t\x07\x0dx\x9b\u202e"
    assert len(Annotation(level="error", message="x" * 100_000).command()) < 4096


def test_files_are_named_from_the_root_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command may run in a folder of it."""
    (tmp_path / "tests").mkdir()
    monkeypatch.chdir(tmp_path / "tests")
    inside = Annotation(level="error", message="m", file="a.toml", line=3)
    assert list(annotate([inside], {"GITHUB_WORKSPACE": str(tmp_path)})) == [
        "::error file=tests/a.toml,line=3::m"
    ]
    outside = Annotation(level="error", message="m", file="/etc/a.toml", line=3)
    assert list(annotate([outside], {"GITHUB_WORKSPACE": str(tmp_path)})) == [
        "::error file=/etc/a.toml,line=3::m"
    ]


def test_no_more_annotations_than_github_shows() -> None:
    """It drops the rest, and a log with a thousand of them is no help."""
    many = failing(why=[f"why {number}" for number in range(50)])
    assert len(list(annotate(annotations_of(many), {}))) == 10


def test_nothing_is_told_elsewhere(tmp_path: Path) -> None:
    """A developer's terminal has no use for it."""
    path = tmp_path / "summary.md"
    assert list(report(failing(), None, {"GITHUB_STEP_SUMMARY": str(path)})) == []
    assert not path.exists()


def test_the_summary_has_the_verdict_the_numbers_and_the_failures(tmp_path: Path) -> None:
    """It is the page that one sees first."""
    path = tmp_path / "summary.md"
    path.write_text("# before\n")
    document = failing(checks=[CHECK], metrics=[METRIC])
    lines = list(
        report(document, Path("runs/x"), {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(path)})
    )
    assert len(lines) == 2
    text = path.read_text()
    assert text.startswith("# before\n## \N{CROSS MARK} ping: fail\n")
    assert "- `t/trial.toml:12` run/client step client-1 on lab3: exit 3 after" in text
    assert "| throughput | min 9 Gbit/s | 8.1 Gbit/s |  | 1 | **failed** |" in text
    assert "| throughput | bit/s |  | 3 | 8.1e+09 | 8e+09 | 7e+09 | 9e+09 | - |" in text
    assert "```text\none\ntwo\n```" in text
    assert "bundle `runs/x`" in text


def test_a_program_cannot_write_the_summary() -> None:
    """Fences, tables and links in its output stay text."""
    document = failing(
        steps=[failed(last=["````", "# big", "</details>"])], why=["a | b [x](y) <img> `c`\n# d"]
    )
    text = "".join(summary_blocks(document, None))
    assert "\n`````text\n````\n# big\n</details>\n`````\n" in text
    assert "- a \\| b \\[x\\](y) &lt;img&gt; \\`c\\` \\# d\n" in text


def test_the_summary_has_no_control_characters() -> None:
    """Who copies from it has a terminal; lines stay lines."""
    document = failing(steps=[failed(last=["a\x1b[2Jb", "c\x00"])], why=["x\x1b]0;evil\x07y"])
    text = "".join(summary_blocks(document, None))
    assert not {"\x1b", "\x00", "\x07"} & set(text)
    assert "\na\\x1b[2Jb\nc\\x00\n" in text


def test_the_summary_stays_below_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file over 1 MiB GitHub shows nothing, also not what other commands wrote."""
    monkeypatch.setattr(github, "MAX_SUMMARY_BYTES", 4000)
    path = tmp_path / "summary.md"
    path.write_text("x" * 1000)
    steps = [failed(node=f"n{number}", last=["y" * 100]) for number in range(40)]
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(path)}
    assert list(report(failing(steps=steps), None, environ))
    assert 3000 < path.stat().st_size <= 4000
    assert path.read_text().endswith("limit of 1 MiB.*\n")
    for _ in range(3):
        assert list(report(failing(steps=steps), None, environ))
    assert path.stat().st_size <= 4000


def test_a_summary_that_cannot_be_written_fails_nothing() -> None:
    """The verdict is what counts; it is told as a warning."""
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "/proc/nowhere/summary"}
    *_, last = report(result(step()), None, environ)
    assert last.startswith("::warning::the step summary cannot be written: ")


def test_what_a_node_prints_is_no_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands are stopped while output is shown, and an error is told after that."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with pytest.raises(UsageError), answering("text"):
        raise UsageError("no broker: x", hint="start one")
    stop, go_on, error = capsys.readouterr().err.splitlines()
    token = stop.removeprefix("::stop-commands::")
    assert len(token) == 32
    assert go_on == f"::{token}::"
    assert error == "::error::no broker: x%0Astart one"


def test_a_wrong_trial_is_annotated_at_its_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of its mistakes, before anybody opens the log."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    one = Diagnostic(path="a.toml", line=3, col=2, end_col=5, code="E030", message="no unit", hint='"3s"')
    whole = Diagnostic(path="a.toml", line=0, col=1, end_col=1, code="W001", message="odd")
    with pytest.raises(TrialError), answering("text"):
        raise TrialError([one, whole])
    assert capsys.readouterr().err.splitlines()[2:] == [
        "::warning file=a.toml,title=W001::odd",
        '::error file=a.toml,line=3,col=2,endColumn=5,title=E030::no unit%0A"3s"',
    ]


def test_elsewhere_an_error_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """By the command itself."""
    with pytest.raises(UsageError), answering("text"):
        raise UsageError("no")
    assert capsys.readouterr().err == ""


def test_a_wrong_trial_is_told_in_annotations_and_in_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` is for pull requests; whoever looks at the summary wants the reason."""
    wrong, summary = tmp_path / "t.toml", tmp_path / "summary.md"
    wrong.write_text('[trial]\nname = "t"\n[nodes]\nserver = "lab1"\n[run]\nservr = "true"\n')
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert check_files([wrong]) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("::")]
    assert line.startswith(f"::error file={wrong},line=6,col=1,endColumn=6,title=E012::no role `servr`")
    assert "not run: the trial is wrong" in summary.read_text()
    assert f"`{wrong}:6` E012: no role" in summary.read_text()
    wrong.write_text('[trial]\nname = "t"\n[nodes]\nserver = "lab1"\n[run]\nserver = "echo $no"\n')
    assert check_files([wrong]) == 0
    assert f"::warning file={wrong},line=6," in capsys.readouterr().err
