"""Every socket option of the fabric, with its unit and its reason."""

from collections.abc import Mapping
from typing import Final, Literal

import zmq

from fabric.protocol.limits import MAX_FRAME_BYTES

Domain = Literal["control", "go", "sink", "feed"]
"""What a listening socket is for; ZAP is told it, and decides by it who may connect."""

# --- limits against strangers -------------------------------------------------------------------------
HANDSHAKE_MS: Final = 3000
"""A connection that has not shown a key by then is closed.  At ZeroMQ's 30 s, 400 silent connections
against 256 descriptors lock everybody out."""

CURVE_OVERHEAD_BYTES: Final = 33
"""What a frame grows by when it is encrypted; MAXMSGSIZE counts it (measured: 967 of 1000 bytes pass)."""

BACKLOG: Final = 1024
"""Connections that wait to be accepted: every agent of a large lab comes back at once."""

# --- how soon a cut is seen ---------------------------------------------------------------------------
HEARTBEAT_MS: Final = 1000
HEARTBEAT_TIMEOUT_MS: Final = 3000
"""A cut link is noticed in 2-4 s.  Without heartbeats traffic resumed 23 s after a cut of 30 s had healed.
ZeroMQ's thread answers them while the program hangs, so peers beat from their main loops too."""

KEEPALIVE_IDLE_S: Final = 3
KEEPALIVE_INTERVAL_S: Final = 1
KEEPALIVE_COUNT: Final = 3
"""Who hears nothing for 3 s has the kernel ask three times, so a dead broker is noticed in 5-9 s: the feed
and the go carry nothing from the reader that could tell."""

TCP_MAXRT_MS: Final = 5000
"""Unacknowledged data ends a TCP connection after so long, instead of after the kernel's 15 minutes."""

SINK_MAXRT_MS: Final = 30_000
"""... of an agent's records, which wait where the sink is slow or many print at full speed: the kernel counts
that, too.  What ends such a connection throws away what waits in it, and all of it is sent again."""

CONNECT_TIMEOUT_MS: Final = 2000
"""An attempt to connect that nobody answers is given up: the kernel asks after 1, 3 and 7 s, so a link that
is whole again would go unused as long as it was cut.  In no lab an answer takes longer."""

RECONNECT_MS: Final = 100
RECONNECT_MAX_MS: Final = 500
"""Between two attempts: doubles from the one to the other; up to the first is added to each, at random, so a
thousand agents spread.  An attempt at a port where nobody listens costs a packet and its answer."""

LINGER_MS: Final = 500
"""How long a closed socket tries to bring out what was sent: a last word, not a journal."""

# --- how much may wait in a socket --------------------------------------------------------------------
CONTROL_HWM: Final = 1000
"""Messages, for each peer.  A controller speaks to every node of a phase at once; they are small."""

CONTROL_RECEIVE_HWM: Final = 64
"""Messages of one peer that wait in the broker: even unknown keys may send, up to MAX_FRAME_BYTES each."""

GO_HWM: Final = 1000
"""Messages, for each agent: a few hundred bytes each."""

SINK_HWM: Final = 8
"""Batches of up to 256 KiB, for each agent and at each end: what counts is the window of the journal, and
what waits here is lost in a crash and must be sent again."""

FEED_HWM: Final = 64
"""Entries of up to 256 KiB that wait in the broker for each reader: 16 MiB, then a slow reader has a gap and
fills it by replay.  More would make the end of a step that prints much come later to who waits for it."""

FEED_READ_HWM: Final = 64
"""... and in the reader: 16 MiB."""

Settings = Mapping[zmq.SocketOption, int]

# Queue for finished connections only: what was meant for the last connection does not come out of the next
# one before its hello, and a send that cannot go anywhere says so.  Not for SUB: it says nothing but its
# subscriptions, and they would wait until its thread touches the socket.
_ONLY_CONNECTED: Final[Settings] = {zmq.IMMEDIATE: 1}

_EVERY: Final[Settings] = {
    zmq.LINGER: LINGER_MS,
    zmq.MAXMSGSIZE: MAX_FRAME_BYTES + CURVE_OVERHEAD_BYTES,
    zmq.HANDSHAKE_IVL: HANDSHAKE_MS,
    zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
    zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
    zmq.TCP_MAXRT: TCP_MAXRT_MS,
}

