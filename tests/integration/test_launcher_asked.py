"""What a step asks for besides its command: another user, a terminal, an input, limits."""

import os
import pwd
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.launcher.asked import Asked
from agents.launcher.events import ArmFailed, Ended, Exited, Started

NOBODY = "nobody"


def output(lab: Any, line: str, directory: str = "/", **asked: Any) -> bytes:
    """Run a line of shell to its end; return what it wrote."""
    armed = lab.start("a", lab.sh(line), directory, Asked(**asked))
    data: bytes = lab.read(armed.stdout_fd)
    assert lab.wait(Exited, "a").exit_code == 0, lab.read(armed.stderr_fd)
    lab.wait(Ended, "a")
    return data


def refusal(lab: Any, line: str, directory: str = "/", **asked: Any) -> str:
    """Arm what cannot be; return the sentence."""
    lab.client.arm("a", lab.sh(line), lab.env, directory, ask=Asked(**asked))
    sentence: str = lab.wait(ArmFailed, "a").sentence
    return sentence


# --- user ---------------------------------------------------------------------------------------------


@pytest.fixture
def root() -> None:
    """Other users are root's matter."""
    if os.geteuid() != 0:
        pytest.skip("running a step as another user needs root")


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """As a node's: closed to others, but nothing above it is, unlike the tests' own directory."""
    with tempfile.TemporaryDirectory(prefix="fabric-user-") as name:
        yield Path(name)


@pytest.mark.usefixtures("root")
def test_a_step_runs_as_another_user_in_all_respects(plain_lab: Any) -> None:
    """Not only the number: groups that root has would open doors, and HOME of root is closed."""
    found = pwd.getpwnam(NOBODY)
    line = 'id -u; id -g; id -G; echo "$HOME $USER $LOGNAME $SHELL"; echo again > /dev/stdout'
    said = output(plain_lab, line, user=NOBODY).decode().splitlines()
    groups = " ".join(map(str, os.getgrouplist(NOBODY, found.pw_gid)))
    assert said == [
        str(found.pw_uid),
        str(found.pw_gid),
        groups,
        f"{found.pw_dir} {NOBODY} {NOBODY} {found.pw_shell}",
        "again",
    ]


@pytest.mark.usefixtures("root")
def test_the_launcher_is_root_again_afterwards(plain_lab: Any) -> None:
    """It looks at files as the step's user for a moment; what it starts next must not be that user's."""
    refusal(plain_lab, "true", directory="/root/nowhere", user=NOBODY)
    assert output(plain_lab, "id -u; id -G").split() == [str(os.geteuid()).encode(), b"0"]


@pytest.mark.usefixtures("root")
def test_the_scratch_directory_is_the_users(plain_lab: Any, state_dir: Path) -> None:
    """A step that cannot write where it works, or find it by its name, is of no use."""
    scratch = state_dir / "scratch" / "run"
    scratch.mkdir(mode=0o700, parents=True)
    (state_dir / "scratch").chmod(0o700)
    (state_dir / "keys").mkdir(mode=0o700)
    where = (str(scratch), str(state_dir))
    line = "echo mine > file; cat $PWD/file; ls ../../keys 2>&1 || true; ls .. 2>&1 || true"
    said = output(plain_lab, line, str(scratch), user=NOBODY, scratch=where).decode()
    assert said.startswith("mine\n")
    assert said.count("ermission denied") == 2, "what else lies there stays closed"
    assert (scratch / "file").stat().st_uid == pwd.getpwnam(NOBODY).pw_uid


@pytest.mark.usefixtures("root")
def test_a_second_user_gets_into_the_scratch_directory_too(plain_lab: Any, state_dir: Path) -> None:
    """Two steps of a run on one node may have two users."""
    scratch = state_dir / "run"
    scratch.mkdir(mode=0o700)
    where = (str(scratch), str(state_dir))
    for user in (NOBODY, "daemon", NOBODY):
        output(plain_lab, f"echo x > of-{user}", str(scratch), user=user, scratch=where)
        plain_lab.client.drained("a")
    assert {path.name for path in scratch.iterdir()} == {"of-nobody", "of-daemon"}


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("line", "directory", "asked", "sentence"),
    [
        ("true", "/", {"user": "no-such-user"}, "there is no user 'no-such-user' on this node"),
        ("true", "/root", {"user": NOBODY}, "'/root' may not be entered by the step's user"),
        ("true", "/root/x", {"user": NOBODY}, "by the step's user: '/root' is closed to it"),
        ("cat", "/", {"user": NOBODY, "stdin_file": "/etc/shadow"}, "stdin: '/etc/shadow' cannot be opened"),
    ],
)
def test_what_a_user_may_not_is_refused_when_it_is_armed(
    plain_lab: Any, line: str, directory: str, asked: dict[str, Any], sentence: str
) -> None:
    """That is in the prepare of a phase: nothing has started anywhere."""
    assert sentence in refusal(plain_lab, line, directory, **asked)


