"""Limits of the broker, with their units and reasons.  Those of the wire are in fabric.protocol.limits."""

from typing import Final

S: Final = 1_000_000_000
"""Nanoseconds of a second."""

MS: Final = 1_000_000
"""Nanoseconds of a millisecond."""

# --- peers -----------------------------------------------------------------------------------------
MAX_NODES: Final = 4096
"""Most nodes that one broker knows."""

MAX_OPERATORS: Final = 1024
"""Most connections of operators at one time."""

FORGET_NS: Final = 60 * S
"""An operator's connection that was silent for so long is forgotten; its next word costs a hello."""

SAVE_HEARD_NS: Final = 60 * S
"""So often the catalogue is told when nodes were last heard of."""

STRANGERS: Final = 4096
"""Most connections that have not spoken with a known key yet: a quarter of the descriptors at most."""

STRANGERS_OF_ADDRESS: Final = 1024
"""... of one address: a hundred agents on one machine come with 300 connections at once."""

FILES: Final = 1024
"""Descriptors that are kept free of connections, for record logs and all else; a quarter of them at most."""

KNOWN_CREDIT: Final = 4
"""An address may have so many more strangers for each connection of it that is known."""

STRANGER_NS: Final = 10 * S
"""Who has not said a word with a known key on control by then is hung up on: hellos come at once."""

HELLO_NS: Final = 1 * S
"""Time that a connection has for its handshake and its hello before another one may take its place."""

SILENT_OF_ADDRESS: Final = 64
"""Connections of one address that have shown a known key and said nothing; and more for those that have, as
above.  A sink whose agent has nothing to report is such a one."""

NODE_LINES: Final = 64
"""Connections that a key of a node may have: three, and those of earlier lives that nobody has seen end."""

READER_LINES: Final = 1024
"""... that the key of an operator or a viewer may have, an eighth of the descriptors at most: a command has
two, and many may run at once."""

STRANGER_BYTES: Final = 4096
"""Longest message of an unknown key: an enrolment is 300 bytes.  Who sends more is hung up on, unread."""

HELLO_BYTES: Final = 64 * 1024
"""Most bytes of what a node says of itself: it is kept, and told to every operator."""

MEMORY_SHARE: Final = 4
LEAST_MEMORY_BYTES: Final = 256 << 20
"""With more than a quarter of the memory that it may have, and more than this, the broker looks for
connections that make it hold much, and hangs up on them."""

HELD_BYTES: Final = 4 << 20
"""... on those of control and sink of which so much waits: an agent has eight batches of 256 KiB there."""

SUBSCRIBED_BYTES: Final = 64 << 20
"""... and on those of go and feed, where answers to heartbeats add up to 4 MB a day."""

MEMORY_EVERY_NS: Final = S // 4
"""So often the broker looks how much memory it has: in that time a fast network brings 300 MB."""

MEMORY_AGAIN_NS: Final = 5 * S
"""If it has found nobody to hang up on, it looks at all connections again after so long: 10 us for each."""

NODE_WORD_BYTES: Final = 128 * 1024
"""Longest message of a node on control: a hello has half of that, and a refusal names ten things.  What is
longer is not looked at."""

PENALTY_NS: Final = 10 * S
"""A node's key that has said what is no message is not listened to for so long, nor is such a connection of
an operator or a viewer: it costs up to a tenth of a second to see that it is none, and all others wait."""

TURN_NS: Final = 20 * MS
"""After so long a turn takes no more messages: what takes long to read must not keep others waiting."""

HELLO_JOURNALS: Final = 256
"""Most journals of a hello that are looked up, each with a query; the next hello has others."""

MAX_KEYS: Final = 16_384
"""Most keys that are remembered; of more, the revoked ones that are the oldest are forgotten."""

KEYS_LIMIT: Final = 1000
"""Most keys in one answer, 250 bytes each; all invitations come with the first one."""

MAX_INVITATIONS: Final = 1024
"""Most invitations: 200 KiB of an answer."""

INVITATION_MAX_S: Final = 30 * 86400.0
"""Longest life of an invitation: what is forgotten in a note or a unit must end by itself."""

INVITATION_KEPT_NS: Final = 86400 * S
"""An invitation that has expired is known so long still: who uses it is told that it has."""

OVERLAP_MAX_S: Final = 30 * 86400.0
"""Longest time for which a key stands beside its successor."""

KEYS_OF_NAME: Final = 8
"""Most keys of one name that stand at a time: one that is renewed each week, with the longest overlap, has 5.
Each new one rewrites the one before, and every start of the broker reads them all."""

# --- runs ------------------------------------------------------------------------------------------
MAX_RUNS: Final = 256
"""Most open runs: each holds two descriptors and a table of journals."""

MAX_RUN_NODES: Final = 1024
"""Most nodes of one run."""

LEASE_MIN_S: Final = 1.0
LEASE_MAX_S: Final = 24 * 3600.0
"""Shortest and longest lease that a controller may ask for."""

CLOSED_RUNS: Final = 256
"""So many closed runs are remembered; others are looked up in the catalogue again."""

CLOSED_BEACON_NS: Final = 30 * S
"""Beacons of a closed run go on for so long, for a reader that missed the first."""

MAX_WAITING: Final = 256
"""Most messages that wait for the catalogue's answer about one run."""

REPEAT_NS: Final = 1 * S
"""What must arrive, such as `Abandon`, is said again after so long."""

STILL_NS: Final = 2 * S
"""A broker with an open run that was not called for so long has stood still; leases do not count that."""

