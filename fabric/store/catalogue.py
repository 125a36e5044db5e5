"""The catalogue: what the broker must know after a restart, and what people look runs up by.

Every call is one short transaction of the calling thread.  Where losing it to a power cut would break a
promise (an epoch, a key, a run opened or closed), the call waits for the disk (7 ms); else it takes 0.3 ms.
Every method raises StoreError if the database refuses.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import URL, Connection, delete, func, insert, select, update

from fabric.errors import StoreError
from fabric.protocol.messages import AgentHello, NodeInfo, OpenRun, RunInfo
from fabric.protocol.records import Record
from fabric.store import progress
from fabric.store.access import Access
from fabric.store.database import Database
from fabric.store.rows import Reservation, StoredNode, StoredPhase, StoredRun, StoredStep
from fabric.store.schema import broker, marks, nodes, phases, reservations, runs, steps

_INFO: Final[tuple[Any, ...]] = (
    runs.c.run,
    runs.c.name,
    runs.c.state,
    runs.c.verdict,
    runs.c.operator,
    runs.c.opened_ns,
    runs.c.closed_ns,
    runs.c.nodes,
    runs.c.last_number,
)
_RUN: Final[tuple[Any, ...]] = (
    *_INFO,
    runs.c.session,
    runs.c.lease_s,
    runs.c.trial,
    runs.c.plan,
    runs.c.result,
)


class Catalogue:
    """Keys, nodes, runs, reservations, phases and steps in a database."""

    def __init__(self, where: Path | str) -> None:
        """Open the catalogue; make it if it is not there; bring an older one up to date.

        Args:
            where: A file of SQLite, or the URL of a database as SQLAlchemy takes it.

        Raises:
            StoreError: If it cannot be used, or was made by a newer testfabric.
        """
        if isinstance(where, Path):
            where = URL.create("sqlite", database=str(where)).render_as_string()
        self._database = Database(where)
        self.access = Access(self._database)
        """Keys and invitations."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection.  Safe to call twice."""
        self._database.close()

    # --- the broker itself ------------------------------------------------------------------------------

    def next_epoch(self) -> int:
        """Begin another life of the broker and return its number: above all before it, 1 for the first."""
        with self._database.transaction(durable=True) as connection:
            epoch: int = (connection.execute(select(broker.c.epoch)).scalar() or 0) + 1
            progress.upsert(connection, broker, {"id": 1}, {"epoch": epoch})
        return epoch

    # --- nodes ------------------------------------------------------------------------------------------

    def save_node(self, hello: AgentHello, heard_ns: int) -> None:
        """Keep what a node says of itself."""
        values = {
            "instance": hello.instance,
            "incarnation": hello.incarnation,
            "labels": hello.labels,
            "addresses": hello.addresses,
            "facts": hello.facts,
            "heard_ns": heard_ns,
        }
        with self._database.transaction() as connection:
            progress.upsert(connection, nodes, {"name": hello.name}, values)

    def save_heard(self, heard_ns: Mapping[str, int]) -> None:
        """Keep when nodes were heard of last."""
        with self._database.transaction() as connection:
            for name, instant_ns in heard_ns.items():
                connection.execute(update(nodes).where(nodes.c.name == name).values(heard_ns=instant_ns))

    def nodes(self) -> tuple[StoredNode, ...]:
        """Return all nodes that ever said hello, by name."""
        given = [marks.c.labels.label("given_labels"), *list(marks.c)[2:]]
        query = select(nodes, reservations.c.run, *given)
        query = query.outerjoin(reservations, nodes.c.name == reservations.c.node)
        query = query.outerjoin(marks, nodes.c.name == marks.c.node)
        with self._database.transaction() as connection:
            return tuple(map(_node, connection.execute(query.order_by(nodes.c.name))))

    def save_marks(self, node: str, values: Mapping[str, Any]) -> None:
        """Keep what operators and runs say of a node: a value for each column of its marks."""
        with self._database.transaction(durable=True) as connection:
            progress.upsert(connection, marks, {"node": node}, dict(values))

    # --- runs -------------------------------------------------------------------------------------------

    def open_run(
        self, request: OpenRun, operator: str, opened_ns: int, session: str = ""
    ) -> tuple[Reservation, ...]:
        """Add a run and reserve all its nodes, or do nothing.

        Returns:
            Who has which of the nodes.  Empty: the run is open; it may be asked for again.

        Raises:
            StoreError: If there is a run of this id already that is closed or somebody else's.
        """
        with self._database.transaction(durable=True) as connection:
            known = connection.execute(
                select(runs.c.operator, runs.c.state).where(runs.c.run == request.run)
            ).first()
            if known:
                if tuple(known) != (operator, "open"):
                    raise StoreError(f"run {request.run} exists already, {known.state}, of {known.operator}")
                return ()
            held = _reservations(connection, request.nodes)
            if not held:
                _insert_run(connection, request, operator, opened_ns, session)
            return held

    def close_run(self, run: str, verdict: str, result: str, closed_ns: int, last_number: int) -> bool:
        """Store how a run ended and release its nodes.

        Returns:
            Whether it was open until now; the result of a closed run is never changed.
        """
        values = {
            "state": "closed",
            "verdict": verdict,
            "result": result,
            "closed_ns": closed_ns,
            "last_number": last_number,
        }
        with self._database.transaction(durable=True) as connection:
            change = update(runs).where(runs.c.run == run, runs.c.state == "open")
            closed = connection.execute(change.values(values)).rowcount
            connection.execute(delete(reservations).where(reservations.c.run == run))
            return bool(closed)

    def delete_run(self, run: str) -> bool:
        """Delete a closed run with its phases and steps; return whether there was one."""
        with self._database.transaction(durable=True) as connection:
            gone = delete(runs).where(runs.c.run == run, runs.c.state == "closed")
            return bool(connection.execute(gone).rowcount)

    def run(self, run: str) -> StoredRun | None:
        """Return a run by its whole id."""
        with self._database.transaction() as connection:
            row = connection.execute(select(*_RUN).where(runs.c.run == run)).first()
            return _run(row) if row else None

    def open_runs(self) -> tuple[StoredRun, ...]:
        """Return the runs that a broker has to go on with after a restart, oldest first."""
        query = select(*_RUN).where(runs.c.state == "open").order_by(runs.c.opened_ns, runs.c.run)
        with self._database.transaction() as connection:
            return tuple(map(_run, connection.execute(query)))

    def runs(self, prefix: str = "", limit: int = 50) -> tuple[RunInfo, ...]:
        """Return the newest runs whose id begins with ``prefix``, newest first."""
        query = select(*_INFO).order_by(runs.c.opened_ns.desc(), runs.c.run.desc()).limit(limit)
        if prefix:  # not LIKE, which ignores case in SQLite and not elsewhere
            query = query.where(func.substr(runs.c.run, 1, len(prefix)) == prefix)
        with self._database.transaction() as connection:
            return tuple(map(_info, connection.execute(query)))

    def run_ends(self) -> dict[str, int | None]:
        """Return all runs with the instant of their end; None: it is open."""
        with self._database.transaction() as connection:
            rows = connection.execute(select(runs.c.run, runs.c.state, runs.c.closed_ns))
            return {row.run: row.closed_ns or 0 if row.state == "closed" else None for row in rows}

    def reservations(self) -> tuple[Reservation, ...]:
        """Return who has which node, by node."""
        with self._database.transaction() as connection:
            return _reservations(connection)

    # --- phases and steps -------------------------------------------------------------------------------

    def save_phase(self, run: str, record: progress.PhaseRecord) -> None:
        """Note that a phase of a run started or ended.  May be repeated."""
        with self._database.transaction() as connection:
            progress.save_phase(connection, run, record)

    def save_step(self, run: str, node: str, record: progress.StepRecord) -> None:
        """Note that a step of a run started, finished or was skipped on a node.  May be repeated."""
        with self._database.transaction() as connection:
            progress.save_step(connection, run, node, record)

    def save_records(self, run: str, node: str, records: Iterable[Record]) -> None:
        """Note what a batch of records says of phases and steps, in one transaction.  May be repeated."""
        self.save_batches([(run, node, records)])

    def save_batches(self, batches: Iterable[tuple[str, str, Iterable[Record]]]) -> None:
        """Do `save_records` for many batches, each with its run and node, in one transaction."""
        wanted = [
            (run, node, record)
            for run, node, records in batches
            for record in records
            if isinstance(record, _PROGRESS)
        ]
        if not wanted:
            return
        with self._database.transaction() as connection:
            for run, node, record in wanted:
                if isinstance(record, progress.PHASE_RECORDS):
                    progress.save_phase(connection, run, record)
                else:
                    progress.save_step(connection, run, node, record)

    def counts(self, run: str) -> tuple[int, int, int]:
        """Return how many phases, steps and failed steps of a run are noted."""
        queries = (
            select(func.count()).select_from(phases).where(phases.c.run == run),
            select(func.count()).select_from(steps).where(steps.c.run == run),
            select(func.count()).select_from(steps).where(steps.c.run == run, steps.c.failed.is_(True)),
        )
        with self._database.transaction() as connection:
            found = [connection.execute(query).scalar_one() for query in queries]
        return found[0], found[1], found[2]

    def failed_steps(self, run: str, limit: int) -> tuple[StoredStep, ...]:
        """Return the first steps of a run that failed, as they ended."""
        query = select(*_without_run(steps)).where(steps.c.run == run, steps.c.failed.is_(True)).limit(limit)
        with self._database.transaction() as connection:
            rows = connection.execute(query.order_by(steps.c.finished_ns, steps.c.node, steps.c.step))
            return tuple(StoredStep(**row) for row in rows.mappings())

    def phases(self, run: str, limit: int = 1 << 31) -> tuple[StoredPhase, ...]:
        """Return the last phases of a run as they started."""
        query = select(*_without_run(phases)).where(phases.c.run == run)
        newest = (phases.c.t0_ns.desc(), phases.c.phase.desc(), phases.c.go.desc())
        with self._database.transaction() as connection:
            rows = connection.execute(query.order_by(*newest).limit(limit)).mappings().all()
            return tuple(StoredPhase(**row) for row in reversed(rows))

    def steps(self, run: str) -> tuple[StoredStep, ...]:
        """Return the steps of a run, by node and then as they started."""
        query = select(*_without_run(steps)).where(steps.c.run == run)
        order = (steps.c.node, func.coalesce(steps.c.started_ns, steps.c.finished_ns), steps.c.step)
        with self._database.transaction() as connection:
            rows = connection.execute(query.order_by(*order, steps.c.attempt))
            return tuple(StoredStep(**row) for row in rows.mappings())


