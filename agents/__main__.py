"""``python -m agents`` is ``fabric-agent``."""

from agents.cli import main

main()
