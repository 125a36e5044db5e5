"""What a node allows, whatever way a path is written, and that all of a phase's refusals are told at once."""

from dataclasses import replace
from pathlib import Path

import pytest

from agents.launcher.program import CannotStartError
from agents.policing import NotAllowedError, Policing
from agents.policy import OPEN, Policy, matches
from agents.policy_settings import read_policy
from fabric.errors import UsageError
from fabric.protocol.messages import FileSource, Prepare, Step
from tests.unit.scripted_node import step

ENV = {"PATH": "/usr/bin:/bin"}


@pytest.mark.parametrize(
    ("path", "pattern", "wanted"),
    [
        ("/opt/tests/run", "/opt/tests", True),
        ("/opt/tests", "/opt/tests/", True),
        ("/opt/tests2", "/opt/tests", False),
        ("/var/log/a.log", "/var/log/*.log", True),
        ("/var/log/x/a.log", "/var/log/*.log", False),
        ("/var/log/x/y/a.log", "/var/**/*.log", True),
        ("/etc/shadow", "/var/**", False),
    ],
)
def test_a_pattern_means_what_it_matches_and_all_below(path: str, pattern: str, wanted: bool) -> None:
    """A name that only begins like a directory is not in it."""
    assert matches(path, pattern) is wanted


def a_program(path: Path) -> Path:
    """Make something that can be executed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def program_step(*argv: str, **others: object) -> Step:
    """Return a step that executes a list."""
    return replace(step("a-1"), argv=argv, **others)  # type: ignore[arg-type]


def test_a_program_is_judged_by_where_its_name_leads(tmp_path: Path) -> None:
    """Links, `..` and a PATH of the step's own are ways around a rule about names."""
    good, bad = a_program(tmp_path / "good" / "run"), a_program(tmp_path / "bad" / "run")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (tmp_path / "good" / "link").symlink_to(bad)
    (scratch / "link").symlink_to(good)
    policing = Policing(Policy(paths=(str(tmp_path / "good"),)))
    for argv in (str(good), "./link", f"{tmp_path}/bad/../good/run"):
        assert policing.held(program_step(argv), scratch, ENV)[0] == str(good)
    for argv in (str(bad), f"{tmp_path}/good/link", f"{tmp_path}/good/../bad/run", "sh"):
        with pytest.raises(NotAllowedError, match="allow_path"):
            policing.held(program_step(argv), scratch, ENV)
    with pytest.raises(NotAllowedError):
        policing.held(program_step("run"), scratch, {"PATH": str(tmp_path / "bad")})
    with pytest.raises(NotAllowedError):  # what was put there is no program of the node's owner
        policing.held(program_step(str(a_program(scratch / "own"))), scratch, ENV)
    with pytest.raises(CannotStartError, match="does not exist"):
        policing.held(program_step("./none"), scratch, ENV)
    assert Policing(OPEN).held(program_step(str(bad)), scratch, ENV) == ("", "")


def test_a_text_for_the_shell_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """Whoever allows a directory does not allow the shell."""
    policing = Policing(Policy(paths=("/opt/tests",)))
    with pytest.raises(NotAllowedError, match="write the command as a list"):
        policing.held(program_step("/bin/sh", "-c", "true"), tmp_path, ENV)
    assert policing.facts()["policy_shell"] == "no"
    assert "policy_shell" not in Policing(Policy(paths=("/bin/sh",))).facts()


def test_all_refusals_of_a_phase_are_told_at_once(tmp_path: Path) -> None:
    """Who mends a trial wants to know all that is wrong, and each with its rule."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "out").symlink_to("/etc")
    file = FileSource(path="out/passwd", size=1, sha256="0" * 64, mode=0o644)
    steps = (
        program_step("true"),
        replace(step("a-2"), verb="put", argv=(), files=(file, replace(file, path="inside"))),
        replace(step("a-3"), verb="fetch", argv=(), paths=("/etc/passwd", "/opt/*.log", "*.log")),
        replace(step("a-4"), verb="fetch", argv=(), paths=("/root/*",)),
    )
    prepare = Prepare(run="r", node="lab1", phase="1/run", end=(), failed=False, stopped=False, steps=steps)
    policy = Policy(users=("nobody-else",), paths=("/opt",), only_scratch=True)
    refused = Policing(policy).refusal(prepare, scratch, lambda _: ENV)
    assert refused is not None
    assert refused.step.endswith("a-1")
    for words in ("as user", "step a-2: it would put a file at /etc/passwd", "read_only_put", "step a-3"):
        assert words in refused.sentence, refused.sentence
    assert "step a-4: it would read /root" in refused.sentence
    assert "inside" not in refused.sentence
    assert "/opt" in refused.sentence
    assert Policing(OPEN).refusal(prepare, scratch, lambda _: ENV) is None
    reset = Policing(policy).refusal(replace(prepare, phase="1/reset"), scratch, lambda _: ENV)
    assert reset is not None
    assert reset.step == ""  # it is the node that cannot be cleaned up


def test_options_win_over_the_file_and_that_over_the_settings(tmp_path: Path) -> None:
    """Key by key."""
    file = tmp_path / "policy.toml"
    file.write_text('[policy]\nallow_path = ["/b"]\nread_only_put = true\n')
    file.chmod(0o644)
    section = {"allow_path": ("/a",), "allow_user": ("root",)}
    made = read_policy({"allow_path": ("/c",), "allow_user": ()}, file, section)
    assert made == Policy(users=("root",), paths=("/c",), only_scratch=True)
    assert read_policy({}, None, {}) == OPEN
    file.chmod(0o666)
    with pytest.raises(UsageError, match="others than its owner"):
        read_policy({}, file, {})
    for told in ({"allow_path": ("opt",)}, {"allow_path": ("/a/../b",)}, {"allow_user": ("no-such-user",)}):
        with pytest.raises(UsageError):
            read_policy(told, None, {})
    file.chmod(0o600)
    file.write_text('[policy]\nallow_users = ["root"]\n')
    with pytest.raises(UsageError, match="allow_user"):
        read_policy({}, file, {})
