"""The agent and its launcher.  Needs the standard library, pyzmq, msgpack, click and structlog only."""
