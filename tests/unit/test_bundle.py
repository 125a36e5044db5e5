"""The bundle: what a run leaves is complete, byte for byte, and says so itself."""

import hashlib
import json
import subprocess
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fabric.controller.entry import Read
from fabric.errors import StoreError, UsageError
from fabric.protocol.records import (
    Notice,
    Output,
    OutputDropped,
    PhaseEnded,
    PhaseStarted,
    Record,
    RunStarted,
    StepStarted,
    Stream,
)
from fabric.report import outputs
from fabric.report.bundle import BundleWriter
from fabric.report.events import EVENT_TEXT_LIMIT_BYTES
from fabric.report.unfit import TOLD_OF_NODE

ORIGIN_NS = 1_772_360_527_000_000_000
STEP = "2/run/db/etcd"


def output(
    size: int, offset: int = 0, *, stream: Stream = "stdout", attempt: int = 1, step: str = STEP
) -> Output:
    return Output(
        t_ns=ORIGIN_NS + 64_013_000_000,
        bound_ns=200_000,
        step=step,
        attempt=attempt,
        stream=stream,
        offset=offset,
        size=size,
    )


def read(record: Record, data: bytes = b"", *, number: int = 1, node: str = "d2") -> Read:
    return Read(number, node, record, memoryview(data))


def started() -> Read:
    record = RunStarted(t_ns=ORIGIN_NS, bound_ns=0, name="etcd-failover", nodes=("d1", "d2"))
    return Read(1, "", record, b"")


@pytest.fixture
def bundle(tmp_path: Path) -> BundleWriter:
    writer = BundleWriter(tmp_path / "runs" / "20260301-102207-ping-k3f9")
    writer.write(started())
    return writer


def events(bundle: BundleWriter) -> list[dict[str, Any]]:
    bundle.flush()
    return [json.loads(line) for line in (bundle.directory / "events.jsonl").read_text().splitlines()]


def event(bundle: BundleWriter, added: Read) -> dict[str, Any]:
    """Return the event that a record becomes."""
    bundle.write(added)
    return events(bundle)[-1]


def test_output_is_stored_byte_for_byte(bundle: BundleWriter) -> None:
    """A binary stream, and text in any encoding, must survive."""
    data = bytes(range(256))
    bundle.write(read(output(200), data[:200]))
    bundle.write(read(output(56, 200), data[200:]))
    assert (bundle.directory / "out/2/run/d2/etcd.stdout").read_bytes() == data


def test_streams_nodes_and_attempts_have_files_of_their_own(bundle: BundleWriter) -> None:
    """Each has its own offsets, so mixing them would lose some of them."""
    bundle.write(read(output(1), b"a"))
    bundle.write(read(output(1, stream="stderr"), b"b"))
    bundle.write(read(output(1), b"c", node="d1"))
    bundle.write(read(output(1, attempt=2), b"d"))
    out = bundle.directory / "out/2/run"
    found = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.*")}
    assert found == {
        "d2/etcd.stdout": b"a",
        "d2/etcd.stderr": b"b",
        "d1/etcd.stdout": b"c",
        "d2/etcd~2.stdout": b"d",
    }


def test_a_stream_that_ended_without_a_word_leaves_an_empty_file(bundle: BundleWriter) -> None:
    """The file says that the step ran and was silent; no file would leave that open."""
    bundle.write(read(output(0, stream="stderr")))
    assert (bundle.directory / "out/2/run/d2/etcd.stderr").read_bytes() == b""


