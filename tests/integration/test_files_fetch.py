"""A fetch: what the patterns mean, what comes of odd files, and how little it holds."""

import hashlib
import os
import socket
import tracemalloc
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path

import pytest

import agents.transfers.fetch
from agents.journal import Journal, JournalFull, SpoolStream
from agents.transfers.fetch import Fetch
from agents.transfers.full_disk import FullDisk
from agents.transfers.limits import AHEAD_BYTES, DISK_PATIENCE_S, TURN_BYTES
from fabric.protocol import codec
from fabric.protocol.messages import Batch
from fabric.protocol.numbers import MAX_INSTANT_NS
from fabric.protocol.records import FileBegun, FileChunk, FileEnded, FileMissing, Record, payload_size
from fabric.trees import make_directories, remove_tree

RUN = "20240101-000000-fetch-abcd"
STEP = "1/collect/db/fetch-1"


class Node:
    """A journal, a directory with files, and a sink that stores all that it gets."""

    def __init__(self, tmp_path: Path) -> None:
        self.place = tmp_path / "node"
        self.place.mkdir()
        self.journal = Journal.create(tmp_path / "state", RUN, 1)
        self.records: list[tuple[Record, bytes]] = []

    def write(self, name: str, data: bytes = b"x") -> Path:
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def begin(self, *patterns: str) -> Fetch:
        return Fetch(
            self.journal,
            STEP,
            1,
            scratch="/nowhere",
            base=str(self.place),
            patterns=patterns,
            stamp=lambda: (1, 1),
        )

    def fetch(self, *patterns: str) -> Fetch:
        fetch = self.begin(*patterns)
        for now_ns in range(1_000_000):
            if fetch.work(TURN_BYTES, now_ns) == "done":
                break
            self.ship()
        self.ship()
        return fetch

    def ship(self) -> None:
        while shipment := self.journal.next_batch():
            offset = 0
            for record in codec.decode_as(shipment.batch, Batch).records:
                self.records.append((record, shipment.payload[offset : offset + payload_size(record)]))
                offset += payload_size(record)
            self.journal.acknowledge(self.journal.sent)

    @property
    def files(self) -> dict[str, bytes]:
        """What came, by path from the place, checked against its hash."""
        paths: dict[int, str] = {}
        found: dict[str, bytearray] = {}
        for record, data in self.records:
            match record:
                case FileBegun(file=file, path=path):
                    assert path not in found
                    paths[file] = path
                    found[path] = bytearray()
                case FileChunk(file=file, offset=offset):
                    assert offset == len(found[paths[file]])
                    found[paths[file]] += data
                case FileEnded(file=file, size=size, sha256=sha256, problem=""):
                    assert len(found[paths[file]]) == size
                    assert hashlib.sha256(found[paths[file]]).hexdigest() == sha256
                case _:
                    pass
        return {path.removeprefix(f"{self.place}/"): bytes(data) for path, data in found.items()}

    @property
    def missing(self) -> dict[str, str]:
        return {
            record.path.removeprefix(f"{self.place}/"): record.why
            for record, _ in self.records
            if isinstance(record, FileMissing)
        }


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("a.log", ["a.log"]),
        ("*.log", ["a.log", "b.log"]),
        ("[!a].*", ["b.log", "c.txt"]),
        ("?.log", ["a.log", "b.log"]),
        ("*/*.log", ["dir/c.log"]),
        ("**/*.log", ["a.log", "b.log", "dir/c.log", "dir/deep/d.log"]),
        ("dir", ["dir/.hidden", "dir/c.log", "dir/deep/d.log"]),
        ("dir/", ["dir/.hidden", "dir/c.log", "dir/deep/d.log"]),
        ("d*", ["dir/.hidden", "dir/c.log", "dir/deep/d.log"]),
        ("dir/**", ["dir/.hidden", "dir/c.log", "dir/deep/d.log"]),
        ("dir/.h*", ["dir/.hidden"]),
        ("dir/*", ["dir/c.log", "dir/deep/d.log"]),
        ("./dir/../a.log", ["a.log"]),
    ],
)
def test_a_pattern_means_what_it_does_in_a_shell(node: Node, pattern: str, wanted: Sequence[str]) -> None:
    """And a directory means all that is in it."""
    for name in ("a.log", "b.log", "c.txt", "dir/c.log", "dir/deep/d.log", "dir/.hidden"):
        node.write(name, name.encode())
    fetch = node.fetch(pattern)
    assert sorted(node.files) == sorted(wanted)
    assert all(data == name.encode() for name, data in node.files.items())
    assert not fetch.failed
    assert node.missing == {}


