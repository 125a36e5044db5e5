"""The journal on real files and pipes against the plainest model: a list of records with their bytes."""

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agents.journal import Journal, Limits, Moved, SpoolStream
from fabric.protocol import codec
from fabric.protocol.messages import Batch
from fabric.protocol.records import Notice, Output, Record

RUN = "20240101-000000-model-abcd"
SMALL = Limits(
    segment_bytes=400,
    spool_file_bytes=60,
    idle_spool_bytes=20,
    chunk_bytes=32,
    batch_bytes=200,
    batch_records=4,
    window_bytes=900,
    window_records=9,
)


class Source:
    """One stream with its pipe."""

    def __init__(self, number: int) -> None:
        self.read_fd, self.write_fd = os.pipe()
        self.step = f"1/run/role/step{number}"
        self.offset = 0
        self.stream: SpoolStream | None = None

    def close(self) -> None:
        os.close(self.read_fd)
        if self.write_fd >= 0:
            os.close(self.write_fd)


class JournalMachine(RuleBasedStateMachine):
    """Appends, ships, loses acknowledgements, dies and comes back in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="journal-"))
        self.journal = Journal.create(self.root, RUN, 1, SMALL)
        self.model: list[tuple[Record, bytes]] = []
        self.sent = self.acknowledged = self.reached = 0
        self.sources: list[Source] = []
        self.recovered = False

    def teardown(self) -> None:
        self.journal.close()
        for source in self.sources:
            source.close()
        shutil.rmtree(self.root)

    @rule(size=st.integers(0, 150))
    def append(self, size: int) -> None:
        record = Notice(t_ns=len(self.model), bound_ns=-1, level="info", message="x" * size)
        self.model.append((record, b""))
        assert self.journal.append(record) == len(self.model)

    @precondition(lambda self: not self.recovered and len(self.sources) < 3)
    @rule()
    def open_stream(self) -> None:
        source = Source(len(self.sources))
        source.stream = self.journal.open_stream(source.step, 1, "stdout")
        self.sources.append(source)

    @precondition(lambda self: not self.recovered and self.sources)
    @rule(data=st.data(), wrote=st.binary(max_size=100))
    def capture(self, data: st.DataObject, wrote: bytes) -> None:
        source = data.draw(st.sampled_from(self.sources))
        if source.write_fd >= 0:
            os.write(source.write_fd, wrote)
        self._capture(source, wrote if source.write_fd >= 0 else b"")

    @precondition(lambda self: not self.recovered and self.sources)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        source = data.draw(st.sampled_from(self.sources))
        if source.write_fd >= 0:
            os.close(source.write_fd)
            source.write_fd = -1
            self._capture(source, b"")
            self._expect(source, b"")

    def _capture(self, source: Source, wrote: bytes) -> None:
        """Take all that the pipe holds; it was empty before ``wrote``."""
        assert source.stream is not None
        while wrote:
            moved = self.journal.capture(source.stream, source.read_fd, len(self.model), 5)
            assert moved == Moved(source.offset, min(len(wrote), SMALL.chunk_bytes))
            self._expect(source, wrote[: moved.size])
            source.offset += moved.size
            wrote = wrote[moved.size :]
        nothing = None if source.write_fd >= 0 else Moved(source.offset, 0)
        assert self.journal.capture(source.stream, source.read_fd, len(self.model), 5) == nothing

    def _expect(self, source: Source, data: bytes, recovered_ns: int | None = None) -> None:
        record = Output(
            t_ns=len(self.model) if recovered_ns is None else recovered_ns,
            bound_ns=5 if recovered_ns is None else -1,
            step=source.step,
            attempt=1,
            stream="stdout",
            offset=source.offset,
            size=len(data),
        )
        self.model.append((record, data))

    @rule()
    def send(self) -> None:
        shipment = self.journal.next_batch()
        if shipment is None:
            in_flight = self.sent - self.acknowledged
            assert self.sent == len(self.model) or in_flight > 0, "an empty window must let something through"
            return
        batch = codec.decode_as(shipment.batch, Batch)
        wanted = self.model[self.sent : self.sent + len(batch.records)]
        assert (batch.run, batch.incarnation, batch.first) == (RUN, 1, self.sent + 1)
        assert list(batch.records) == [record for record, _ in wanted]
        assert shipment.payload == b"".join(data for _, data in wanted)
        assert 1 <= len(batch.records) <= SMALL.batch_records
        assert len(shipment.payload) <= SMALL.batch_bytes
        self.sent += len(batch.records)
        self.reached = max(self.reached, self.sent)
        assert self.sent - self.acknowledged <= SMALL.window_records

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, self.reached))
        self.journal.acknowledge(number)
        self.acknowledged = max(self.acknowledged, number)
        self.sent = max(self.sent, self.acknowledged)

    @rule(data=st.data())
    def rewind(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(max(0, self.acknowledged - 1), self.sent + 2))
        self.journal.rewind(number)
        self.sent = min(self.sent, max(self.acknowledged, number - 1))

    @rule(data=st.data(), torn=st.binary(max_size=20), wrote=st.binary(max_size=100))
    def die(self, data: st.DataObject, torn: bytes, wrote: bytes) -> None:
        """The process is gone; a record was half-written, output was spooled without its record."""
        source = data.draw(st.sampled_from(self.sources)) if self.sources and not self.recovered else None
        if source is not None and source.stream is not None and source.write_fd >= 0:
            os.write(source.write_fd, wrote)
            source.stream.move(source.read_fd, len(wrote) or 1)
        else:
            wrote = b""
        self.journal.close()
        for newest in sorted(self.journal.path.glob("records/*"))[-1:]:
            with newest.open("ab") as file:
                file.write(torn)
        (self.journal,) = Journal.recover(self.root, SMALL)
        self.sent = self.acknowledged  # what an earlier life sent, this one sends again
        self.recovered = True
        self._expect_tails(source, wrote)

    def _expect_tails(self, source: Source | None, wrote: bytes) -> None:
        t_ns = len(self.model)
        assert self.journal.recover_tails(t_ns, -1) == len(wrote)
        while source is not None and wrote:
            chunk, wrote = wrote[: SMALL.chunk_bytes], wrote[SMALL.chunk_bytes :]
            self._expect(source, chunk, recovered_ns=t_ns)
            source.offset += len(chunk)

    @invariant()
    def counts_agree(self) -> None:
        journal = self.journal
        assert journal.appended == len(self.model)
        assert journal.acknowledged == self.acknowledged
        assert journal.sent == self.sent
        assert journal.is_shipped == (self.acknowledged == len(self.model))
        assert journal.damage == ""
        assert journal.unacknowledged_bytes == sum(
            len(codec.encode_record(record)) + len(data) for record, data in self.model[self.acknowledged :]
        )

    @invariant()
    def disk_is_freed(self) -> None:
        """What is acknowledged is gone but for one file of each kind and stream."""
        spooled = sum(path.stat().st_size for path in self.journal.path.glob("spool/*"))
        held = sum(len(data) for _, data in self.model[self.acknowledged :])
        assert spooled <= held + (len(self.sources) + 3) * (SMALL.spool_file_bytes + SMALL.chunk_bytes)


JournalMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestJournal = JournalMachine.TestCase