@pytest.mark.parametrize(("offset", "data"), [(4, b"x"), (2, b"x"), (3, b"")])
def test_a_gap_or_an_overlap_is_an_error(bundle: BundleWriter, offset: int, data: bytes) -> None:
    """A file with a hole looks like a good one; nobody would notice.

    The rest of the run is written: one node must not be able to keep all others' results from anybody.
    """
    bundle.write(read(output(3), b"abc"))
    bundle.write(read(output(1, offset), data))
    (unfit,) = bundle.take_unfit()
    assert unfit.startswith("d2 reports what does not fit: out/2/run/d2/etcd.stdout: expected")
    bundle.write(read(output(1, 3), b"x"))
    bundle.write(read(output(3, stream="stderr"), b"abc"))
    assert bundle.take_unfit() == [], "of the stream that is broken, nothing more is said or written"
    bundle.finish({}, latest=False)
    assert (bundle.directory / "out/2/run/d2/etcd.stdout").read_bytes() == b"abc"
    assert (bundle.directory / "out/2/run/d2/etcd.stderr").read_bytes() == b"abc"
    assert "etcd.stdout\texpected" in (bundle.directory / "missing.txt").read_text()


def test_of_a_node_that_lies_a_million_times_a_few_are_told(bundle: BundleWriter) -> None:
    """Each has a line, and a reason in the verdict."""
    for attempt in range(1, 3 * TOLD_OF_NODE):
        bundle.write(read(replace(output(1, 5), attempt=attempt), b"x"))
    bundle.write(read(output(1, 5), b"x", node="d3"))
    assert len(bundle.take_unfit()) == TOLD_OF_NODE + 1
    bundle.finish({}, latest=False)
    assert len((bundle.directory / "missing.txt").read_text().splitlines()) == TOLD_OF_NODE + 1


def dropped(size: int, offset: int) -> OutputDropped:
    """Return the record of a gap in etcd's stdout."""
    return OutputDropped(
        t_ns=ORIGIN_NS,
        bound_ns=0,
        step=STEP,
        attempt=1,
        stream="stdout",
        offset=offset,
        size=size,
        why="the journal of the node was full",
    )


def test_what_follows_a_gap_stands_at_its_own_offset(bundle: BundleWriter) -> None:
    """The offsets of events.jsonl are places in the file.  A hole takes no disk; at the end there is none."""
    size = 5 << 20
    bundle.write(read(output(5), b"first"))
    bundle.write(read(dropped(size, 5)))
    bundle.write(read(output(4, 5 + size), b"last"))
    bundle.write(read(dropped(99, 9 + size)))
    bundle.write(read(output(0, 108 + size)))
    file = bundle.directory / "out/2/run/d2/etcd.stdout"
    data = file.read_bytes()
    assert data == b"first" + bytes(size) + b"last"
    assert file.stat().st_blocks * 512 < size
    bundle.flush()
    gaps = [event for event in events(bundle) if event["type"] == "output_dropped"]
    assert [(gap["offset"], gap["size"]) for gap in gaps] == [(5, size), (9 + size, 99)]
    bundle.finish({}, latest=False)
    assert (
        f"{hashlib.sha256(data).hexdigest()}  out/2/run/d2/etcd.stdout"
        in (bundle.directory / "MANIFEST.sha256").read_text().splitlines()
    )


def test_a_gap_that_does_not_follow_is_an_error(bundle: BundleWriter) -> None:
    """A gap is as good as the bytes would be: it says exactly which are missing."""
    bundle.write(read(output(5), b"first"))
    bundle.write(read(dropped(9, 6)))
    assert "expected output from byte 5 on" in bundle.take_unfit()[0]


