"""Looks after nodes and stored runs: one question, one answer."""

from collections.abc import Iterable
from typing import Final, Literal

from fabric.controller.connection import Connection, Request
from fabric.controller.lookup import unexpected
from fabric.errors import FabricError, ProtocolError, UsageError
from fabric.protocol.limits import MAX_WHY_CHARS
from fabric.protocol.messages import (
    DeleteRun,
    Denied,
    Document,
    DocumentRequest,
    Done,
    Drain,
    Label,
    RunDetails,
    RunRequest,
)
from fabric.protocol.names import WORD

_LABEL_HINT: Final = "letters, digits, `.`, `_` and `-`, at most 63 of them"


def drain(connection: Connection, nodes: Iterable[str], *, drained: bool, why: str = "") -> None:
    """Keep new runs off some nodes, or let them in again.

    Raises:
        UsageError: If a node is not known, or the reason is too long.
    """
    if len(why) > MAX_WHY_CHARS:
        sentence = f"the reason has {len(why)} characters, over the limit of {MAX_WHY_CHARS}"
        raise UsageError(sentence, hint="say it in a sentence")
    request = next(connection.numbers)
    do(connection, Drain(request=request, nodes=tuple(nodes), drained=drained, why=why))


def label(connection: Connection, nodes: Iterable[str], add: Iterable[str], remove: Iterable[str]) -> None:
    """Give nodes labels, and take given ones away.

    Raises:
        UsageError: If a node or a label is not to be had.
    """
    add = tuple(add)
    for word in add:
        if not WORD.fullmatch(word):
            raise UsageError(f"{word!r:.80} cannot be a label", hint=_LABEL_HINT)
    request = next(connection.numbers)
    do(connection, Label(request=request, nodes=tuple(nodes), add=add, remove=tuple(remove)))


def delete_run(connection: Connection, run: str) -> None:
    """Delete a closed run with its records.

    Raises:
        UsageError: If it is open, or not there.
    """
    do(connection, DeleteRun(request=next(connection.numbers), run=run))


def run_details(connection: Connection, run: str) -> RunDetails:
    """Return what the catalogue has of a run.

    Raises:
        FabricError: If the broker does not tell.
    """
    answer = connection.ask(RunRequest(request=next(connection.numbers), run=run))
    if not isinstance(answer, RunDetails):
        raise unexpected(answer)
    return answer


def document(connection: Connection, run: str, name: Literal["trial", "plan", "result"]) -> str:
    """Return a text that is stored with a run; "" if there is none (yet).

    Raises:
        FabricError: If the broker does not give it out.
    """
    data = bytearray()
    while True:
        request = next(connection.numbers)
        answer = connection.ask(DocumentRequest(request=request, run=run, document=name, offset=len(data)))
        if not isinstance(answer, Document):
            raise unexpected(answer)
        data += answer.data
        if len(data) >= answer.size:
            return data.decode("utf-8", "surrogatepass")
        if not answer.data:
            raise ProtocolError(f"the broker lacks bytes of the {name} of run {run}")


def do(connection: Connection, request: Request) -> None:
    """Ask for something to be done, and wait until it is.

    Raises:
        UsageError: If what it names is not there, or wrong.
        FabricError: If it is not done for another reason.
    """
    answer = connection.ask(request)
    if isinstance(answer, Denied):
        wrong = answer.code in ("unknown_node", "unknown_run", "unknown_key", "invalid", "open")
        raise (UsageError if wrong else FabricError)(answer.sentence)
    if not isinstance(answer, Done):
        raise unexpected(answer)
