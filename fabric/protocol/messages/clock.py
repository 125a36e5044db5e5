"""How well a node knows the time: parts of other messages."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelClock:
    """Part of `NodeClock`: what the node's kernel says of its own clock (adjtimex), not of the fabric's."""

    synchronised: bool  # with the world, by a daemon such as chronyd or ntpd
    maxerror_ns: int  # of its wall clock; grows while nobody tells it the time
    esterror_ns: int
    frequency_ppb: int  # by which its monotonic and wall clocks are slewed for good
    tick_ppb: int  # and beyond that, while a large error is put right
    status: int  # bits STA_*


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeClock:
    """Part of `Beat` and `NodeInfo`: what a node knows of fabric time.

    ``told_ns`` and ``asked_ns`` are fabric time as the node knows it; the bound is that of ``told_ns``.
    """

    epoch: int  # life of the broker
    told_ns: int
    asked_ns: int  # when the last answer to a `Probe` came
    offset_ns: int  # fabric time minus the node's monotonic clock
    bound_ns: int  # half-width of the interval that holds the true offset
    rtt_ns: int  # smallest round trip of late
    wall_ns: int  # the node's wall clock minus fabric time
    contradictions: int  # how often what it knew was contradicted and dropped, in this life of the agent
    drift_ppb: int | None = (
        None  # what fabric time gains on its monotonic clock; None: not seen for long enough
    )
    drift_bound_ppb: int = 0
    kernel: KernelClock | None = None  # None: it does not say
