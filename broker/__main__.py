"""``python -m broker`` is ``fabric-broker``."""

from broker.cli import main

main(prog_name="fabric-broker")
