"""Names of runs."""

import secrets
import time


def new_run_id(name: str, now_s: float) -> str:
    """Return an id that sorts by time: ``20260301-102207-ping-k3f9``."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now_s))
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
    word = plain.strip("-")[:40] or "run"
    end = "".join(secrets.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(4))
    return f"{stamp}-{word}-{end}"
