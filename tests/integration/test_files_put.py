"""A put: what is found beside the trial is what the nodes get, whatever is lost on the way."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from agents.transfers.full_disk import FullDisk
from agents.transfers.limits import NO_ANSWER_S, TURN_BYTES
from agents.transfers.put import Put, Stock
from fabric.controller.fileserver import FileServer
from fabric.controller.puts import with_files
from fabric.controller.sources import Sources, find_sources
from fabric.errors import UsageError
from fabric.protocol.limits import FILE_PART_BYTES
from fabric.protocol.messages import FilePart, FileRequest, FileSource, Step
from fabric.trial.load import parse_trial
from fabric.trial.model import PutSource, Trial

RUN = "20240101-000000-put-abcd"
MS = 1_000_000


def trial(folder: Path, *sources: PutSource) -> Trial:
    """Return a trial in this directory whose one step puts these."""
    text = '[trial]\nname = "t"\n[nodes]\ndb = "lab1"\n[run]\ndb = "true"\n'
    plain = parse_trial(text, str(folder / "trial.toml"))
    (step,) = plain.steps
    return replace(plain, steps=(replace(step, verb="put", argv=(), put=tuple(sources)),))


def found(folder: Path, *sources: PutSource) -> Sources:
    return find_sources(trial(folder, *sources))


def on_the_node(sources: Sources, env: dict[str, str] | None = None) -> tuple[FileSource, ...]:
    (place,) = sources.puts
    phase, role, label = place
    step = Step(
        step=f"1/{phase}/{role}/{label}", verb="put", argv=(), env=env or {}, dir=None, timeout_s=None,
        at_s=None, ok=(0,), on_fail="stop", when="passed", signal=15, grace_s=1.0,
    )  # fmt: skip
    ((given,),) = with_files({"lab1": (step,)}, sources.puts).values()
    return given.files


class Lab:
    """A node that puts, and a controller that has the files; links lose what ``lost`` says."""

    def __init__(self, tmp_path: Path, sources: Sources) -> None:
        self.scratch = tmp_path / "scratch"
        self.scratch.mkdir()
        self.stock = Stock(RUN, "lab1", tmp_path / "parts" / RUN)
        self.now_ns = 0
        self.asked: list[FileRequest] = []
        self.answers: list[FilePart] = []
        self.lost: Callable[[FileRequest], bool] = lambda _: False
        self.server = FileServer(RUN, sources.files, self._answer)
        self.sources = sources

    def _answer(self, part: FilePart) -> bool:
        self.answers.append(part)
        return True

    def _ask(self, request: FileRequest) -> bool:
        self.asked.append(request)
        if not self.lost(request):
            self.server.ask(request)
        return True

    def begin(self) -> Put:
        return Put(self.stock, self.scratch, on_the_node(self.sources), self._ask)

    def put(self, put: Put | None = None) -> Put:
        put = put or self.begin()
        while put.work(TURN_BYTES, self.now_ns) != "done":
            self.now_ns += 50 * MS
            self.server.work(self.now_ns)
            answers, self.answers = self.answers, []
            for answer in answers:
                put.take(answer, self.now_ns)
        return put

    @property
    def files(self) -> dict[str, bytes]:
        below = [path for path in self.scratch.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.scratch)): path.read_bytes() for path in below}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The directory of a trial, with some files beside it."""
    place = tmp_path / "trial"
    for name in ("a.sh", "b.conf", "c.conf", "dir/x", "dir/deep/y", "dir/pri$ce"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(name)
    (place / "a.sh").chmod(0o755)
    return place


@pytest.mark.parametrize(
    ("source", "target", "wanted"),
    [
        ("a.sh", None, ["a.sh"]),
        ("a.sh", "bin/run.sh", ["bin/run.sh"]),
        ("a.sh", "bin/", ["bin/a.sh"]),
        ("*.conf", None, ["b.conf", "c.conf"]),
        ("*.conf", "etc", ["etc/b.conf", "etc/c.conf"]),
        ("dir", None, ["dir/deep/y", "dir/pri$ce", "dir/x"]),
        ("dir", "other", ["other/deep/y", "other/pri$ce", "other/x"]),
        ("dir", "other/", ["other/dir/deep/y", "other/dir/pri$ce", "other/dir/x"]),
        ("d*", None, ["dir/deep/y", "dir/pri$ce", "dir/x"]),
        ("dir/deep/y", None, ["y"]),
        ("dir/*", None, ["deep/y", "pri$ce", "x"]),
        ("dir/**", None, ["deep/y", "pri$ce", "x"]),  # each once, though glob finds `deep` and `deep/y`
        ("./dir/**/", "to", ["to/deep/y", "to/pri$ce", "to/x"]),
        ("**/x", None, ["x"]),
        ("a.sh", "$my_name/$ce.sh", ["lab1/$ce.sh"]),
    ],
)
def test_a_source_goes_where_it_says(
    folder: Path, source: str, target: str | None, wanted: list[str]
) -> None:
    """File, glob or directory, under its own name or another; names of files are no variables."""
    files = on_the_node(found(folder, PutSource(source=source, target=target)), {"my_name": "lab1"})
    assert sorted(file.path for file in files) == wanted


def test_a_file_does_not_silently_overwrite_another(folder: Path) -> None:
    """`**` finds one name in several directories: a file less would arrive than was put."""
    for name in ("dir/a.log", "dir/deep/a.log"):
        (folder / name).write_text(name)
    with pytest.raises(
        UsageError, match=r"trial.toml:6: put: copies .*dir/a.log. and .*to the same place, .all/a.log"
    ):
        found(folder, PutSource(source="**/*.log", target="all/"))
    twice = on_the_node(
        found(folder, PutSource(source="a.sh", target=None), PutSource(source="*.sh", target=None))
    )
    assert [file.path for file in twice] == ["a.sh"], "the same file twice is no mistake"


def test_what_is_found_is_what_is_put(tmp_path: Path, folder: Path) -> None:
    """Bytes and modes, empty files and large ones, in directories that are made for them."""
    big = os.urandom(5 * FILE_PART_BYTES + 17)
    (folder / "dir/big").write_bytes(big)
    (folder / "dir/empty").write_bytes(b"")
    lab = Lab(tmp_path, found(folder, *(PutSource(source=one, target=None) for one in ("a.sh", "dir"))))
    put = lab.put()
    assert not put.failed
    assert put.message() == "put 6 files, 1.31 MB"
    assert lab.files["dir/big"] == big
    assert lab.files["dir/empty"] == b""
    assert lab.files["dir/deep/y"] == b"dir/deep/y"
    assert (lab.scratch / "a.sh").stat().st_mode & 0o777 == 0o755
    assert not list(lab.stock.parts.iterdir())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_lost_words_cost_time_and_nothing_else(tmp_path: Path, folder: Path, seed: int) -> None:
    """A link is cut, a broker starts again: the rest is asked for again."""
    big = os.urandom(20 * FILE_PART_BYTES + 1)
    (folder / "big").write_bytes(big)
    lab = Lab(tmp_path, found(folder, PutSource(source="big", target=None)))
    chance = Random(seed)
    lab.lost = lambda _: chance.random() < 0.3
    assert not lab.put().failed
    assert lab.files == {"big": big}


def test_the_same_file_comes_once(tmp_path: Path, folder: Path) -> None:
    """The next repeat puts the same files; a file that was changed meanwhile is pulled again."""
    lab = Lab(tmp_path, found(folder, PutSource(source="a.sh", target=None)))
    lab.put()
    lab.asked.clear()
    lab.put()
    assert lab.asked == []
    (lab.scratch / "a.sh").write_text("somebody wrote to it")
    lab.put()
    assert lab.asked
    assert lab.files == {"a.sh": b"a.sh"}


def test_no_link_of_a_user_of_the_node_leads_a_put_elsewhere(tmp_path: Path, folder: Path) -> None:
    """An agent that is root would write for a step's user where that user may not."""
    lab = Lab(tmp_path, found(folder, PutSource(source="a.sh", target="sub/")))
    outside, link = tmp_path / "outside", lab.scratch / "sub"
    outside.mkdir()

    def make_link(_path: str) -> str:
        if not link.is_symlink():
            link.symlink_to(outside)
        return ""

    files = on_the_node(lab.sources)
    for why_not in (make_link, None):  # just behind the first look; long before
        put = lab.put(Put(lab.stock, lab.scratch, files, lab._ask, why_not=why_not, shared=lab.scratch))
        assert "the link that leads to" in put.problem
        assert not any(outside.iterdir())
    assert not lab.put().failed, "nobody else can make links there"
    assert (outside / "a.sh").exists()
    link.unlink()
    (lab.scratch / "real").mkdir()
    link.symlink_to("real")
    put = lab.put(Put(lab.stock, lab.scratch, files, lab._ask, shared=lab.scratch))
    assert not put.failed, "it stays within"
    assert (lab.scratch / "real" / "a.sh").exists()


@pytest.mark.parametrize("target", ["taken/x", "taken/deep/x", "dangling/x"])
def test_what_is_no_directory_on_the_way_is_named(tmp_path: Path, folder: Path, target: str) -> None:
    """As `/etc/hostname/x`: that a file exists there is what everybody wanted."""
    lab = Lab(tmp_path, found(folder, PutSource(source="a.sh", target=target)))
    (lab.scratch / "taken").write_text("")
    (lab.scratch / "dangling").symlink_to("nowhere")
    other = lab.scratch / target.partition("/")[0]
    assert lab.put().problem == f"cannot write {lab.scratch / target}: {other} is no directory"


def test_two_steps_that_want_one_file_pull_it_once(tmp_path: Path, folder: Path) -> None:
    """Two roles of one node often put the same tool."""
    sources = found(folder, PutSource(source="a.sh", target="one"))
    lab = Lab(tmp_path, sources)
    first = lab.begin()
    assert first.work(TURN_BYTES, 0) == "waits"
    files = (replace(on_the_node(sources)[0], path="two"),)
    second = Put(lab.stock, lab.scratch, files, lab._ask)
    assert second.work(TURN_BYTES, 0) == "waits"
    lab.put(first)
    asked = len(lab.asked)
    lab.put(second)
    assert len(lab.asked) == asked
    assert lab.files == {"one": b"a.sh", "two": b"a.sh"}


def test_a_directory_is_no_place_for_a_file(tmp_path: Path, folder: Path) -> None:
    """The sentence names the place; what is there stays."""
    lab = Lab(tmp_path, found(folder, PutSource(source="a.sh", target="etc")))
    (lab.scratch / "etc").mkdir()
    put = lab.put()
    assert put.message() == f"cannot write {lab.scratch}/etc: it is a directory there"


@pytest.mark.parametrize(("made", "kind"), [("mkfifo", "a FIFO"), ("ln -s /dev/null", "a device")])
def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path, folder: Path, made: str, kind: str) -> None:
    """A machine without its /dev/null is of no more use."""
    lab = Lab(tmp_path, found(folder, PutSource(source="a.sh", target="there")))
    subprocess.run([*made.split(), str(lab.scratch / "there")], check=True)
    assert lab.put().message() == f"cannot write {lab.scratch}/there: it is {kind} there"


