"""Fetched files in the bundle: what a node read is what is there, whatever the node calls it."""

import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fabric.controller.entry import Read
from fabric.errors import StoreError
from fabric.protocol.limits import MAX_PATH_NAMES
from fabric.protocol.names import StepId
from fabric.protocol.records import FileBegun, FileChunk, FileEnded, FileMissing, Record
from fabric.report.bundle import BundleWriter
from fabric.report.files import FetchedFiles
from fabric.report.unfit import UnfitRecord
from fabric.report.views import JsonView
from fabric.report.watch import JsonWatch

STEP = "2/collect/db/fetch-1"


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[BundleWriter]:
    writer = BundleWriter(tmp_path / "runs" / "one")
    yield writer
    writer.close()


def begun(file: int, path: str, *, step: str = STEP, mode: int = 0o644, mtime_ns: int = 10**18) -> FileBegun:
    return FileBegun(
        t_ns=1, bound_ns=1, step=step, attempt=1, file=file, path=path, size=-1, mode=mode, mtime_ns=mtime_ns
    )


def chunk(file: int, offset: int, size: int, *, step: str = STEP) -> FileChunk:
    return FileChunk(t_ns=1, bound_ns=1, step=step, attempt=1, file=file, offset=offset, size=size)


def ended(file: int, data: bytes, *, problem: str = "", step: str = STEP) -> FileEnded:
    sha256 = hashlib.sha256(data).hexdigest()
    return FileEnded(
        t_ns=1, bound_ns=1, step=step, attempt=1, file=file, size=len(data), sha256=sha256, problem=problem
    )


def missing(path: str, why: str) -> FileMissing:
    return FileMissing(t_ns=1, bound_ns=1, step=STEP, attempt=1, path=path, why=why)


def read(record: Record, data: bytes = b"", *, node: str = "d2") -> Read:
    return Read(1, node, record, memoryview(data))


def bring(bundle: BundleWriter, file: int, path: str, data: bytes = b"x", *, step: str = STEP) -> None:
    bundle.write(read(begun(file, path, step=step)))
    bundle.write(read(chunk(file, 0, len(data), step=step), data))
    bundle.write(read(ended(file, data, step=step)))


def files(bundle: BundleWriter) -> dict[str, bytes]:
    """Return what lies in the bundle's files/, and fail if a record has led elsewhere."""
    outside = [path for path in bundle.directory.parent.parent.rglob("*") if path.is_file()]
    assert all(path.is_relative_to(bundle.directory) for path in outside)
    below = bundle.directory / "files"
    return {str(path.relative_to(below)): path.read_bytes() for path in below.rglob("*") if path.is_file()}


def test_a_file_lies_where_it_was_on_the_node(bundle: BundleWriter) -> None:
    """A path in the bundle can be guessed from the one on the node; mode and time come along."""
    data = bytes(range(256)) * 10
    bundle.write(read(begun(1, "/tmp/etcd/a.log", mode=0o640)))
    bundle.write(read(chunk(1, 0, 1000), data[:1000]))
    bundle.write(read(chunk(1, 1000, 1560), data[1000:]))
    bundle.write(read(ended(1, data)))
    bundle.write(read(begun(2, "/empty")))
    bundle.write(read(ended(2, b"")))
    assert files(bundle) == {"2/d2/tmp/etcd/a.log": data, "2/d2/empty": b""}
    status = (bundle.directory / "files/2/d2/tmp/etcd/a.log").stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o640, 10**18)


def test_the_manifest_holds_the_files(bundle: BundleWriter) -> None:
    """Who gets the bundle checks all of it with one command."""
    bring(bundle, 1, "/tmp/a b\n\\c", b"data")
    bundle.write(read(missing("*.log", "nothing matches")))
    bundle.finish({})
    command = ["sha256sum", "-c", "--quiet", "MANIFEST.sha256"]
    assert subprocess.run(command, cwd=bundle.directory, check=False).returncode == 0
    text = (bundle.directory / "MANIFEST.sha256").read_text()
    assert "files/2/d2/tmp/a b%0A%5Cc" in text
    assert "missing.txt" in text


