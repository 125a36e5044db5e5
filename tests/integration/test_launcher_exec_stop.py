"""A step that the kernel holds after its exec: it starts and ends like any, and cannot tell."""

import json
import os
import pwd
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.launcher import client, starting, tree
from agents.launcher.asked import Asked
from agents.launcher.events import ArmFailed, Ended, Exited, Held, LauncherDied, Started

ROOT = str(Path(__file__).resolve().parents[2])
NOBODY = "nobody"
NET_BIND = 1 << 10  # CAP_NET_BIND_SERVICE

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="being another user needs root")

LOOK = ["/bin/cat", *(f"/proc/self/{name}" for name in ("status", "limits", "personality", "timerslack_ns"))]
ITS_OWN = (
    "SigQ",
    "FDSize",
    "Pid",
    "Tgid",
    "NS",
    "Vm",
    "Rss",
    "Huge",
    "PPid",
    "voluntary",
    "nonvoluntary",
    "Cpus",
    "Mems",
)
"""Lines of a status that differ from process to process."""


def state_of(pid: int) -> str:
    """Return the letter of a process' state; t: stopped by who traces it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def tracer_of(pid: int) -> int:
    """Return who traces a process, or 0."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("TracerPid:")[2].split()[0])


def test_a_step_is_held_by_the_kernel_and_its_libraries_are_loaded(plain_lab: Any) -> None:
    """What a start costs is paid before its instant: fork, exec and linking."""
    lab = plain_lab
    armed = lab.arm("a", lab.python("print('here')"))
    assert state_of(armed.pid) == "t"
    assert tracer_of(armed.pid) == lab.client.pid
    t0_ns = time.monotonic_ns() + 20_000_000
    lab.client.release(["a"], t0_ns)
    started = lab.wait(Started, "a")
    assert (started.event, started.way, started.way_why) == ("release", "exec_stop", "")
    assert started.is_linked or os.uname().machine != "x86_64"
    assert started.t_ns == started.released_ns
    assert started.ordered_ns < t0_ns <= started.woke_ns <= started.t_ns
    assert lab.read(armed.stdout_fd) == b"here\n"


@pytest.mark.parametrize("user", ["", pytest.param(NOBODY, marks=needs_root)])
def test_a_program_cannot_tell_how_it_was_held(plain_lab: Any, gate_lab: Any, user: str) -> None:
    """Signals, limits, credentials, scheduling: what it finds is what it finds without any tracing."""
    found = []
    for lab in (plain_lab, gate_lab):
        armed = lab.start("a", LOOK, ask=Asked(user=user))
        lines = lab.read(armed.stdout_fd).decode().splitlines()
        assert f"PPid:\t{lab.client.pid}" in lines
        found.append([line for line in lines if not line.startswith(ITS_OWN)])
        lab.wait(Ended, "a")
    assert found[0] == found[1]
    assert {"TracerPid:\t0", "SigPnd:\t0000000000000000", "SigIgn:\t0000000000000000"} <= set(found[0])


def test_a_step_is_an_ordinary_process_soon_after_its_release(plain_lab: Any) -> None:
    """Its head start ends by itself, and what it starts meanwhile never had one."""
    lab = plain_lab
    code = (
        "import os\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(os.sched_getscheduler(0))\n"
        "status = os.waitpid(child, 0)[1]\n"
        "while os.sched_getscheduler(0): pass\n"
        "print('ordinary', status)"
    )
    armed = lab.arm("a", lab.python(code))
    lab.client.release(["a"], time.monotonic_ns() + 20_000_000)
    assert lab.read(armed.stdout_fd) == b"ordinary 0\n"


