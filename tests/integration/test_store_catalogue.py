"""The catalogue's file: its making, its upgrades, and what is said when it cannot be used."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from fabric.errors import FabricError, StoreError
from fabric.protocol.messages import KeyInfo
from fabric.store import database
from fabric.store.catalogue import Catalogue
from fabric.store.schema import REVISIONS
from fabric.store.state import StateDirectory


def shape(path: Path) -> dict[str, object]:
    """Return all that a database says of its tables."""
    engine = create_engine(f"sqlite:///{path}")
    found = inspect(engine)
    tables = {
        table: (
            [
                (str(column["type"]), column["name"], column["nullable"])
                for column in found.get_columns(table)
            ],
            found.get_pk_constraint(table),
            sorted(map(str, found.get_foreign_keys(table))),
            sorted(map(str, found.get_check_constraints(table))),
        )
        for table in found.get_table_names()
    }
    engine.dispose()
    return {**tables, "indices": indices(path), "revision": revision(path)}


def indices(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    statements = sorted(" ".join(sql.split()) for (sql,) in found)
    connection.close()
    return statements


def revision(path: Path) -> str:
    connection = sqlite3.connect(path)
    (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    connection.close()
    return str(found)


def change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def before_the_first_revision(path: Path) -> None:
    """Make a database that needs every migration."""
    change(path, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
                 "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))")  # fmt: skip


def test_a_new_catalogue_and_one_that_was_upgraded_are_the_same(tmp_path: Path) -> None:
    """Otherwise a query works at the developer's and fails at whoever has had the product for a year."""
    before_the_first_revision(tmp_path / "upgraded.sqlite")
    for name in ("new", "upgraded"):
        Catalogue(tmp_path / f"{name}.sqlite").close()

    assert len(indices(tmp_path / "new.sqlite")) >= 4
    assert shape(tmp_path / "upgraded.sqlite") == shape(tmp_path / "new.sqlite")
    assert revision(tmp_path / "new.sqlite") == REVISIONS[-1]


def test_the_keys_of_an_older_catalogue_stay(tmp_path: Path) -> None:
    """Their table is made anew by an upgrade; a lab whose nodes are all strangers would be of no use."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    path = tmp_path / "catalogue.sqlite"
    config = Config()
    config.set_main_option("script_location", str(database._MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with create_engine(f"sqlite:///{path}").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    change(path, f"INSERT INTO keys VALUES ('{'k' * 40}', 'lab1', 'node', 10, NULL)")
    change(path, f"INSERT INTO keys VALUES ('{'l' * 40}', 'ann', 'operator', 11, 12)")
    with Catalogue(path) as catalogue:
        assert catalogue.access.all_keys() == (
            KeyInfo(public_key="k" * 40, name="lab1", role="node", created_ns=10),
            KeyInfo(public_key="l" * 40, name="ann", role="operator", created_ns=11, revoked_ns=12),
        )


def test_the_list_of_revisions_is_the_list_of_migrations() -> None:
    """A migration that is not in REVISIONS would never be run."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(database._MIGRATIONS))
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(known)) == REVISIONS


def test_neither_a_new_catalogue_nor_one_in_use_imports_alembic(tmp_path: Path) -> None:
    """It costs 0.4 s at every start of a broker, and so of every `fabric-run --local`."""
    program = (
        "import sys; from pathlib import Path; from fabric.store.catalogue import Catalogue;"
        "path = Path(sys.argv[1]); Catalogue(path).close(); Catalogue(path).close();"
        "print('alembic' in sys.modules)"
    )
    said = subprocess.check_output(
        [sys.executable, "-c", program, str(tmp_path / "catalogue.sqlite")], text=True
    )
    assert said.strip() == "False"


def test_a_catalogue_of_a_newer_testfabric_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A downgrade must not damage what it does not understand."""
    path = tmp_path / "catalogue.sqlite"
    Catalogue(path).close()
    change(path, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(StoreError, match="newer testfabric") as caught:
        Catalogue(path)
    assert "update testfabric" in caught.value.hint
    assert revision(path) == "9999"


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """A wrong --state-dir must not put tables among somebody else's."""
    change(tmp_path / "catalogue.sqlite", "CREATE TABLE recipes (name TEXT)")
    with pytest.raises(StoreError, match="another program"):
        Catalogue(tmp_path / "catalogue.sqlite")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """The sentence says which file, the hint what to do with it."""
    path = tmp_path / "catalogue.sqlite"
    path.write_bytes(b"something else " * 100)
    with pytest.raises(StoreError, match=str(path)) as caught:
        Catalogue(path)
    assert "move it away" in caught.value.hint


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    """An OSError would be a traceback to a user."""
    with pytest.raises(StoreError, match="No such file"):
        Catalogue(tmp_path / "nowhere" / "catalogue.sqlite")


def test_a_database_that_somebody_holds_is_told_after_a_bounded_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool that hangs in a transaction must not hang the broker."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 20)
    with Catalogue(tmp_path / "catalogue.sqlite") as catalogue:
        other = sqlite3.connect(tmp_path / "catalogue.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked") as caught:
            catalogue.next_epoch()
        other.execute("ROLLBACK")
        other.close()

        assert "end it" in caught.value.hint
        assert catalogue.next_epoch() == 1


def test_only_the_owner_can_read_the_catalogue(tmp_path: Path) -> None:
    """Trials and results are nobody else's business; the journal files must be as private."""
    before = os.umask(0)
    try:
        with Catalogue(tmp_path / "catalogue.sqlite") as catalogue:
            catalogue.next_epoch()
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert len(modes) >= 2
    assert set(modes.values()) == {0o600}


def test_the_second_broker_on_a_state_directory_is_told_who_is_first(tmp_path: Path) -> None:
    """Two writers would ruin the record logs; a lock that outlives its process would keep the third out."""
    program = (
        "import sys; from pathlib import Path; from fabric.store.state import StateDirectory;"
        "state = StateDirectory(Path(sys.argv[1])); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "state")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "locked\n"
        with pytest.raises(StoreError, match=rf"in use by another broker, process {first.pid}"):
            StateDirectory(tmp_path / "state")
        first.kill()
    with StateDirectory(tmp_path / "state") as state:
        Catalogue(state.catalogue).close()


def test_the_state_directory_is_made_private(tmp_path: Path) -> None:
    """Also one that somebody made by a plain mkdir."""
    (tmp_path / "made").mkdir(mode=0o755)
    for name in ("made", "new"):
        with StateDirectory(tmp_path / name) as state:
            assert state.directory.stat().st_mode & 0o777 == 0o700


def test_a_directory_with_other_things_is_not_taken_over(tmp_path: Path) -> None:
    """`--state-dir /tmp` must not shut everybody out of /tmp."""
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(0o755)
    (place / "file").touch()
    with pytest.raises(
        FabricError, match=r"others than its owner have access to .*shared \(mode 0755\)"
    ) as caught:
        StateDirectory(place)
    assert "chmod 700" in caught.value.hint
    assert place.stat().st_mode & 0o777 == 0o755
