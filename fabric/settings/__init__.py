"""Settings files of services: TOML, checked like trials, by the standard library alone.

A program says which sections it knows and by which check each key of them goes::

    SECTIONS = {"broker": {"listen": checks.text, "log_files": checks.whole(1, 100)}}
    found = load_settings(Path("/etc/testfabric/broker.toml"), SECTIONS)
    found["broker"].get("listen")

Everything that is wrong with a file is told at once, each thing at its line and column, with a way out.
"""

from fabric.settings.checks import BadValue, Check
from fabric.settings.load import Section, Sections, SettingsError, load_settings

__all__ = ["BadValue", "Check", "Section", "Sections", "SettingsError", "load_settings"]
