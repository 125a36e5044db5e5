"""The live view on a terminal: it goes with every size and speed, and leaves the terminal as it was."""

import sys
import termios
from pathlib import Path

from tests.acceptance.test_local import bundle_of
from tests.appearing import wait_for
from tests.terminal import WITHIN_S, Terminal

FABRIC_RUN = str(Path(sys.executable).with_name("fabric-run"))


def terminal(home: dict[str, str], tmp_path: Path, trial: str) -> Terminal:
    path = tmp_path / "trial.toml"
    path.write_text(trial)
    output = tmp_path / "work" / "runs"
    return Terminal([FABRIC_RUN, "--local", str(path), "-o", str(output)], home | {"TERM": "xterm"})


def test_the_table_follows_the_terminal_and_goes_with_ctrl_c(home: dict[str, str], tmp_path: Path) -> None:
    """A window is made smaller in the middle of a run, and the run is interrupted: both are everyday."""
    trial = '[trial]\nname = "waits"\n[nodes]\na = "lab[1-2]"\n[run]\na = "echo hello; sleep 60"\n'
    with terminal(home, tmp_path, trial) as tty:
        before = termios.tcgetattr(tty.fd)
        tty.until(lambda screen: "a-1" in screen.text and "LAST LINE" in screen.text)
        assert len(next(row for row in tty.screen.rows if row.startswith("─"))) == 99
        tty.resize(60, 15)
        tty.until(lambda screen: any(row == "─" * 59 for row in screen.rows))
        tty.type(b"\x03")
        assert tty.end() == 130
        assert tty.screen.cursor_shown
        assert "LAST LINE" not in "\n".join(tty.screen.rows)
        assert "\ninterrupted  " in tty.screen.text
        assert termios.tcgetattr(tty.fd) == before


def test_a_terminal_that_stands_still_does_not_hold_the_run_up(home: dict[str, str], tmp_path: Path) -> None:
    """Ctrl-S, a hung ssh: the run reaches its verdict, and what was not shown is counted."""
    trial = '[trial]\nname = "floods"\n[nodes]\na = "lab1"\n[run]\na = "seq 1 300000"\n'
    runs = tmp_path / "work" / "runs"
    runs.mkdir(parents=True)
    with terminal(home, tmp_path, trial) as tty:  # which nobody reads
        bundle = wait_for(runs, "2*", tty.process.pid, WITHIN_S)
        wait_for(bundle, "MANIFEST.sha256", tty.process.pid, WITHIN_S)
        assert tty.end() == 0
        assert " lines not shown: " in tty.screen.text
        assert "\npass  " in tty.screen.text
    kept = (bundle_of(tmp_path) / "out/1/run/lab1/a-1.stdout").read_text().split()
    assert kept == [str(number) for number in range(1, 300_001)]
