"""The whole matrix of faults, or a part of it, with a table of what happened: `scripts/faults`."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from click import echo

from tests.integration.faults.batch import Bench
from tests.integration.faults.cells import FAULTS, MATRIX, STAGES, VICTIMS, Cell
from tests.integration.faults.judge import Outcome
from tests.integration.faults.network import Network, why_not

HEAD: Final = ("victim", "fault", "moment", "verdict", "seconds", "what is told")


def main() -> None:
    """Do what the command line says; exit with 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    parser.add_argument("--victim", action="append", choices=VICTIMS, help="only this one; may be repeated")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="only this one; may be repeated")
    parser.add_argument("--moment", action="append", choices=STAGES, help="only this one; may be repeated")
    parser.add_argument(
        "--kills", type=int, metavar="N", help="instead: N kills at random moments of short runs"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the random kills")
    parser.add_argument("--minutes", type=float, default=60.0, help="most that the random kills take")
    wishes = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that nothing is left
    with tempfile.TemporaryDirectory(prefix="faults-") as directory:
        if wishes.kills:
            from tests.integration.faults.kills import kill_at_random

            raise SystemExit(kill_at_random(Path(directory), wishes.kills, wishes.seed, wishes.minutes * 60))
        chosen = [
            cell
            for cell in MATRIX
            if cell.victim in (wishes.victim or VICTIMS)
            and cell.fault in (wishes.fault or FAULTS)
            and cell.stage in (wishes.moment or STAGES)
        ]
        raise SystemExit(do(Path(directory), chosen))


def do(directory: Path, cells: Sequence[Cell]) -> int:
    """Do some cells and print what became of them; return the exit code."""
    reason = why_not()
    skipped = [cell for cell in cells if cell.cut and reason]
    for cell in skipped:
        echo(f"not done: {cell.name}: {reason}")
    network = None if reason else Network()
    begun_s = time.monotonic()
    outcomes: list[Outcome] = []
    try:
        bench = Bench(directory, network)
        try:
            bench.open()
            for batch in batches([cell for cell in cells if cell not in skipped]):
                done = bench.do(batch)
                outcomes += done
                for outcome in done:
                    echo(row(outcome))
                    for problem in outcome.problems:
                        echo(f"    BROKEN: {problem[:2000]}")
        finally:
            bench.close()
    finally:
        if network:
            network.close()
    broken = sum(bool(outcome.problems) for outcome in outcomes)
    lost, doubled = (sum(getattr(one, name) for one in outcomes) for name in ("lost", "doubled"))
    took_s = time.monotonic() - begun_s
    echo(f"{len(outcomes)} cells in {took_s:.0f} s, {broken} broken, {lost} lost, {doubled} doubled")
    return 1 if broken or skipped else 0


def batches(cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    """Yield cells that can be done together: the same happens to the same, each at its own moment."""
    kinds = dict.fromkeys(cell[:2] for cell in cells)
    for kind in kinds:
        yield [cell for cell in cells if cell[:2] == kind]


def row(outcome: Outcome) -> str:
    """Return a row of the table."""
    cell = outcome.cell
    late = f"; skew {outcome.skew_s:.1f} s" if outcome.skew_s > 1 else ""
    told = (outcome.why or "nothing") + late
    words = (cell.victim, cell.fault, cell.stage, outcome.verdict, f"{outcome.seconds:.1f}", told)
    return "| " + " | ".join(words) + " |"


if __name__ == "__main__":
    main()
