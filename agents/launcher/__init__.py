"""The launcher starts, watches and ends programs; `client` is the agent's end of its socket.

This file imports nothing: the launcher process itself starts through it.
"""
