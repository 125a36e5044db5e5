"""testfabric: drive one test across many machines."""

__version__ = "0.1.0"
