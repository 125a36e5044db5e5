"""The keys that every service has: what it logs, and where to."""

from typing import Final

from fabric.logfile import FORMS, MAX_BYTES, MAX_FILES, MIN_BYTES
from fabric.settings import checks
from fabric.settings.load import Section

COMMON: Final[Section] = {
    "log": checks.choice(*FORMS),
    "log_file": checks.path,
    "log_bytes": checks.size(MIN_BYTES, MAX_BYTES),
    "log_files": checks.whole(0, MAX_FILES),
    "verbose": checks.flag,
    "quiet": checks.flag,
}