def test_no_code_of_a_library_runs_before_the_release(plain_lab: Any, tmp_path: Path) -> None:
    """Loaded is not begun: an initialiser may open files and connections, or look at the clock."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    source = tmp_path / "early.c"
    source.write_text(
        "#include <fcntl.h>\n"
        f'__attribute__((constructor)) static void early(void) {{ creat("{tmp_path}/made", 0600); }}\n'
    )
    library = tmp_path / "early.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    lab = plain_lab
    lab.env["LD_PRELOAD"] = str(library)
    armed = lab.arm("a", ["/bin/true"])
    assert str(library) in Path(f"/proc/{armed.pid}/maps").read_text()
    assert not (tmp_path / "made").exists()
    lab.client.release(["a"])
    assert lab.wait(Started, "a").is_linked
    assert lab.wait(Exited, "a").exit_code == 0
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("name", "value", "linked"),
    [("LD_DEBUG", "libs", False), ("LD_LIBRARY_PATH", "/nowhere", True), ("LD_BIND_NOW", "1", True)],
)
def test_a_linker_that_prints_waits_for_the_release(
    plain_lab: Any, name: str, value: str, *, linked: bool
) -> None:
    """What it writes is output of the step, and its time is the step's."""
    plain_lab.env[name] = value
    armed = plain_lab.start("a", ["/bin/echo", "said"])
    assert plain_lab.wait(Started, "a").is_linked is linked
    assert plain_lab.read(armed.stdout_fd) == b"said\n"
    plain_lab.wait(Ended, "a")


def test_a_missing_library_is_the_steps_own_failure(plain_lab: Any, tmp_path: Path) -> None:
    """It is said on its stderr, at its time, as without the fabric; linking ahead must not eat it."""
    broken = tmp_path / "broken"
    data = Path("/bin/true").read_bytes()
    assert b"libc.so.6\0" in data
    broken.write_bytes(data.replace(b"libc.so.6\0", b"libx.so.6\0"))
    broken.chmod(0o755)
    armed = plain_lab.start("a", [str(broken)])
    started = plain_lab.wait(Started, "a")
    assert (started.way, started.is_linked) == ("exec_stop", False)
    assert plain_lab.wait(Exited, "a").exit_code == 127
    assert b"libx.so.6" in plain_lab.read(armed.stderr_fd)


def test_a_static_program_is_held_after_its_exec(plain_lab: Any, tmp_path: Path) -> None:
    """There is nothing to link, so it is at its first instruction."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    source = tmp_path / "static.c"
    source.write_text('#include <unistd.h>\nint main(void) { return write(1, "up", 2) != 2; }\n')
    subprocess.run([compiler, "-static", "-o", tmp_path / "static", source], check=True)
    armed = plain_lab.start("a", [str(tmp_path / "static")])
    started = plain_lab.wait(Started, "a")
    assert (started.way, started.is_linked) == ("exec_stop", False)
    assert plain_lab.read(armed.stdout_fd) == b"up"


def test_scripts_threads_and_children_are_nothing_special(plain_lab: Any, tmp_path: Path) -> None:
    """Only the first exec is held: what the program starts later is its own."""
    script = tmp_path / "script"
    script.write_text(
        f"#!{sys.executable} -IS\nimport os; print(os.getpid(), open('/proc/self/status').read())"
    )
    script.chmod(0o755)
    armed = plain_lab.start("a", [str(script)])
    assert b"TracerPid:\t0" in plain_lab.read(armed.stdout_fd)
    code = (
        "import subprocess, threading\n"
        "thread = threading.Thread(target=lambda: subprocess.run(['/bin/echo', 'child'])); thread.start()\n"
        "thread.join(); os.posix_spawn('/bin/echo', ['echo', 'spawned'], {}); os.wait()"
    )
    armed = plain_lab.start("b", plain_lab.python(code))
    assert sorted(plain_lab.read(armed.stdout_fd).split()) == [b"child", b"spawned"]
    assert plain_lab.wait(Exited, "b").exit_code == 0


# --- lines of shell -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("sleep $time", "sleep"),
        ("sleep $time; true", "dash"),
        ("no-such-program $time", "dash"),
        ("./text", "dash"),
    ],
)
def test_the_program_of_a_plain_line_is_armed_itself(
    plain_lab: Any, tmp_path: Path, line: str, program: str
) -> None:
    """Else the shell would be at its start at the instant, and the program at its start some time later."""
    if Path("/bin/sh").resolve().name != "dash":
        pytest.skip("only dash is known well enough")
    plain_lab.env["time"] = "1000"
    (tmp_path / "text").write_text("echo a script without its first line\n")
    (tmp_path / "text").chmod(0o755)
    armed = plain_lab.arm("a", ["/bin/sh", "-c", line], str(tmp_path))
    assert Path(f"/proc/{armed.pid}/exe").resolve().name == program
    plain_lab.client.drop("a")


def test_a_plain_line_finds_what_it_finds_in_a_shell(plain_lab: Any, gate_lab: Any, tmp_path: Path) -> None:
    """Words, environment and directory; a lab that does nothing ahead takes the shell."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    said = []
    for lab in (plain_lab, gate_lab):
        lab.env["x"] = "two words"
        armed = lab.start("a", ["/bin/sh", "-c", "env a=1 'b=$x' env"], str(link))
        lines = lab.read(armed.stdout_fd).decode().splitlines()
        said.append(sorted(line for line in lines if not line.startswith("FABRIC_LAUNCHER=")))
        lab.wait(Ended, "a")
    assert said[0] == said[1]
    assert f"PWD={tmp_path}" in said[0]