def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the lab's matter, and the sentence names the disk; half a file is never in its place."""
    lab = Lab(tmp_path, found(folder, PutSource(source="a.sh", target=None)))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    put = lab.put()
    assert put.message() == f"cannot write {lab.scratch}/a.sh: No space left on device"
    assert put.full_disk == FullDisk(str(lab.scratch), f"{lab.scratch}/a.sh")
    assert lab.files == {}
    assert not list(lab.stock.parts.iterdir())


def test_a_place_that_may_not_be_written_is_told(tmp_path: Path, folder: Path) -> None:
    """/proc takes no files, not even of root."""
    lab = Lab(tmp_path, found(folder, PutSource(source="a.sh", target="/proc/nothing/a.sh")))
    put = lab.put()
    assert "cannot write /proc/nothing/a.sh: " in put.message()
    assert put.full_disk is None


def test_a_file_that_is_changed_during_the_run_is_told(tmp_path: Path, folder: Path) -> None:
    """Some nodes would have the old one and some the new one."""
    lab = Lab(tmp_path, found(folder, PutSource(source="a.sh", target=None)))
    (folder / "a.sh").write_text("later")
    assert lab.put().message() == f"{folder}/a.sh was changed since the run began"
    assert lab.files == {}


def test_nobody_answers_for_ever(tmp_path: Path, folder: Path) -> None:
    """An agent that resets alone has no controller to ask."""
    lab = Lab(tmp_path, found(folder, PutSource(source="a.sh", target=None)))
    lab.lost = lambda _: True
    assert "nobody sends the file" in lab.put().message()
    assert lab.now_ns >= NO_ANSWER_S * 1e9


