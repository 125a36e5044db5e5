"""What an agent says of itself, first on every connection."""

from collections.abc import Mapping
from dataclasses import dataclass

from agents.dirty import DirtyRuns
from agents.parts import Part
from agents.shipping import Shipper
from agents.state import AgentState
from fabric import __version__
from fabric.protocol.limits import PROTOCOL_VERSION
from fabric.protocol.messages import AgentHello


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What never changes while an agent lives."""

    name: str
    labels: tuple[str, ...]
    addresses: dict[str, str]
    facts: dict[str, str]


def hello(
    about: About,
    state: AgentState,
    shipper: Shipper,
    parts: Mapping[str, Part],
    *,
    dirty: DirtyRuns,
    now: dict[str, str],
) -> AgentHello:
    """Return the hello of this moment.

    Args:
        about: What never changes.
        state: The agent's.
        shipper: Has the journals.
        parts: The runs.
        dirty: Those that left this node dirty.
        now: Facts that change.
    """
    return AgentHello(
        protocol=PROTOCOL_VERSION,
        software=__version__,
        name=about.name,
        instance=state.instance,
        incarnation=state.incarnation,
        labels=about.labels,
        addresses=about.addresses,
        facts=about.facts | now,
        journals=shipper.heads,
        runs=tuple(run for run, part in parts.items() if part.executor.is_led),
        alone=tuple(run for run, part in parts.items() if part.is_alone),
        dirty=dirty.told,
        cleaned=dirty.cleaned,
    )