# --- signals and death while it is held ----------------------------------------------------------------


def test_killing_a_held_step_is_its_end(plain_lab: Any) -> None:
    """The out-of-memory killer, say: nobody may wait for it, or believe that it has started."""
    lab = plain_lab
    armed = lab.arm("a", lab.python("print('never')"))
    lab.client.release(["a"], time.monotonic_ns() + 60_000_000_000)
    os.kill(armed.pid, signal.SIGKILL)
    assert lab.wait(Exited, "a").signal == signal.SIGKILL
    assert lab.wait(Ended, "a").survivors == ()
    assert lab.read(armed.stdout_fd) == b""
    assert not [event for event in lab.events if isinstance(event, Started)]


def test_a_signal_to_a_held_step_waits_for_it(plain_lab: Any) -> None:
    """It comes to the program as it would right after its exec; being stopped must not swallow it."""
    lab = plain_lab
    armed = lab.arm("a", lab.python("print('never')"))
    os.kill(armed.pid, signal.SIGTERM)
    os.kill(armed.pid, signal.SIGCONT)
    lab.client.beat()
    lab.turn()
    assert state_of(armed.pid) == "t"
    lab.client.release(["a"])
    lab.wait(Started, "a")
    assert lab.wait(Exited, "a").signal == signal.SIGTERM


def test_a_stop_to_a_held_step_holds_after_the_release(plain_lab: Any) -> None:
    """Who sends STOP wants the program stopped, and may continue it."""
    lab = plain_lab
    armed = lab.arm("a", lab.python("print('on')"))
    os.kill(armed.pid, signal.SIGSTOP)
    lab.client.release(["a"])
    lab.wait(Started, "a")
    lab.until(lambda: state_of(armed.pid) == "T", "the stop")
    assert tracer_of(armed.pid) == 0
    os.kill(armed.pid, signal.SIGCONT)
    assert lab.read(armed.stdout_fd) == b"on\n"


def test_held_steps_die_with_their_launcher(plain_lab: Any) -> None:
    """A launcher that is killed leaves neither stopped processes nor programs that run by its death."""
    lab = plain_lab
    client.become_subreaper()
    pids = [lab.arm(f"k{n}", lab.sh("echo ran > /dev/null; sleep 1000")).pid for n in range(20)]
    os.kill(lab.client.pid, signal.SIGKILL)
    lab.wait(LauncherDied)
    lab.until(lambda: all(tree.is_dead(pid) for pid in pids), "the end of all children")
    assert lab.client.kill_orphans() == []
    (lab.state_dir / starting.SOCKET_NAME).unlink()


def test_an_aborted_release_leaves_the_step_held(plain_lab: Any) -> None:
    """The same process starts with the next go."""
    lab = plain_lab
    armed = lab.arm("a", lab.python("print(time.monotonic_ns())"))
    first_ns = time.monotonic_ns() + 200_000_000
    lab.client.release(["a"], first_ns)
    lab.client.hold(["a"])
    assert lab.wait(Held) == Held(("a",), ())
    lab.until(lambda: time.monotonic_ns() > first_ns + 5_000_000, "the instant")
    assert state_of(armed.pid) == "t"
    second_ns = time.monotonic_ns() + 20_000_000
    lab.client.release(["a"], second_ns)
    assert lab.wait(Started, "a").t_ns >= second_ns
    assert int(lab.read(armed.stdout_fd)) > second_ns