_PROGRESS: Final = (*progress.PHASE_RECORDS, *progress.STEP_RECORDS)


def _without_run(table: Any) -> list[Any]:
    return [column for column in table.c if column.name != "run"]


def _insert_run(
    connection: Connection, request: OpenRun, operator: str, opened_ns: int, session: str
) -> None:
    row = {
        "run": request.run,
        "name": request.name,
        "operator": operator,
        "session": session,
        "state": "open",
        "verdict": "",
        "trial": request.trial,
        "plan": request.plan,
        "result": "",
        "lease_s": request.lease_s,
        "opened_ns": opened_ns,
        "nodes": request.nodes,
        "last_number": 0,
    }
    connection.execute(insert(runs).values(row))
    held = [{"node": node, "run": request.run, "since_ns": opened_ns} for node in request.nodes]
    if held:
        connection.execute(insert(reservations), held)


def _reservations(connection: Connection, only: Iterable[str] | None = None) -> tuple[Reservation, ...]:
    query = select(reservations, runs.c.name, runs.c.operator).join(runs)
    if only is not None:
        query = query.where(reservations.c.node.in_(tuple(only)))
    rows = connection.execute(query.order_by(reservations.c.node))
    return tuple(Reservation(**row) for row in rows.mappings())


def _node(row: Any) -> StoredNode:
    given = tuple(row.given_labels or ())
    info = NodeInfo(
        name=row.name,
        state="busy" if row.run else "away",
        incarnation=row.incarnation,
        labels=(*row.labels, *(label for label in given if label not in row.labels)),
        addresses=row.addresses,
        facts=row.facts,
        run=row.run or "",
        heard_ns=row.heard_ns,
        given_labels=given,
        drained_by=row.drained_by or "",
        drained_why=row.drained_why or "",
        drained_ns=row.drained_ns or 0,
        dirty_run=row.dirty_run or "",
        dirty_why=row.dirty_why or "",
        dirty_ns=row.dirty_ns or 0,
    )
    return StoredNode(instance=row.instance, info=info)


def _info(row: Any) -> RunInfo:
    return RunInfo(
        run=row.run,
        name=row.name,
        state=row.state,
        verdict=row.verdict,
        operator=row.operator,
        opened_ns=row.opened_ns,
        closed_ns=row.closed_ns or 0,
        nodes=tuple(row.nodes),
        last=row.last_number,
    )


def _run(row: Any) -> StoredRun:
    return StoredRun(
        info=_info(row),
        session=row.session,
        lease_s=row.lease_s,
        trial=row.trial,
        plan=row.plan,
        result=row.result,
    )