def test_a_put_can_be_left(tmp_path: Path, folder: Path) -> None:
    """Its time is up, or the phase was ended."""
    lab = Lab(tmp_path, found(folder, PutSource(source="a.sh", target=None)))
    put = lab.begin()
    put.work(TURN_BYTES, 0)
    put.stop()
    assert put.failed
    assert not list(lab.stock.parts.iterdir())
    assert lab.stock.pulling == set()


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nowhere", "nothing here is called or matches `nowhere`"),
        ("*.nothing", "matches"),
        ("fifo", "neither a file nor a directory"),
        ("links", "is a link to a directory"),
        ("many", "over the limit"),
    ],
)
def test_what_cannot_be_put_is_told_before_anything_starts(folder: Path, source: str, sentence: str) -> None:
    """With file and line of the step, as every mistake in a trial."""
    os.mkfifo(folder / "fifo")
    (folder / "links").mkdir()
    (folder / "links/dir").symlink_to(folder / "dir")
    (folder / "many").mkdir()
    for number in range(1001):
        (folder / f"many/{number}").touch()
    with pytest.raises(UsageError, match=sentence) as caught:
        found(folder, PutSource(source=source, target=None))
    assert str(caught.value).startswith(f"{folder}/trial.toml:6: put: ")
    assert caught.value.hint
