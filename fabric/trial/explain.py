"""What each code of a diagnostic means, with an example that is wrong and one that is right."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from fabric.errors import UsageError
from fabric.trial.problems import did_you_mean

_ENTRY: Final = re.compile(r"^# ([EW]\d{3}) (.+)\n", re.MULTILINE)
_EXAMPLE: Final = re.compile(r"^(wrong|right):\n(.*?)(?=^(?:wrong|right):\n|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Explanation:
    """One code.  ``wrong`` and ``right`` are parts of a file; "" where no text can show it."""

    code: str
    title: str
    text: str
    wrong: str
    right: str

    @property
    def is_of_import(self) -> bool:
        """Whether its examples are parts of a foreign file, not of a trial."""
        return self.code[1] == "1"

    def render(self) -> str:
        """Return what is printed."""
        lines = [f"{self.code}: {self.title}", "", self.text]
        for word, example in (("wrong", self.wrong), ("right", self.right)):
            if example:
                lines += ["", f"{word}:", "", *(f"    {line}".rstrip() for line in example.splitlines())]
        return "\n".join(lines)


@cache
def explanations() -> dict[str, Explanation]:
    """Return all of them, by code, in the order of the codes."""
    found: dict[str, Explanation] = {}
    for package in ("fabric.trial", "fabric.trial.importers"):
        text = (files(package) / "explanations.md").read_text(encoding="utf-8")
        _, *parts = _ENTRY.split(text)
        entries = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
        found |= {code: _entry(code, title, body) for code, title, body in entries}
    return dict(sorted(found.items()))


def explain(code: str) -> Explanation:
    """Return the explanation of a code, "E012" or "e12".

    Raises:
        UsageError: If there is no such code.
    """
    known = explanations()
    match = re.fullmatch(r"([EW])0*(\d{1,3})", code.strip().upper())
    found = known.get(f"{match[1]}{int(match[2]):03}") if match else None
    if found is None:
        hint = did_you_mean(code.upper(), known, "fabric-run --explain lists all of them")
        raise UsageError(f"there is no code {code!r:.40}", hint)
    return found


def _entry(code: str, title: str, body: str) -> Explanation:
    examples = {word: example.strip() for word, example in _EXAMPLE.findall(body)}
    text = _EXAMPLE.sub("", body).strip()
    return Explanation(code, title, text, examples.get("wrong", ""), examples.get("right", ""))