_LISTENING: Final[Settings] = {
    zmq.BACKLOG: BACKLOG,
    zmq.ZAP_ENFORCE_DOMAIN: 1,  # only with it a socket stays closed while nobody answers ZAP
}

_CONNECTING: Final[Settings] = {
    zmq.CONNECT_TIMEOUT: CONNECT_TIMEOUT_MS,
    zmq.RECONNECT_IVL: RECONNECT_MS,
    zmq.RECONNECT_IVL_MAX: RECONNECT_MAX_MS,
}

_BY_TYPE: Final[Mapping[int, Settings]] = {
    zmq.ROUTER: {
        zmq.SNDHWM: CONTROL_HWM,
        zmq.RCVHWM: CONTROL_RECEIVE_HWM,
        zmq.ROUTER_MANDATORY: 1,  # without it what cannot be routed counts as sent
        zmq.ROUTER_HANDOVER: 0,  # with it another valid key can take over a routing id and its messages
    },
    zmq.DEALER: {**_ONLY_CONNECTED, zmq.SNDHWM: CONTROL_HWM, zmq.RCVHWM: CONTROL_HWM},
    zmq.PULL: {zmq.RCVHWM: SINK_HWM},
    zmq.PUSH: {**_ONLY_CONNECTED, zmq.SNDHWM: SINK_HWM, zmq.TCP_MAXRT: SINK_MAXRT_MS},
    zmq.XPUB: {
        zmq.XPUB_VERBOSE: 1,  # shows every subscriber, not only the first of a topic
        # Never full, for the reason below: its heartbeats are needed, they end readers that stand still.  A
        # subscription is short, and the broker hangs up on who sends longer ones, or too many.
        zmq.RCVHWM: 0,
    },
    zmq.SUB: {},
}

# Who does not read for a while, because its terminal stands still, has a full queue and hears no heartbeat.
# A connecting socket that then gives its connection up, by its own timeout or by the TTL of the other end,
# makes a new one, and ZeroMQ 4.3.5 aborts the process as soon as it reads on ("_input_stopped").  So those
# that read leave heartbeats to the other end, no end sends a TTL, and the kernel probes the connection: that
# does not depend on who reads, and ZeroMQ bears the error of a socket.  The fabric's own beats tell of a cut,
# too.  Nor does an agent send them to the sink: a heartbeat stands behind megabytes of records, so where 200
# agents printed at full speed none was answered within 3 s, and their connections ended again and again.
_HEARS_NO_HEARTBEAT: Final[Settings] = {
    zmq.HEARTBEAT_IVL: 0,
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: KEEPALIVE_IDLE_S,
    zmq.TCP_KEEPALIVE_INTVL: KEEPALIVE_INTERVAL_S,
    zmq.TCP_KEEPALIVE_CNT: KEEPALIVE_COUNT,
}

_BY_TOPICAL_DOMAIN: Final[Mapping[str, int]] = {"go": GO_HWM, "feed": FEED_HWM}


def listening(socket_type: int, domain: Domain) -> dict[zmq.SocketOption, int]:
    """Return the options of a listening socket, but for its keys.

    Raises:
        KeyError: If the fabric has no listening sockets of this type.
    """
    published = _BY_TOPICAL_DOMAIN.get(domain)
    sending = {} if published is None else {zmq.SNDHWM: published}
    # The same trap on the broker's side: a peer dies or gives up while the sink, or control, is full for it;
    # the second heartbeat on that connection then aborts the broker ("!_io_error").
    reading = _HEARS_NO_HEARTBEAT if socket_type in {zmq.PULL, zmq.ROUTER} else {}
    return {**_EVERY, **_LISTENING, **_BY_TYPE[socket_type], **sending, **reading}


def connecting(socket_type: int) -> dict[zmq.SocketOption, int]:
    """Return the options of a connecting socket, but for its keys.

    Raises:
        KeyError: If the fabric has no connecting sockets of this type.
    """
    receiving = {zmq.RCVHWM: FEED_READ_HWM} if socket_type == zmq.SUB else {}
    return {**_EVERY, **_CONNECTING, **_BY_TYPE[socket_type], **receiving, **_HEARS_NO_HEARTBEAT}
