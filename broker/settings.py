"""What a settings file of the broker may say: a key for each option."""

from typing import Final

from broker.retention import parse_keep
from fabric.config import parse_listen_url
from fabric.settings import Sections, checks
from fabric.settings.services import COMMON

SECTIONS: Final[Sections] = {
    "broker": {
        "listen": checks.accepted_by(parse_listen_url),
        "state_dir": checks.path,
        "keep": checks.accepted_by(parse_keep),
        **COMMON,
    },
}
