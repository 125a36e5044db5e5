"""What an agent does with files: fetch, put, and the files that metrics are read from."""

from agents.files.transfers import Transfers

__all__ = ["Transfers"]