def test_a_drop_ends_what_is_held_or_on_its_way(plain_lab: Any) -> None:
    """Also if the drop comes before the child has come to its stop; then its key is free at once."""
    lab = plain_lab
    held = lab.arm("held", ["sleep", "1000"])
    lab.client.drop("held")
    for _ in range(10):
        lab.client.arm("soon", ["sleep", "1000"], lab.env, "/")
        lab.client.drop("soon")
    armed = lab.arm("soon", ["/bin/echo", "last"])
    lab.client.release(["soon"])
    assert lab.read(armed.stdout_fd) == b"last\n"
    lab.wait(Ended, "soon")
    lab.until(lambda: tree.is_dead(held.pid) and not lab.left(), "the end of all")


def test_a_release_before_it_is_armed_is_kept(plain_lab: Any) -> None:
    """Who arms need not wait to release; the instant holds all the same."""
    lab = plain_lab
    lab.client.arm("a", ["true"], lab.env, "/")
    t0_ns = time.monotonic_ns() + 100_000_000
    lab.client.release(["a"], t0_ns)
    assert lab.wait(Started, "a").t_ns >= t0_ns
    assert lab.wait(Exited, "a").exit_code == 0


# --- where the trace would take something from the program ------------------------------------------------

ONE_STEP = f"""
import json, os, select, sys
sys.path.insert(0, {ROOT!r})
from pathlib import Path
from agents.launcher.client import LauncherClient
from agents.launcher.events import *
launcher = LauncherClient.start(Path(sys.argv[1]), lease_s=30, cgroups=False)
launcher.arm("a", sys.argv[2:], {{"PATH": os.environ["PATH"]}}, "/")
said, out = {{}}, -1
while not {{"Ended", "ArmFailed"}} & said.keys():
    select.select([launcher], [], [], 1)
    for event in launcher.receive():
        said[type(event).__name__] = repr(event)
        if isinstance(event, Armed):
            out = event.stdout_fd
            launcher.release(["a"])
        if isinstance(event, Started):
            said["way"], said["why"] = event.way, event.way_why
said["output"] = os.read(out, 1000).decode() if out >= 0 else ""
print(json.dumps(said))
launcher.kill_orphans()
"""


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that other users may enter, where set-user-id programs are what they are."""
    with tempfile.TemporaryDirectory(prefix="fabric-setid-", dir=ROOT) as name:
        directory = Path(name)
        directory.chmod(0o755)
        if os.statvfs(directory).f_flag & os.ST_NOSUID:
            pytest.skip("the file system ignores set-user-id bits")
        state = directory / "state"
        state.mkdir()
        shutil.chown(state, NOBODY)
        yield directory


def _by_nobody(state: Path, *argv: str) -> dict[str, str]:
    """Run a step with a launcher of an ordinary user; return what it said."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("there is no setpriv")
    found = pwd.getpwnam(NOBODY)
    # One capability is left to it, for the tests' own Python may lie in a closed home.
    user = ["--reuid", str(found.pw_uid), "--regid", str(found.pw_gid), "--clear-groups"]
    search = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    done = subprocess.run(
        [setpriv, *user, *search, sys.executable, "-I", "-S", "-c", ONE_STEP, str(state), *argv],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, str] = json.loads(done.stdout)
    return said


@needs_root
def test_an_agent_without_privileges_holds_after_the_exec_too(open_dir: Path) -> None:
    """It traces its own child, which needs no privilege."""
    said = _by_nobody(open_dir / "state", "/usr/bin/id", "-u")
    assert (said["way"], said["why"]) == ("exec_stop", "")
    assert said["output"] == f"{pwd.getpwnam(NOBODY).pw_uid}\n"


