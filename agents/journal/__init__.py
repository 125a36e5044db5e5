"""What an agent reports about a run, kept in files until the sink has stored it."""

from agents.journal.journal import Journal, Shipment
from agents.journal.ledger import OpenStep, StreamState
from agents.journal.limits import FULL_PAUSE_S, Limits
from agents.journal.spool import SpoolStream
from agents.journal.transfer import JournalFull, Moved

__all__ = [
    "FULL_PAUSE_S",
    "Journal",
    "JournalFull",
    "Limits",
    "Moved",
    "OpenStep",
    "Shipment",
    "SpoolStream",
    "StreamState",
]