def test_a_gap_of_any_size_costs_no_time(bundle: BundleWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node can say that it dropped terabytes: a hole of them would be hashed for hours, without a turn."""
    most = 3 << 20
    monkeypatch.setattr(outputs, "HOLES_BYTES", most)
    for attempt, size in enumerate((10 << 40, most, 1), 1):
        bundle.write(read(replace(output(5), attempt=attempt), b"first"))
        bundle.write(read(replace(dropped(size, 5), attempt=attempt)))
        bundle.write(read(replace(output(4, 5 + size), attempt=attempt), b"last"))
        bundle.write(read(replace(output(0, 9 + size), attempt=attempt)))
    bundle.write(read(output(5), b"first", node="d3"))
    bundle.write(read(dropped(1, 5), node="d3"))
    bundle.write(read(output(4, 6), b"last", node="d3"))
    assert not bundle.take_unfit()
    sizes = {path.name: path.stat().st_size for path in (bundle.directory / "out/2/run/d2").iterdir()}
    assert sizes == {"etcd.stdout": 9, "etcd~2.stdout": 9 + most, "etcd~3.stdout": 9}
    assert (bundle.directory / "out/2/run/d3/etcd.stdout").read_bytes() == b"first\0last"
    bundle.finish({}, latest=False)
    manifest = (bundle.directory / "MANIFEST.sha256").read_text()
    assert f"{hashlib.sha256(b'firstlast').hexdigest()}  out/2/run/d2/etcd.stdout" in manifest


def test_output_after_the_end_of_its_stream_is_an_error(bundle: BundleWriter) -> None:
    """The end was told to the user; what comes behind it belongs to something else."""
    bundle.write(read(output(0)))
    bundle.write(read(output(1), b"x"))
    assert "after the end" in bundle.take_unfit()[0]


def test_a_node_cannot_write_outside_the_bundle(bundle: BundleWriter) -> None:
    """Names come over the wire; a path must never be made of an unchecked one."""
    with pytest.raises(StoreError, match="not the name of a node"):
        bundle.write(read(output(1), b"x", node="../../.ssh"))


def test_many_streams_need_few_descriptors(tmp_path: Path) -> None:
    """A thousand nodes print at once; a process has 1024 descriptors."""
    bundle = BundleWriter(tmp_path / "b")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for chunk in range(2):
        for node in range(300):
            bundle.write(read(output(1, chunk), b"x", node=f"n{node}"))
    assert len(list(Path("/proc/self/fd").iterdir())) - before < 200
    bundle.finish({})
    assert (bundle.directory / "out/2/run/n299/etcd.stdout").read_bytes() == b"xx"


def test_memory_stays_flat_however_much_is_printed(bundle: BundleWriter) -> None:
    """A step may print gigabytes; the controller runs on somebody's laptop."""
    chunk = bytes(128 * 1024)
    tracemalloc.start()
    for index in range(400):
        bundle.write(read(output(len(chunk), index * len(chunk)), chunk))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (bundle.directory / "out/2/run/d2/etcd.stdout").stat().st_size == 400 * len(chunk)
    assert peak_bytes < 2 << 20


def test_an_output_event_is_as_documented(bundle: BundleWriter) -> None:
    """Scripts read events.jsonl: docs/commands.md names these keys."""
    found = event(bundle, read(output(5, stream="stderr"), b"a\xff\tb\n", number=7))
    assert found == {
        "t": 64.013,
        "bound": 0.0002,
        "type": "output",
        "node": "d2",
        "role": "db",
        "phase": "run",
        "repeat": 2,
        "step": "etcd",
        "attempt": 1,
        "stream": "stderr",
        "offset": 0,
        "size": 5,
        "number": 7,
        "text": "a\ufffd\tb\n",
    }


def test_long_output_is_cut_in_its_event_only(bundle: BundleWriter) -> None:
    """A gigabyte of output must not be there twice; and a cut character is not replaced by a wrong one."""
    data = b"x" * (EVENT_TEXT_LIMIT_BYTES - 1) + "é".encode() + b"y" * 100
    found = event(bundle, read(output(len(data)), data))
    assert (found["text"], found["truncated"]) == ("x" * (EVENT_TEXT_LIMIT_BYTES - 1), True)
    assert found["size"] == len(data)


def test_times_of_events_are_seconds_since_the_run_started(bundle: BundleWriter) -> None:
    """One clock for all: instants are relative, durations are not, and what is unknown is null."""
    begun = PhaseStarted(
        t_ns=ORIGIN_NS, bound_ns=-1, phase="1/run", go=1, t0_ns=ORIGIN_NS + 1_500_000_000, lead_ns=20_000_000
    )
    found = event(bundle, read(begun, node=""))
    assert (found["bound"], found["repeat"], found["phase"]) == (None, 1, "run")
    assert (found["t0"], found["lead"]) == (1.5, 0.02)
    assert "node" not in found
    ended = PhaseEnded(
        t_ns=ORIGIN_NS,
        bound_ns=0,
        phase="1/run",
        failed=False,
        skew_ns=310_000,
        skew_bound_ns=None,
        latest_node="d1",
    )
    found = event(bundle, read(ended, node=""))
    assert (found["skew"], found["skew_bound"]) == (0.00031, None)
    step = StepStarted(
        t_ns=ORIGIN_NS, bound_ns=0, step=STEP, attempt=1, pid=7, event="exec", planned_ns=0, go=0
    )
    assert event(bundle, read(step))["planned"] is None


def test_a_finished_bundle_proves_itself(bundle: BundleWriter) -> None:
    """The files were hashed while they were written; sha256sum is the judge of that."""
    bundle.write_inputs('[trial]\r\nname = "ping"\r\n', "{}")
    bundle.write(read(output(3), b"abc"))
    bundle.write(read(output(0, stream="stderr")))
    bundle.finish({"verdict": "pass", "why": ["é"]})
    check = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "MANIFEST.sha256"],
        cwd=bundle.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (check.returncode, check.stderr) == (0, "")
    listed = {line[66:] for line in (bundle.directory / "MANIFEST.sha256").read_text().splitlines()}
    there = {str(p.relative_to(bundle.directory)) for p in bundle.directory.rglob("*") if p.is_file()}
    assert listed == there - {"MANIFEST.sha256"}
    assert json.loads((bundle.directory / "result.json").read_text()) == {"verdict": "pass", "why": ["é"]}
    assert (bundle.directory / "trial.toml").read_bytes() == b'[trial]\r\nname = "ping"\r\n'
    assert hashlib.sha256(b"abc").hexdigest() in (bundle.directory / "MANIFEST.sha256").read_text()


