"""The ends of what steps wrote, as text for people."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fabric.protocol.names import StepId
from fabric.report.paths import stream_path

MAX_STEPS: Final = 1000
"""Of so many failed steps the last lines are kept in result.json: beyond, they are one failure many times."""

LINES: Final = 20
"""So many of the last lines explain most failures."""

BYTES: Final = 8192
"""Of each stream no more than that is read for them."""


def tail(path: Path, limit_bytes: int) -> str:
    """Return the end of a file as text, from the beginning of a line on; "" if there is none."""
    try:
        with path.open("rb") as file:
            length = file.seek(0, 2)
            file.seek(max(0, length - limit_bytes))
            data = file.read()
    except OSError:
        return ""
    if length > limit_bytes:
        data = data.partition(b"\n")[2] or data
    return data.decode("utf-8", "replace")


def with_last_lines(result: Mapping[str, Any], bundle: Path) -> dict[str, Any]:
    """Return a result document in which failed steps have their ``last`` lines.

    Those of stdout stand first; where a step wrote to both streams, each has half of them.

    Args:
        result: The content of result.json.
        bundle: The directory that has out/.
    """
    steps, left = [], MAX_STEPS
    for step in result.get("steps") or ():
        if step.get("failed") and left:
            left -= 1
            steps.append({**step, "last": _last(step, bundle)})
        else:
            steps.append(step)
    return {**result, "steps": steps} if steps else dict(result)


def _last(step: Mapping[str, Any], bundle: Path) -> list[str]:
    place = StepId(step["repeat"], step["phase"], step["role"], step["step"], step.get("cell", 0))
    texts = [
        tail(bundle / stream_path(step["node"], place, step["attempt"], stream), BYTES).splitlines()
        for stream in ("stdout", "stderr")
    ]
    count = LINES // 2 if all(texts) else LINES
    return [line for lines in texts for line in lines[-count:]]
