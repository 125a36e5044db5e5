"""How well a node knows the time: parts of other messages."""

from dataclasses import dataclass

from fabric.protocol.numbers import Bound, Count, Instant, Offset, Span, Whole


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelClock:
    """Part of `NodeClock`: what the node's kernel says of its own clock (adjtimex), not of the fabric's."""

    synchronised: bool  # with the world, by a daemon such as chronyd or ntpd
    maxerror_ns: Offset  # of its wall clock; grows while nobody tells it the time
    esterror_ns: Offset
    frequency_ppb: Whole  # by which its monotonic and wall clocks are slewed for good
    tick_ppb: Whole  # and beyond that, while a large error is put right
    status: Whole  # bits STA_*


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeClock:
    """Part of `Beat` and `NodeInfo`: what a node knows of fabric time.

    ``told_ns`` and ``asked_ns`` are fabric time as the node knows it; the bound is that of ``told_ns``.
    """

    epoch: Count  # life of the broker
    told_ns: Instant
    asked_ns: Instant  # when the last answer to a `Probe` came
    offset_ns: Offset  # fabric time minus the node's monotonic clock
    bound_ns: Bound  # half-width of the interval that holds the true offset
    rtt_ns: Span  # smallest round trip of late
    wall_ns: Offset  # the node's wall clock minus fabric time
    contradictions: Count  # how often what it knew was contradicted and dropped, in this life of the agent
    drift_ppb: Whole | None = (
        None  # what fabric time gains on its monotonic clock; None: not seen for long enough
    )
    drift_bound_ppb: Whole = 0
    kernel: KernelClock | None = None  # None: it does not say
