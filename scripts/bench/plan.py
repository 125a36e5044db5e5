"""How long ``fabric-run --plan`` takes for 1,000 cells on 100 nodes, beside ``json.dumps`` of as many dicts.

The floor writes dicts of the same content, that of one cell again and again: what it costs if nothing has
to be found out.  The plan as text has a line where nodes differ, not one for each step.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fabric.controller.plan import RunPlan, make_plan
from fabric.report.plan_json import plan_json
from fabric.trial.cells import cells_of
from fabric.trial.load import load_trial
from fabric.trial.resolve import resolve

CELLS = (40, 25)
NODES = 100
ROUNDS = 3

TRIAL = """
[trial]
name = "large"
[matrix]
x = {x}
y = {y}
[nodes]
target = "sut"
load   = "gen[001-{nodes:03}]"
[startup]
target = {{ spawn = "serve --size $x" }}
[run]
load = ["prepare $target", "load --from $me --to $target -x $x -y $y", "true"]
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-plan-") as place:
        path = Path(place) / "large.toml"
        x, y = (list(range(count)) for count in CELLS)
        path.write_text(TRIAL.format(x=x, y=y, nodes=NODES))
        cells = CELLS[0] * CELLS[1]
        steps = json.loads("".join(plan_json(_plan(path, "cell=1"))))["steps"]
        floor_s = statistics.median(_floor_s(steps, cells) for _ in range(ROUNDS))
        print(f"{cells * len(steps)} steps of {cells} cells on {NODES} nodes")
        print(f"json.dumps of as many dicts: {floor_s:.2f} s")
        for words in (["--plan"], ["--plan", "--json"]):
            took, size = zip(*(_command_s(path, words) for _ in range(ROUNDS)), strict=True)
            took_s = statistics.median(took)
            text = f"fabric-run {' '.join(words)}: {took_s:.2f} s, {size[0] / 1e6:.0f} MB"
            print(f"{text}, {took_s / floor_s:.2f} of the floor")


def _plan(path: Path, only: str) -> RunPlan:
    trial = load_trial(path)
    cells = cells_of(trial, [only])
    found = resolve(trial, cells, None, 0)
    return make_plan(trial, cells, found, {}, phases=trial.phases, repeats=1, seed=0)


def _floor_s(steps: list[dict[str, object]], cells: int) -> float:
    began_s = time.perf_counter()
    with Path("/dev/null").open("w") as out:
        for _ in range(cells):
            out.writelines(json.dumps(step) for step in steps)
    return time.perf_counter() - began_s


def _command_s(path: Path, words: list[str]) -> tuple[float, int]:
    """Return how long the command takes as a cold process, and how many bytes it writes."""
    began_s = time.perf_counter()
    command = [str(Path(sys.executable).with_name("fabric-run")), *words, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        size = 0
        while piece := process.stdout.read(1 << 20):
            size += len(piece)
    assert process.returncode == 0
    return time.perf_counter() - began_s, size


if __name__ == "__main__":
    main()
