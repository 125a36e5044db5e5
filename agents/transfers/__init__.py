"""What an agent does with files: fetch, put, and the files that metrics are read from."""

from agents.transfers.transfers import Transfers

__all__ = ["Transfers"]
