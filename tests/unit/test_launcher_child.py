"""What a step finds as if there were no launcher."""

import os
from pathlib import Path

import pytest

from agents.launcher import child


@pytest.mark.parametrize(("launcher", "step"), [("-900", "0"), ("0", "0"), ("300", "300")])
def test_a_step_is_not_spared_with_its_launcher(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, launcher: str, step: str
) -> None:
    """As a service agent and launcher are the last to go when memory is short: what eats it must go first.

    A file stands for the kernel's: only a few users may have a score below 0.
    """
    score = tmp_path / "oom_score_adj"
    score.write_text(launcher)
    monkeypatch.setattr(child, "_OOM_SCORE", str(score))
    mask = os.umask(0o022)
    inherited = child.Inherited()
    os.umask(mask)
    pid = os.fork()
    if pid == 0:
        try:
            child._reset(child.Plan("/bin/true", [], {}, "/", 0), inherited)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert score.read_text() == step
