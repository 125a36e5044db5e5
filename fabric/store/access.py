"""The catalogue's tables of keys and invitations."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.exc import IntegrityError

from fabric.errors import StoreError
from fabric.protocol.messages import InvitationInfo, KeyInfo
from fabric.store.database import Database
from fabric.store.progress import upsert
from fabric.store.schema import invitations, keys


class Access:
    """Whose keys may connect, and who may become one.  Every method raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all_keys(self) -> tuple[KeyInfo, ...]:
        """Return all keys, revoked ones too, oldest first."""
        with self._database.transaction() as connection:
            rows = connection.execute(select(keys).order_by(keys.c.created_ns, keys.c.public_key))
            return tuple(KeyInfo(**row) for row in rows.mappings())

    def invitations(self) -> tuple[InvitationInfo, ...]:
        """Return all invitations, used and expired ones too, oldest first."""
        query = select(invitations).order_by(invitations.c.created_ns, invitations.c.digest)
        with self._database.transaction() as connection:
            return tuple(InvitationInfo(**row) for row in connection.execute(query).mappings())

    def save(
        self,
        changed: Iterable[KeyInfo] = (),
        invited: Iterable[InvitationInfo] = (),
        gone: Iterable[str] = (),
    ) -> None:
        """Keep keys and invitations as they are from now on, forget some; all or nothing, for good.

        Raises:
            StoreError: If a name would have two lasting keys, or the database refuses.
        """
        changed = tuple(changed)
        try:
            with self._database.transaction(durable=True) as connection:
                for what in gone:
                    connection.execute(delete(keys).where(keys.c.public_key == what))
                    connection.execute(delete(invitations).where(invitations.c.digest == what))
                for key in changed:
                    _put(connection, keys, "public_key", key)
                for one in invited:
                    _put(connection, invitations, "digest", one)
        except StoreError as error:
            if isinstance(error.__cause__, IntegrityError):
                names = ", ".join(f"{key.role} {key.name!r}" for key in changed)
                raise StoreError(f"a name has one lasting key, and another has it: {names}") from error
            raise


def _put(connection: Connection, table: Table, key: str, info: KeyInfo | InvitationInfo) -> None:
    values: dict[str, Any] = {field.name: getattr(info, field.name) for field in fields(info)}
    upsert(connection, table, {key: values.pop(key)}, values)
