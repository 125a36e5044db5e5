"""Opens the catalogue's database: creates, upgrades or refuses it, and says in words what went wrong."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    MetaData,
    NullPool,
    PrimaryKeyConstraint,
    String,
    Table,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from fabric.errors import StoreError
from fabric.store.files import FILE_MODE, told
from fabric.store.schema import REVISIONS, metadata

BUSY_TIMEOUT_MS: Final = 2000
"""A tool that reads beside the broker holds the database for milliseconds; two seconds mean that it hangs."""

_MIGRATIONS: Final = Path(__file__).parent / "migrations"

# As Alembic itself makes it, so that a new database need not import Alembic (0.4 s).
_VERSION: Final = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

_HINTS: Final = (
    ("locked", "another program holds the database: end it, then try again"),
    ("disk is full", "free some space on this file system"),
    ("readonly", "let the user of the broker write there, or choose another --state-dir"),
    ("unable to open", "let the user of the broker read and write there, or choose another --state-dir"),
    ("disk I/O error", "the disk reports errors: look at the kernel's log, then restart the broker"),
    ("malformed", "the file is damaged: restore it from a copy, or move it away to begin a new one"),
    ("not a database", "another file is in its place: move it away"),
)


class Database:
    """One connection to the catalogue, for one thread."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self.where = self._url.database or url
        self._is_sqlite = self._url.get_backend_name() == "sqlite"
        with told(Path(self.where)), self.told():
            if self._is_sqlite:
                _make_private(Path(self.where))
            self._engine = _engine(self._url)
            self._connection = self._engine.connect()
            try:
                self._prepare()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close the connection.  Safe to call twice."""
        self._connection.close()
        self._engine.dispose()

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[Connection]:
        """Do all that is inside, or nothing of it.

        Args:
            durable: Wait for the disk (7 ms).  Otherwise a loss of power, though no death of the process, can
                take back the last transactions.

        Raises:
            StoreError: If the database refuses.
        """
        with self.told():
            if durable and self._is_sqlite:
                self._pragma("synchronous = FULL")
            try:
                with self._connection.begin():
                    yield self._connection
            finally:
                if durable and self._is_sqlite:
                    self._pragma("synchronous = NORMAL")

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn an error of the database into a StoreError that names it."""
        try:
            yield
        except SQLAlchemyError as error:
            text = str(getattr(error, "orig", None) or error)
            hints = (hint for part, hint in _HINTS if part in text)
            hint = next(hints, "see that the state directory is complete and belongs to the broker")
            raise StoreError(f"{self.where}: {text}", hint=hint) from error

    def _pragma(self, text: str) -> None:
        cursor = self._connection.connection.cursor()  # beside SQLAlchemy, which would begin a transaction
        cursor.execute(f"PRAGMA {text}")
        cursor.close()

    def _prepare(self) -> None:
        """Bring the tables to the newest revision.

        Raises:
            StoreError: If they belong to a newer testfabric, or to another program.
        """
        with self.transaction(durable=True) as connection:
            revision = _revision(connection)
            if revision == REVISIONS[-1]:
                return
            if revision is None:
                self._create(connection)
            elif revision in ("", *REVISIONS):
                _upgrade(connection)
            else:
                raise StoreError(
                    f"{self.where}: made by a newer testfabric (revision {revision}, here {REVISIONS[-1]})",
                    hint="update testfabric on this machine, or choose another --state-dir",
                )

    def _create(self, connection: Connection) -> None:
        strange = inspect(connection).get_table_names()
        if strange:
            raise StoreError(
                f"{self.where}: holds tables of another program ({', '.join(strange):.80})",
                hint="choose another --state-dir",
            )
        metadata.create_all(connection)
        _VERSION.create(connection)
        connection.execute(insert(_VERSION).values(version_num=REVISIONS[-1]))


def _make_private(path: Path) -> None:
    """Create the file before SQLite does, which gives its companions the same mode."""
    if str(path) != ":memory:":
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))


def _engine(url: URL) -> Engine:
    engine = create_engine(url, poolclass=NullPool)
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # pysqlite must not begin transactions by its own rules
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: one that reads first and writes then would fail in the middle beside another writer.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _revision(connection: Connection) -> str | None:
    """Return the revision of the tables; "" before the first one, None if there are no tables of ours."""
    if not inspect(connection).has_table(_VERSION.name):
        return None
    return connection.execute(select(_VERSION.c.version_num)).scalar() or ""


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
