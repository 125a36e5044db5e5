"""What the agent's machines ask their shell to do."""

from dataclasses import dataclass

from fabric.protocol.messages import Message, Step
from fabric.protocol.records import Record


@dataclass(frozen=True, slots=True)
class Send:
    """Send to the broker on the control socket; lost if there is no connection."""

    message: Message


@dataclass(frozen=True, slots=True)
class Report:
    """Append a record to the journal of ``run``."""

    run: str
    record: Record


@dataclass(frozen=True, slots=True)
class RefreshClock:
    """Probe the broker's clock in a burst; the answer is `Executor.clock_refreshed`."""

    run: str


@dataclass(frozen=True, slots=True)
class Ship:
    """Nothing of ``run`` is left on this node: when its journal is shipped, say so with ``Freed``."""

    run: str
    dirty: str  # why the node is left dirty; "" if it is not


# --- for the launcher; a key names one attempt of one step of one run --------------------------------


@dataclass(frozen=True, slots=True)
class Arm:
    """Prepare a step's process so that only the release is missing."""

    key: str
    step: Step


@dataclass(frozen=True, slots=True)
class Release:
    """Let armed processes go at the local instant ``t0_ns``, or at once if it is 0."""

    keys: tuple[str, ...]
    t0_ns: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Take a release back that is still to come."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget an armed process that was not released."""

    key: str


@dataclass(frozen=True, slots=True)
class End:
    """End a step's whole process tree: the signal first, KILL after the grace."""

    key: str
    signal: int
    grace_s: float


@dataclass(frozen=True, slots=True)
class Look:
    """See whether the port or the file is there that shows a step ready; the answer is `Executor.looked`."""

    key: str
    step: Step
    pid: int


# --- for the file system and the network of the node ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a step is looked for before its phase begins."""

    step: Step
    account: bool  # its user
    place: bool  # its directory, program and input
    port: bool  # that nobody has the port yet which is to show it ready


@dataclass(frozen=True, slots=True)
class Check:
    """Look whether steps of a phase can be done here at all; the answer is `Executor.checked`."""

    run: str
    phase: str
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class Transfer:
    """Do a put or a fetch; the answer is `Executor.transferred`."""

    key: str
    step: Step


@dataclass(frozen=True, slots=True)
class StopTransfer:
    """Leave a put, a fetch or what metrics want as it is; `Executor.transferred` or `brought` says so."""

    key: str


@dataclass(frozen=True, slots=True)
class Bring:
    """Fetch the files that the metrics of an ended step want; the answer is `Executor.brought`."""

    key: str
    step: Step


Effect = (
    Send
    | Report
    | RefreshClock
    | Ship
    | Arm
    | Release
    | Hold
    | Drop
    | End
    | Look
    | Check
    | Transfer
    | StopTransfer
    | Bring
)
