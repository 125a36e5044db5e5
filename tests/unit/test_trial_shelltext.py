"""Lines for sh with the values of their variables."""

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.trial.shelltext import MAX_VALUE_CHARS, with_values

VALUES = {"server": "10.0.0.1", "n": "8", "long": "x" * (MAX_VALUE_CHARS + 1)}


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("iperf3 -c $server -P $n", "iperf3 -c 10.0.0.1 -P 8"),
        ('echo "${server}:$n"', 'echo "10.0.0.1:8"'),
        ("echo '$server' \\$server", "echo '$server' \\$server"),
        ("echo \"it's $server\" '$n'", "echo \"it's 10.0.0.1\" '$n'"),
        ("echo ${server:-x} $other $long", "echo ${server:-x} $other $long"),
        ("for n in 1 2; do echo $n $server; done", "for n in 1 2; do echo $n 10.0.0.1; done"),
        ("echo '$n", "echo '$n"),
        ("", ""),
    ],
)
def test_what_the_shell_would_replace_is_replaced(line: str, shown: str) -> None:
    """What is shown is what runs; a value that would hide the command is not."""
    assert with_values(line, VALUES) == shown


@settings(max_examples=50)  # two processes each
@given(st.lists(st.sampled_from(["$a", "${b}", "'", '"', "\\", " ", "x", "$c"]), max_size=8).map(".".join))
def test_the_shell_sees_the_same(line: str) -> None:
    """Held against the shell itself: a line prints the same with values as with variables."""
    sh = shutil.which("sh")
    assert sh is not None

    def printed(text: str, env: dict[str, str]) -> tuple[int, bytes]:
        done = subprocess.run([sh, "-c", f"printf '%s\\n' {text}"], env=env, capture_output=True, check=False)
        return (done.returncode, done.stdout) if done.returncode == 0 else (1, b"")

    values = {"a": "A1", "b": "B2"}
    assert printed(with_values(line, values), {}) == printed(line, values)
