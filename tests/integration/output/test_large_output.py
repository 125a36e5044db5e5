"""A program that prints more than anybody may hold in memory."""

import hashlib
import os
import random
from typing import Final

from tests.integration.faults.lab import Lab
from tests.integration.faults.processes import until
from tests.integration.output.printing import MIB, Peaks, Program, Tail, out, peaks_of_the_fabric

LARGE_BYTES: Final = int(os.environ.get("FABRIC_TEST_OUTPUT_BYTES", str(1 << 28)))
"""What the large step prints: several times what anybody may hold."""

WITHIN_S: Final = 150.0

BLOCKS: Final = """
import os, random, sys
block = random.Random(1).randbytes({block})
for number in range({count}):
    sys.stdout.buffer.write(number.to_bytes(8, "big") + block)
"""
BLOCK_BYTES: Final = MIB - 8


def expected_digest(count: int) -> str:
    """Return the SHA-256 of what BLOCKS prints."""
    block = random.Random(1).randbytes(BLOCK_BYTES)
    digest = hashlib.sha256()
    for number in range(count):
        digest.update(number.to_bytes(8, "big") + block)
    return digest.hexdigest()


def test_a_quarter_of_a_gigabyte_comes_whole_and_nobody_holds_it(lab: Lab) -> None:
    """Output is never dropped, and a long soak must not fill the memory of a node or of the broker."""
    count = LARGE_BYTES // MIB
    program = Program(lab, BLOCKS.format(block=BLOCK_BYTES, count=count))
    run = lab.run(program.trial, "--quiet")
    controller = Peaks(controller=run.process.pid)
    until(lambda: controller.look() or run.process.poll() is not None, run.end_of_said, WITHIN_S)
    assert run.wait() == 0, run.end_of_said()

    peaks = {**peaks_of_the_fabric(lab), **controller.mib}
    assert max(peaks.values()) < 100, peaks
    with out(run).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert digest == expected_digest(count)
    assert f"{digest}  out/1/run/lab1/print.stdout" in (run.bundle / "MANIFEST.sha256").read_text()


def test_a_line_without_an_end_fills_nobodys_memory(lab: Lab) -> None:
    """Who shows lines must not wait for the newline: 100 MB of one line are shown in pieces."""
    size = 100_000_000
    go_on = lab.directory / "go-on"
    program = Program(
        lab,
        f"""
import os, sys, time
print("begun", flush=True)
while not os.path.exists({str(go_on)!r}): time.sleep(0.01)
for _ in range({size // 1_000_000}): sys.stdout.write("y" * 1_000_000)
""",
    )
    run = lab.run(program.trial)
    run.wait_said("begun")
    tail = Tail(lab, run.run)
    tail.wait_for("begun")
    peaks = Peaks(controller=run.process.pid, tail=tail.process.pid)
    go_on.touch()
    until(
        lambda: peaks.look() or (run.process.poll() is not None and tail.process.poll() is not None),
        run.end_of_said,
        WITHIN_S,
    )
    assert (run.wait(), tail.end()) == (0, 0), run.end_of_said()
    assert max(peaks.mib.values()) < 150, peaks.mib
    assert max(peaks_of_the_fabric(lab).values()) < 100
    assert out(run).stat().st_size == size + len("begun\n")
    shown = tail.path.read_text()
    assert shown.count("y") >= size  # besides those of other words