def test_the_name_of_the_scratch_directory_is_left_out(node: Node) -> None:
    """It has the run's id in it: nobody would find `out.json` in a bundle under such a path."""
    node.write("dir/out.json")
    fetch = Fetch(
        node.journal,
        STEP,
        1,
        scratch=str(node.place),
        base=f"{node.place}/dir",
        patterns=("out.json", "*.txt", "../nothing"),
        stamp=lambda: (1, 1),
    )
    assert fetch.work(TURN_BYTES, 0) == "done"
    node.ship()
    assert node.files == {"dir/out.json": b"x"}
    assert list(node.missing) == ["*.txt", "../nothing"]


def test_a_file_comes_once(node: Node) -> None:
    """Patterns overlap; two copies in the bundle would only puzzle."""
    node.write("a.log")
    assert node.fetch("a.log", "*.log", ".", str(node.place)).message() == "fetched 1 file, 1 byte"


def test_a_file_whose_date_no_record_can_have_comes_too(node: Node) -> None:
    """Some file systems keep dates of the year 3000; its record could not be stored, nor what followed it."""
    path = node.write("a.log")
    os.utime(path, (32_503_680_000, 32_503_680_000))
    if path.stat().st_mtime < 32_503_680_000:
        os.utime(path, (4_700_000_000, 4_700_000_000))
    assert path.stat().st_mtime_ns > MAX_INSTANT_NS, "the file system has such dates"
    assert node.fetch("a.log").message() == "fetched 1 file, 1 byte"
    assert node.files == {"a.log": b"x"}


def test_a_pattern_that_nothing_matches_is_a_failure(node: Node) -> None:
    """Who writes the name of a log wants the log; the others still come."""
    node.write("a.log")
    fetch = node.fetch("*.txt", "nowhere/x", "a.log", "nul\0byte")
    assert fetch.failed
    assert "*.txt: nothing matches" in fetch.message()
    assert list(node.files) == ["a.log"]
    assert set(node.missing.values()) == {"nothing matches"}
    assert len(node.missing) == 3


def test_an_empty_directory_is_no_failure(node: Node) -> None:
    """It is there, and nothing is in it."""
    (node.place / "dir").mkdir()
    assert node.fetch("dir").message() == "fetched 0 files, 0 bytes"


def test_odd_things_are_listed_and_links_do_not_lead_in_circles(node: Node) -> None:
    """A directory of a daemon holds sockets and FIFOs; to open one could hold the agent up for ever."""
    node.write("dir/a.log")
    node.write("elsewhere/b.log")
    (node.place / "dir/loop").symlink_to(node.place / "dir")
    (node.place / "dir/other").symlink_to(node.place / "elsewhere")
    (node.place / "dir/b.log").symlink_to(node.place / "elsewhere/b.log")
    (node.place / "dir/nothing").symlink_to(node.place / "nothing")
    os.mkfifo(node.place / "dir/fifo")
    with socket.socket(socket.AF_UNIX) as server, chdir(node.place):  # the path of a socket has to be short
        server.bind("dir/sock")
        fetch = node.fetch("dir")
    assert sorted(node.files) == ["dir/a.log", "dir/b.log"]
    assert node.missing == {
        "dir/loop": "a symbolic link to a directory, which is not followed",
        "dir/other": "a symbolic link to a directory, which is not followed",
        "dir/nothing": "a symbolic link to nothing",
        "dir/fifo": "it is a FIFO",
        "dir/sock": "it is a socket",
    }
    assert not fetch.failed