def test_latest_points_to_the_newest_finished_bundle(tmp_path: Path) -> None:
    """`runs/latest` is what people type."""
    for name in ("first", "second"):
        BundleWriter(tmp_path / name).finish({"name": name})
    assert (tmp_path / "latest").readlink() == Path("second")
    assert json.loads((tmp_path / "latest/result.json").read_text()) == {"name": "second"}


def test_something_else_called_latest_is_left_alone(tmp_path: Path) -> None:
    """The verdict of a run must not depend on a directory that somebody made."""
    (tmp_path / "latest").mkdir()
    BundleWriter(tmp_path / "first").finish({})
    assert not (tmp_path / "latest").is_symlink()


def test_a_bundle_is_never_mixed_with_another(tmp_path: Path) -> None:
    """Files of an older run would be read as this one's."""
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="exists already") as caught:
        BundleWriter(tmp_path / "out")
    assert "-o" in caught.value.hint


def test_a_bundle_that_cannot_be_written_is_told_with_its_path(tmp_path: Path) -> None:
    """Disk full or no permission: one line that says where."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write the bundle: .*file"):
        BundleWriter(tmp_path / "file" / "runs")


def test_an_unfinished_bundle_has_no_manifest(bundle: BundleWriter) -> None:
    """What there is stays readable, and nobody takes it for the whole."""
    notice = Notice(t_ns=ORIGIN_NS, bound_ns=0, level="info", message="x")
    bundle.write(read(notice, node=""))
    bundle.close()
    names = sorted(path.name for path in bundle.directory.iterdir())
    assert names == ["events.jsonl"]
    assert len((bundle.directory / "events.jsonl").read_text().splitlines()) == 2