@pytest.mark.usefixtures("root")
def test_a_program_is_looked_for_with_the_users_rights(plain_lab: Any, state_dir: Path) -> None:
    """Root may execute what the user may not."""
    tool = state_dir / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o700)
    state_dir.chmod(0o711)
    plain_lab.client.arm("a", [str(tool)], plain_lab.env, "/", ask=Asked(user=NOBODY))
    assert "not executable by the step's user" in plain_lab.wait(ArmFailed, "a").sentence


@pytest.mark.usefixtures("root")
def test_a_step_of_another_user_is_ended_like_any(lab: Any) -> None:
    """Its processes and what they leave behind are found and killed; it dies with its launcher."""
    lab.start(
        "a", lab.sh("setsid sh -c 'trap \"\" TERM; echo up; sleep 1000' & wait"), ask=Asked(user=NOBODY)
    )
    lab.client.end("a", signal.SIGTERM, 0.2)
    assert lab.wait(Ended, "a").survivors == ()


# --- pty ----------------------------------------------------------------------------------------------


def test_a_terminal_is_one_in_all_respects(plain_lab: Any) -> None:
    """Programs that print line by line, in colour or not at all ask whether it is one, and how wide."""
    line = "tty <&1; stty size <&1; test -t 2 && echo err >&2; echo ctl > /dev/tty; test -t 0 || echo $TERM"
    armed = plain_lab.start("a", plain_lab.sh(line), ask=Asked(pty=True))
    said = plain_lab.read(armed.stdout_fd).decode().splitlines()
    assert said[0].startswith("/dev/pts/")
    assert said[1:] == ["24 80", "err", "ctl", "xterm"]
    assert plain_lab.read(armed.stderr_fd) == b"", "it ends by itself"
    assert Path(f"/proc/{plain_lab.client.pid}/stat").read_text().split()[6] == "0", (
        "it is not the launcher's"
    )


def test_bytes_come_out_of_a_terminal_as_they_were_written(plain_lab: Any) -> None:
    """A newline stays one byte, and so does everything else: output is bytes."""
    code = "os.write(1, bytes(range(256)) * 5000)"
    armed = plain_lab.start("a", plain_lab.python(code), ask=Asked(pty=True))
    assert plain_lab.read(armed.stdout_fd) == bytes(range(256)) * 5000


def test_a_terminal_that_is_read_late_has_lost_nothing(plain_lab: Any) -> None:
    """The program has ended long before, and a program that prints more waits until somebody reads."""
    armed = plain_lab.start("a", plain_lab.sh("seq 1 300"), ask=Asked(pty=True))
    plain_lab.wait(Ended, "a")
    assert plain_lab.read(armed.stdout_fd).split() == [b"%d" % n for n in range(1, 301)]

    armed = plain_lab.start("b", plain_lab.sh("exec seq 1 200000"), ask=Asked(pty=True))
    plain_lab.wait(Started, "b")
    stat = Path(f"/proc/{armed.pid}/stat")
    plain_lab.until(lambda: stat.read_text().split()[2] == "S", "its waiting in write")
    rest = plain_lab.read(armed.stdout_fd)
    assert rest.endswith(b"199999\n200000\n")
    assert plain_lab.wait(Exited, "b").exit_code == 0


# --- stdin --------------------------------------------------------------------------------------------


def test_stdin_is_empty_if_nothing_is_said(plain_lab: Any) -> None:
    """A program that asks something must not wait for an answer."""
    assert output(plain_lab, "wc -c").split() == [b"0"]


@pytest.mark.parametrize("pty", [False, True])
def test_stdin_is_the_bytes_that_were_said(plain_lab: Any, pty: bool) -> None:
    """Any byte, more than a pipe holds, also beside a terminal; for each attempt from the begin."""
    data = bytes(range(256)) * 400
    for _ in range(2):
        assert output(plain_lab, "cat", stdin=data, pty=pty) == data
        plain_lab.client.drained("a")


def test_stdin_is_a_file_of_the_node(plain_lab: Any, tmp_path: Path) -> None:
    """Relative to the directory in which the step works."""
    (tmp_path / "words").write_bytes(b"of the file")
    assert output(plain_lab, "cat", str(tmp_path), stdin_file="words") == b"of the file"