def test_events_tell_of_files_and_not_of_their_chunks(bundle: BundleWriter) -> None:
    """A file of 5 GB has 40,000 of them."""
    bring(bundle, 1, "/a")
    bundle.flush()
    text = (bundle.directory / "events.jsonl").read_text()
    assert "file_begun" in text
    assert "file_ended" in text
    assert "file_chunk" not in text


class Paper:
    """Keeps what a printer would print."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def put(self, text: str, *, mark: int) -> None:
        self.lines.append(text)


def test_events_are_the_same_lines_wherever_they_are_shown(bundle: BundleWriter) -> None:
    """A script is written for one of the places and used with another."""
    reads = [read(begun(1, "/a")), read(chunk(1, 0, 1), b"x"), read(ended(1, b"x"))]
    for one in reads:
        bundle.write(one)
    bundle.flush()
    stored = (bundle.directory / "events.jsonl").read_text().splitlines()
    paper = Paper()
    JsonWatch(paper)(reads, 0)  # type: ignore[arg-type]
    assert paper.lines == stored
    assert list(JsonView().lines(reads, 0)) == stored


def test_what_could_not_be_had_is_listed(bundle: BundleWriter) -> None:
    """Node, step, path or pattern, why: one line each, whatever the node says."""
    bundle.write(read(missing("/tmp/*.log", "nothing matches")))
    bundle.write(read(missing("/tmp/a\tb\nd2\tall", "no permission\n")))
    bundle.finish({})
    assert (bundle.directory / "missing.txt").read_text().splitlines() == [
        "d2\t2/collect/db/fetch-1\t/tmp/*.log\tnothing matches",
        r"d2	2/collect/db/fetch-1	/tmp/a\tb\nd2\tall	no permission\n",
    ]


def test_nothing_is_missing_without_missing_txt(bundle: BundleWriter) -> None:
    """An empty file would make everybody look into it."""
    bring(bundle, 1, "/a")
    bundle.finish({})
    assert not (bundle.directory / "missing.txt").exists()


def test_a_file_that_is_not_whole_is_called_so(bundle: BundleWriter) -> None:
    """Half a log must not be taken for the log."""
    bundle.write(read(begun(1, "/tmp/a.log")))
    bundle.write(read(chunk(1, 0, 4), b"half"))
    bundle.write(read(ended(1, b"half", problem="it became shorter while it was read")))
    bundle.write(read(begun(2, "/tmp/b.log")))
    bundle.write(read(chunk(2, 0, 1), b"b"))
    bundle.finish({})
    assert files(bundle) == {"2/d2/tmp/a.log~partial": b"half", "2/d2/tmp/b.log~partial": b"b"}
    first, second = (bundle.directory / "missing.txt").read_text().splitlines()
    assert "/tmp/a.log\tit became shorter while it was read; 4 bytes of it are in files/2/d2/tmp/" in first
    assert "its end was not reported" in second


def test_what_came_whole_at_a_later_try_is_not_missing(bundle: BundleWriter) -> None:
    """An agent that was restarted fetches again: who reads missing.txt must not look for that file."""
    for number, path in enumerate(("/tmp/a.log", "/tmp/b.log"), 1):
        bundle.write(read(begun(number, path)))
        bundle.write(read(chunk(number, 0, 4), b"half"))
        bundle.write(read(ended(number, b"half", problem="the agent was restarted")))
    bring(bundle, 3, "/tmp/a.log", b"half and half", step="2/collect/db/other-1")
    assert "2/d2/tmp/a.log~partial" in files(bundle), "another step's file says nothing of this one"
    bring(bundle, 4, "/tmp/a.log", b"half and half")
    bundle.finish({})
    assert files(bundle) == {"2/d2/tmp/a.log": b"half and half", "2/d2/tmp/b.log~partial": b"half"}
    (line,) = (bundle.directory / "missing.txt").read_text().splitlines()
    assert "/tmp/b.log\t" in line
    command = ["sha256sum", "-c", "--quiet", "MANIFEST.sha256"]
    assert subprocess.run(command, cwd=bundle.directory, check=False).returncode == 0


def test_nothing_is_missing_when_all_came_at_last(bundle: BundleWriter) -> None:
    """There is no file then, as if nothing had been."""
    bundle.write(read(begun(1, "/tmp/a.log")))
    bundle.write(read(ended(1, b"", problem="the agent was restarted")))
    bring(bundle, 2, "/tmp/a.log", b"all")
    bundle.finish({})
    assert {path.name for path in bundle.directory.rglob("*") if "a.log" in path.name} == {"a.log"}
    assert not (bundle.directory / "missing.txt").exists()


@pytest.mark.parametrize(
    "path",
    [
        *("../../../../evil", "/../evil", "/a/../../../../evil", "..", "/", "", ".", "//evil"),
        *("/nul\0byte", "/new\nline", "/back\\slash", "/\ud800surrogate", "/" + "long" * 100),
        *(
            "/" + "long-name-of-a-directory/" * 120 + "end",
            "/a/" + "é" * 300,
            "/~partial",
            "/.hidden",
            "/tmp/...",
        ),
    ],
)
def test_no_path_leads_out_of_the_bundle(bundle: BundleWriter, path: str) -> None:
    """The names come from a machine that may be broken or hostile."""
    bring(bundle, 1, path, b"evil")
    found = files(bundle)
    assert list(found.values()) == [b"evil"]
    assert next(iter(found)).startswith("2/d2/")
    bundle.finish({})


def test_no_file_takes_the_place_of_another(bundle: BundleWriter) -> None:
    """A second fetch of a path must not replace the first, nor a file meet a directory of its name."""
    later = "2/collect/db/fetch-2"
    bring(bundle, 1, "/tmp/a", b"first")
    bring(bundle, 2, "/tmp/a", b"second")
    bring(bundle, 1, "/tmp/a", b"third", step=later)
    bring(bundle, 2, "/TMP/A", b"other case", step=later)
    bring(bundle, 3, "/tmp/a/b", b"below a file", step=later)
    bring(bundle, 4, "/tmp", b"a directory's name", step=later)
    assert files(bundle) == {
        "2/d2/tmp/a": b"first",
        "2/d2/tmp/a~2": b"second",
        "2/d2/tmp/a~3": b"third",
        "2/d2/TMP/A~4": b"other case",
        "2/d2/tmp/a~5/b": b"below a file",
        "2/d2/tmp~2": b"a directory's name",
    }


def test_the_same_bytes_are_kept_once(bundle: BundleWriter) -> None:
    """A metric is often read from a file that is fetched as well."""
    bring(bundle, 1, "/tmp/a", b"same")
    bring(bundle, 2, "/tmp/a", b"same")
    bring(bundle, 3, "/tmp/a", b"other")
    bundle.finish({})
    assert files(bundle) == {"2/d2/tmp/a": b"same", "2/d2/tmp/a~2": b"other"}
    command = ["sha256sum", "-c", "--quiet", "MANIFEST.sha256"]
    assert subprocess.run(command, cwd=bundle.directory, check=False).returncode == 0


def test_repeats_and_cells_have_directories_of_their_own(bundle: BundleWriter) -> None:
    """Each repeat fetches the same paths again."""
    bring(bundle, 1, "/a", b"one", step="1/collect/db/fetch-1")
    bring(bundle, 1, "/a", b"two", step="3.2/collect/db/fetch-1")
    assert files(bundle) == {"1/d2/a": b"one", "3.2/d2/a": b"two"}


def test_bytes_that_are_not_those_of_the_node_are_refused(bundle: BundleWriter) -> None:
    """SHA-256 goes from the file on the node to the file in the bundle."""
    bundle.write(read(begun(1, "/a")))
    bundle.write(read(chunk(1, 0, 4), b"good"))
    bundle.write(read(ended(1, b"evil")))
    assert "is not what d2 read" in bundle.take_unfit()[0]
    assert files(bundle) == {"2/d2/a~partial": b"good"}
    bundle.finish({}, latest=False)
    assert "is not what d2 read" in (bundle.directory / "missing.txt").read_text()


@pytest.mark.parametrize(
    "records",
    [
        [(chunk(1, 0, 1), b"x")],
        [(ended(1, b""), b"")],
        [(begun(1, "/a"), b""), (begun(1, "/a"), b"")],
        [(begun(1, "/a"), b""), (chunk(1, 5, 1), b"x")],
        [(begun(1, "/a"), b""), (chunk(1, 0, 9), b"x")],
        [(begun(1, "/a"), b""), (ended(1, b"x"), b"")],
    ],
)
def test_records_that_do_not_follow_are_refused(
    bundle: BundleWriter, records: list[tuple[Record, bytes]]
) -> None:
    """A file with a gap is one that nobody can trust."""
    *good, (record, data) = records
    for one, its_data in good:
        bundle.write(read(one, its_data))
    assert not bundle.take_unfit()
    bundle.write(read(record, data))
    assert len(bundle.take_unfit()) == 1
    bundle.finish({}, latest=False)
    assert (bundle.directory / "missing.txt").exists()


def test_a_link_in_the_bundle_is_not_followed(bundle: BundleWriter) -> None:
    """Whoever can write beside the bundle must not have it write elsewhere."""
    target = bundle.directory / "files/2/d2"
    target.mkdir(parents=True)
    (target / "a").symlink_to(bundle.directory.parent / "elsewhere")
    with pytest.raises(StoreError):
        bring(bundle, 1, "/a")
    assert not (bundle.directory.parent / "elsewhere").exists()


def test_many_files_are_open_one_after_another(bundle: BundleWriter) -> None:
    """A hundred nodes fetch at once; descriptors are not without end."""
    for file in range(1, 200):
        bundle.write(read(begun(file, f"/{file}")))
    for file in range(1, 200):
        bundle.write(read(chunk(file, 0, 1), b"x"))
        bundle.write(read(ended(file, b"x")))
    assert set(files(bundle).values()) == {b"x"}
    assert len(files(bundle)) == 199


@pytest.mark.parametrize(
    "path", ["/" + "deep/" * 1500 + "end", "/a" * (MAX_PATH_NAMES + 1), "/" + "a" * 20_000]
)
def test_a_path_that_no_agent_fetches_is_set_aside(bundle: BundleWriter, path: str) -> None:
    """Each name is a directory here; a thousand of them ended fabric-run without a bundle."""
    bundle.write(read(begun(1, path)))
    (unfit,) = bundle.take_unfit()
    assert "d2 reports what does not fit: files: the path of a file has more than" in unfit
    bring(bundle, 2, "/a" * MAX_PATH_NAMES)
    assert files(bundle) == {"2/d2" + "/a" * MAX_PATH_NAMES: b"x"}


def test_what_one_node_begins_is_not_counted_for_another(
    bundle: BundleWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one was blamed, and its files were lost."""
    monkeypatch.setattr("fabric.report.files._MAX_BEGUN", 10)
    for file in range(11):
        bundle.write(read(begun(file, "/same")))
    assert "more than 10 files of d2 are begun" in bundle.take_unfit()[0]
    bundle.write(read(begun(1, "/a"), node="d3"))
    bundle.write(read(ended(1, b""), node="d3"))
    bundle.write(read(ended(5, b"")))
    bundle.write(read(begun(2000, "/again")))
    assert bundle.take_unfit() == []


def test_the_paths_of_one_node_have_a_limit(tmp_path: Path) -> None:
    """A node can send names without end, and all of them are kept until the bundle is finished."""
    fetched = FetchedFiles(tmp_path, paths_bytes=10_000)
    step = StepId.parse(STEP)
    for file in range(9):
        fetched.write("d2", step, begun(file, f"/{file}"), b"")
        fetched.write("d2", step, ended(file, b""), b"")
    for file in range(9, 20):
        with suppress(UnfitRecord):
            fetched.write("d2", step, begun(file, f"/{file}"), b"")
    with pytest.raises(UnfitRecord, match="take more than 10000 bytes"):
        fetched.write("d2", step, begun(20, "/20"), b"")
    fetched.write("d3", step, begun(1, "/a"), b"")
    fetched.close()