@needs_root
@pytest.mark.parametrize(
    ("mode", "what", "option"), [(0o4755, "set-user-id", "-u"), (0o2755, "set-group-id", "-g")]
)
def test_a_program_that_would_lose_its_privilege_waits_at_its_gate(
    open_dir: Path, mode: int, what: str, option: str
) -> None:
    """Executed under trace it would run as who started it, and a test would fail for the fabric's sake."""
    tool = open_dir / "tool"
    shutil.copy("/usr/bin/id", tool)
    tool.chmod(mode)
    said = _by_nobody(open_dir / "state", str(tool), option)
    assert said["way"] == "gate"
    assert said["why"] == f"{str(tool)!r} is a {what} program, which it would lose under trace"
    assert said["output"] == "0\n"


@needs_root
def test_a_program_with_capabilities_of_its_own_waits_at_its_gate(open_dir: Path) -> None:
    """They are on its file as the set-user-id bit is, and no `ls` shows them."""
    tool = open_dir / "tool"
    shutil.copy("/usr/bin/grep", tool)
    try:
        os.setxattr(tool, "security.capability", struct.pack("<5I", 0x0200_0001, NET_BIND, 0, 0, 0))
    except OSError as error:
        pytest.skip(f"this system gives no file a capability: {error.strerror}")
    said = _by_nobody(open_dir / "state", str(tool), "CapEff", "/proc/self/status")
    assert said["way"] == "gate"
    assert said["why"] == f"{str(tool)!r} has capabilities, which it would lose under trace"
    assert int(said["output"].split()[1], 16) & NET_BIND


@needs_root
def test_a_script_of_such_an_interpreter_waits_too(open_dir: Path) -> None:
    """The kernel looks at the interpreter, not at the script."""
    tool, script = open_dir / "tool", open_dir / "script"
    shutil.copy("/usr/bin/id", tool)
    tool.chmod(0o4755)
    script.write_text(f"#!{tool} -u\n")
    script.chmod(0o755)
    said = _by_nobody(open_dir / "state", str(script))
    assert (said["way"], "set-user-id" in said["why"]) == ("gate", True)


@needs_root
def test_with_the_right_to_trace_all_nothing_is_lost(plain_lab: Any, open_dir: Path) -> None:
    """The kernel leaves the privilege to a program whose tracer may trace anybody."""
    tool = open_dir / "tool"
    shutil.copy("/usr/bin/id", tool)
    tool.chmod(0o4755)
    armed = plain_lab.start("a", [str(tool), "-u"], ask=Asked(user=NOBODY))
    started = plain_lab.wait(Started, "a")
    if started.way == "gate":
        assert "set-user-id" in started.way_why  # a container's root without CAP_SYS_PTRACE
    assert plain_lab.read(armed.stdout_fd) == b"0\n"


NO_PTRACE = """
import ctypes, struct
rules = [(0x20, 0, 0, 0), (0x15, 0, 1, 101), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
code = b"".join(struct.pack("HBBI", *rule) for rule in rules)  # ptrace: EPERM; all else: as it is
place = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(rules), ctypes.addressof(place)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(program)), 0, 0) == 0
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the filter has the numbers of x86-64")
def test_where_the_system_refuses_to_trace_a_step_waits_at_its_gate(tmp_path: Path) -> None:
    """A container's filter, say: everything works as before, and the record says why it starts later."""
    words = [sys.executable, "-I", "-S", "-c", NO_PTRACE + ONE_STEP, str(tmp_path), "/bin/echo", "said"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["output"] == "said\n"
    assert (said["way"], said["why"]) == (
        "gate",
        "this system refuses to trace it: Operation not permitted",
    )


def test_an_unreadable_program_is_held_after_its_exec(plain_lab: Any, tmp_path: Path) -> None:
    """It may be executed, but not looked into: no reason to fall back further than to its exec."""
    tool = tmp_path / "tool"
    shutil.copy("/bin/echo", tool)
    tool.chmod(0o111)
    armed = plain_lab.start("a", [str(tool), "said"])
    assert plain_lab.wait(Started, "a").way == "exec_stop"
    assert plain_lab.read(armed.stdout_fd) == b"said\n"
    assert not [event for event in plain_lab.events if isinstance(event, ArmFailed)]