def test_what_a_star_happens_to_mean_is_not_followed_where_it_leads_to_a_directory(node: Node) -> None:
    """`*` beside a link to `/` must not bring the disk; who goes on behind the star wants what is there."""
    node.write("real/a.log")
    node.write("elsewhere/deep/b.log")
    (node.place / "real/link").symlink_to(node.place / "elsewhere")
    assert not node.fetch("real/*").failed
    assert list(node.files) == ["real/a.log"]
    assert node.missing == {"real/link": "a symbolic link to a directory, which is not followed"}
    assert node.fetch("real/li*k").failed, "nothing of it could be had"
    for pattern in ("real/*/deep/b.log", "real/link"):
        node.records.clear()
        assert not node.fetch(pattern).failed
        assert list(node.files) == ["real/link/deep/b.log"]


@pytest.mark.parametrize("pattern", ["fifo", "/dev/null", "dangling"])
def test_a_pattern_that_means_something_odd_alone_is_a_failure(node: Node, pattern: str) -> None:
    """It was wanted by name, and nothing of it can be had."""
    os.mkfifo(node.place / "fifo")
    (node.place / "dangling").symlink_to("nothing")
    fetch = node.fetch(pattern)
    assert fetch.failed
    assert len(node.missing) == 1


def test_a_file_that_may_not_be_read_is_a_failure(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of what was wanted must not look like all of it."""
    node.write("a.log")
    node.write("b.log")
    real = os.open

    def denied(path: str, flags: int, mode: int = 0o777) -> int:
        if str(path).endswith("a.log"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", denied)
    fetch = node.fetch("*.log")
    assert fetch.failed
    assert "a.log: Permission denied" in fetch.message()
    assert list(node.files) == ["b.log"]
    assert node.missing == {"a.log": "Permission denied"}


def test_files_without_a_size_are_read_to_their_end(node: Node) -> None:
    """Those in /proc say that they are empty, and those in /sys that they are a page."""
    fetch = node.fetch("/proc/self/status", "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/version")
    assert not fetch.failed, fetch.message()
    assert b"Pid:" in node.files["/proc/self/status"]
    assert node.files["/proc/version"] == Path("/proc/version").read_bytes()


def test_a_file_that_grows_is_read_up_to_its_size(node: Node) -> None:
    """A log that is written as fast as it is read would never end."""
    path = node.write("a.log", b"1" * 3_000_000)
    fetch = node.begin("a.log")
    while fetch.work(TURN_BYTES, 0) != "done":
        with path.open("ab") as file:
            file.write(b"2" * 100_000)
        node.ship()
    node.ship()
    assert node.files == {"a.log": b"1" * 3_000_000}
    assert not fetch.failed


def test_a_file_that_shrinks_is_said_to_be_cut(node: Node) -> None:
    """A log that is rotated while it is read is not whole; what came is kept."""
    path = node.write("a.log", b"1" * 3_000_000)
    fetch = node.begin("a.log")
    fetch.work(500_000, 0)
    os.truncate(path, 200_000)
    while fetch.work(TURN_BYTES, 0) != "done":
        node.ship()
    node.ship()
    (end,) = [record for record, _ in node.records if isinstance(record, FileEnded)]
    assert "became shorter while it was read" in end.problem
    assert fetch.failed
    assert 0 < end.size < 3_000_000


def test_a_file_that_is_deleted_while_it_is_read_comes_whole(node: Node) -> None:
    """Its bytes are there as long as it is open."""
    path = node.write("a.log", b"1" * 3_000_000)
    fetch = node.begin("a.log")
    fetch.work(500_000, 0)
    path.unlink()
    while fetch.work(TURN_BYTES, 0) != "done":
        node.ship()
    node.ship()
    assert node.files == {"a.log": b"1" * 3_000_000}


def test_names_that_are_no_text_come_too(node: Node) -> None:
    """File names are bytes; what is sent has to be text that every peer takes."""
    Path(os.fsdecode(os.fsencode(node.place) + b"/bad\xff\n")).write_bytes(b"x")
    assert not node.fetch("*").failed
    assert node.files == {"bad\\xff\n": b"x"}


def test_reading_pauses_while_the_sink_is_behind(node: Node) -> None:
    """A broker that is away must not fill the node's disk with copies of its files."""
    node.write("big", b"\0" * (3 * AHEAD_BYTES))
    fetch = node.begin("big")
    turns = 0
    while fetch.work(TURN_BYTES, 0) == "more":
        turns += 1
    assert AHEAD_BYTES <= node.journal.unacknowledged_bytes < AHEAD_BYTES + TURN_BYTES
    assert turns >= AHEAD_BYTES // TURN_BYTES - 1, "a turn has its share and no more"
    assert fetch.work(TURN_BYTES, 0) == "waits"
    while fetch.work(TURN_BYTES, 0) != "done":
        node.ship()
    node.ship()
    assert node.files == {"big": b"\0" * (3 * AHEAD_BYTES)}


def test_memory_does_not_grow_with_the_file(node: Node) -> None:
    """A file of 5 GB is read by an agent of 30 MB."""
    with (node.place / "sparse").open("wb") as file:
        file.truncate(256 << 20)
    fetch = node.begin("sparse")
    tracemalloc.start()
    while fetch.work(TURN_BYTES, 0) != "done":
        while node.journal.next_batch():
            node.journal.acknowledge(node.journal.sent)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert fetch.bytes == 256 << 20
    assert peak < 8 << 20


def test_a_fetch_can_be_left(node: Node) -> None:
    """Its time is up, or the phase was ended: what is begun gets its end."""
    node.write("big", b"\0" * (4 * TURN_BYTES))
    fetch = node.begin("big")
    fetch.work(TURN_BYTES, 0)
    fetch.stop()
    assert fetch.work(TURN_BYTES, 0) == "done"
    node.ship()
    assert isinstance(node.records[-1][0], FileEnded)
    assert node.records[-1][0].problem
    assert fetch.failed


def test_a_full_disk_ends_it_after_a_while(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shipped makes room; if nobody does, the step fails with a sentence and nothing hangs."""
    node.write("a.log", b"x" * 1000)
    monkeypatch.setattr(SpoolStream, "put", lambda *_: JournalFull("disk"))
    fetch = node.begin("a.log")
    limit_ns = round(DISK_PATIENCE_S * 1e9)
    assert fetch.work(TURN_BYTES, 0) == "full"
    assert fetch.work(TURN_BYTES, limit_ns - 1) == "full"
    assert fetch.work(TURN_BYTES, limit_ns) == "done"
    assert "disk" in fetch.message()
    assert fetch.full_disk == FullDisk(str(node.journal.path.parents[2]), f"{node.place}/a.log")
    node.ship()
    (end,) = [record for record, _ in node.records if isinstance(record, FileEnded)]
    assert (end.size, end.sha256) == (0, "")


def test_a_file_of_proc_that_says_it_is_endless_is_cut(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc/kcore has 128 TB."""
    with node.write("kcore").open("r+b") as file:
        file.truncate(1 << 40)
    monkeypatch.setattr(agents.transfers.fetch, "_is_of_proc", lambda _: True)
    monkeypatch.setattr(agents.transfers.fetch, "ENDLESS_BYTES", 1 << 20)
    assert node.fetch("kcore").problems == [f"{node.place}/kcore does not end: 1.05 MB of it came"]


def test_what_lies_too_deep_fails_the_fetch_with_a_sentence(node: Node) -> None:
    """It ended the agent, and every life of it that went on with the run."""
    deep = node.place.joinpath(*"a" * 988)
    make_directories(deep)
    (deep / "f").touch()
    node.write("a/f")
    try:
        fetch = node.fetch("a/**/f")
    finally:
        remove_tree(node.place / "a")  # pytest itself does not get that deep
    assert node.files == {"a/f": b"x"}
    (missing,) = node.missing.values()
    assert f"{missing} (1 file, 1 byte fetched)" in fetch.message()
    assert "too deep" in missing


def test_thousands_of_files_come(node: Node) -> None:
    """Each costs a few records, and no descriptor is left."""
    for directory in range(30):
        (node.place / f"dir/{directory}").mkdir(parents=True)
        for name in range(100):
            (node.place / f"dir/{directory}/{name}").write_bytes(b"%d" % name)
    before = len(list(Path("/proc/self/fd").iterdir()))
    fetch = node.fetch("dir")
    assert fetch.message() == "fetched 3000 files, 5.7 kB"
    assert len(node.files) == 3000
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