def test_a_file_for_stdin_that_cannot_be_is_refused(plain_lab: Any, tmp_path: Path) -> None:
    """At arming; and a pipe without a writer would keep the launcher from everything else."""
    os.mkfifo(tmp_path / "pipe")
    assert "missing' cannot be opened: No such file" in refusal(
        plain_lab, "cat", str(tmp_path), stdin_file="missing"
    )
    assert "is no plain file" in refusal(plain_lab, "cat", str(tmp_path), stdin_file="pipe")
    assert "is no plain file" in refusal(plain_lab, "cat", "/", stdin_file=str(tmp_path))


# --- limits -------------------------------------------------------------------------------------------


def test_limits_are_those_of_the_step_alone(plain_lab: Any) -> None:
    """Soft and hard: a program cannot lift them.  The next step has its own."""
    limits = {"files": 77, "file_size": 512 * 1000, "core": 0, "cpu": 9, "memory": 4096 << 20}
    line = "ulimit -n; ulimit -f; ulimit -c; ulimit -t; ulimit -v; ulimit -H -n"
    assert output(plain_lab, line, limits=limits).split() == [b"77", b"1000", b"0", b"9", b"4194304", b"77"]
    plain_lab.client.drained("a")
    assert output(plain_lab, "ulimit -n").split() != [b"77"]


OVER_FILE_SIZE = (
    "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
    "fd = os.open('x', os.O_WRONLY | os.O_CREAT)\n"
    "os.write(fd, bytes(99)); os.write(fd, bytes(9)); os.write(fd, bytes(9))"
)


@pytest.mark.parametrize(
    ("code", "limits", "ended_by"),
    [
        ("while True: pass", {"cpu": 1}, (signal.SIGXCPU, "cpu")),
        (
            "signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
            {"cpu": 1},
            (signal.SIGKILL, "cpu"),
        ),
        (OVER_FILE_SIZE, {"file_size": 100}, (signal.SIGXFSZ, "file_size")),
        ("os.kill(os.getpid(), signal.SIGKILL)", {"cpu": 9, "memory": 1 << 30}, (signal.SIGKILL, "")),
    ],
)
def test_the_limit_that_has_ended_a_program_is_named(
    plain_lab: Any, tmp_path: Path, code: str, limits: dict[str, int], ended_by: tuple[int, str]
) -> None:
    """`killed by SIGKILL` alone sends people looking for the wrong thing."""
    plain_lab.start("a", plain_lab.python(code), str(tmp_path), Asked(limits=limits))
    exited = plain_lab.wait(Exited, "a")
    assert (exited.signal, exited.limit) == ended_by


def test_memory_over_the_limit_is_not_had(plain_lab: Any) -> None:
    """The program learns it from the system and says so itself."""
    code = "try: bytearray(1 << 30)\nexcept MemoryError: os.write(1, b'no')"
    armed = plain_lab.start("a", plain_lab.python(code), ask=Asked(limits={"memory": 256 << 20}))
    assert plain_lab.read(armed.stdout_fd) == b"no"


@pytest.mark.usefixtures("root")
def test_processes_over_the_limit_are_not_had(plain_lab: Any) -> None:
    """Of a user other than root; root is bound by a cgroup alone, and it is said where there is none."""
    line = "for n in 1 2 3 4 5 6; do sleep 1000 & done 2>/dev/null; echo $(jobs -p | wc -l)"
    armed = plain_lab.start("a", plain_lab.sh(line), ask=Asked(user=NOBODY, limits={"processes": 4}))
    exited = plain_lab.wait(Exited, "a")
    said = plain_lab.read(armed.stdout_fd) + plain_lab.read(armed.stderr_fd)
    assert exited.exit_code != 0 or b"6" not in said, said
    plain_lab.client.drained("a")
    assert "does not bind root" in refusal(plain_lab, "true", limits={"processes": 4})


def test_limits_that_cannot_be_had_are_refused(plain_lab: Any) -> None:
    """A limit that nobody keeps would be worse than none."""
    assert "over the" in refusal(plain_lab, "true", limits={"files": 1 << 40})
    assert "no limit 'patience'" in refusal(plain_lab, "true", limits={"patience": 1})


def test_a_limit_under_which_the_program_cannot_start_is_told(plain_lab: Any) -> None:
    """It comes before the start, not as a riddle."""
    assert "limits.memory" in refusal(plain_lab, "true", limits={"memory": 4096})
