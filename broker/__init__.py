"""The broker: the only process that listens.  It meets `agents` on the wire, never by import."""