MAX_LEFTOVERS: Final = 4096
"""Most pairs of node and closed run of which the end is still wanted."""

LEFTOVERS_OF_NODE: Final = 32
"""... of one node: it works for one run at a time, and for late ends of others."""

LEFTOVER_NS: Final = 600 * S
"""So long a node is told that a run is closed; its hello brings the matter up again."""

# --- go --------------------------------------------------------------------------------------------
LEAD_MIN_NS: Final = 1 * MS
LEAD_MAX_NS: Final = 60 * S
"""Range of the lead that a controller may ask for."""

ABORT_REPEAT_NS: Final = 20 * MS
"""An abort is repeated after so long: it races with t0."""

ABORT_PATIENCE_NS: Final = 2 * S
"""So long the broker waits for the answers to an abort."""

ONE_T0_NS: Final = 50 * MS
"""Nodes tell the t0 of a go that another life of the broker has sent by clocks that are known anew since; if
they are further apart than this, they are two, for a broker does not come back so fast."""

ABANDONED_NS: Final = 7200 * S
"""So long an abandoned run waits for nodes that live and do not end their part: a reset may take an hour."""

GO_RESULTS: Final = 16
"""So many results of a run's goes are kept for a controller that asks again: a phase has three tries."""

NEWS_EVERY_NS: Final = 5 * S
"""A controller is told again so often which nodes of its run were lost, or came back."""

# --- records ---------------------------------------------------------------------------------------
JOURNALS_OF_SOURCE: Final = 128
"""Most journals that one node has in one run, one for each start of its agent, and that a run has of its
controllers; each takes 400 bytes of memory.  An agent that has died so often in one run is broken, or its key
is in other hands."""

ANSWER_EVERY_NS: Final = 200 * MS
"""A journal is told at most so often of a gap or a repetition: a whole window follows either."""

# --- reading ---------------------------------------------------------------------------------------
REPLAY_ENTRIES: Final = 256
"""Most entries of one answer to a `Replay`: below the high-water mark of the control socket."""

REPLAYS_PER_PEER: Final = 4
"""Most waiting requests of one reader."""

MAX_REPLAYS: Final = 1024
"""Most waiting requests in all."""

RUNS_LIMIT: Final = 500
"""Most runs in one answer to a `RunsRequest`: below MAX_FRAME_BYTES with long names."""

NODES_BYTES: Final = 512 * 1024
"""Most bytes of nodes in one answer: well below MAX_FRAME_BYTES; who wants all asks on."""

DETAIL_PHASES: Final = 1000
DETAIL_STEPS: Final = 200
"""Most phases and failed steps in the details of a run: below MAX_FRAME_BYTES with long messages."""

DETAIL_CHARS: Final = 500
"""Most characters of a failed step's message there."""

WHY_CHARS: Final = 100
"""Most characters of what is said of a phase's start there."""

DOCUMENT_BYTES: Final = 128 * 1024
"""Most bytes of a stored text in one answer."""

MAX_MARKED: Final = 2000
"""Most nodes that one `Drain` or `Label` names."""

MAX_LABELS: Final = 64
"""Most labels that operators give one node."""

MAX_TOPICS: Final = 4096
"""Most topics of the feed that are told apart; with more, everything is offered to ZeroMQ."""

MAX_TOPIC_BYTES: Final = 128
"""Longest subscription: a run's topic has 62 bytes.  ZeroMQ takes fifty bytes of memory for each of them."""

UNPUBLISHED_BYTES: Final = 16 << 20
"""Most bytes of entries that wait for the disk before they are published: a tenth of a second of a sink at
full speed.  What is beyond that, readers ask for."""

PORTION: Final = 32
"""So many entries are published at once: half of what may wait for a reader (FEED_HWM), who else had a gap
whenever many nodes end something together, and the run of 64 a pause of up to a second after each phase."""

PORTION_EVERY_NS: Final = MS
"""Between two portions: time for ZeroMQ's thread to pass the first one on.  32,000 entries a second."""

# --- retention -------------------------------------------------------------------------------------
SURVEY_NS: Final = 60 * S
"""So often it is looked whether runs have become too old or too many."""

RETIRE_EVERY_NS: Final = S // 4
"""Of those that are, one is deleted in so long: each takes the loop for 20 ms."""

DOUBT_NS: Final = 86_400 * S
"""A clock that is further off than this, by what else is known, is not believed as to ages; for so long."""

YOUNG_NS: Final = 600 * S
"""A run stays for so long after its end, whatever is kept: somebody may be waiting for it."""

READING_NS: Final = 60 * S
"""Who has asked for a part of a run within this time is reading it."""

MAX_READ: Final = 1024
"""Most runs of which it is known when they were read."""

KEEP_BYTES_MIN: Final = 64 << 20
"""Least amount that can be kept: one segment of one log."""

# --- the shell -------------------------------------------------------------------------------------
MAX_LOGS: Final = MAX_RUNS + 64
"""Most open record logs: all open runs and some that are read."""

CONTROL_PER_TURN: Final = 256
"""Most messages of control that one turn takes: 10 ms of work."""

BATCHES_PER_TURN: Final = 16
"""Most batches that one turn takes: 4 MiB, about 10 ms, so that a go need not wait for long."""

SUBSCRIPTIONS_PER_TURN: Final = 1024
"""Most subscriptions that one turn takes: they cost nothing."""

RETRY_NS: Final = 1 * S
"""What the disk refused is tried again after so long."""

VERSION_EVERY_NS: Final = 600 * S
"""Of each peer of another version a line is logged so often: it comes again twice a minute."""
