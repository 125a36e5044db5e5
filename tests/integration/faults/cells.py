"""The matrix of faults: what happens to whom, at which moment of a run, and what is then promised."""

from typing import Final, Literal, NamedTuple, get_args

Victim = Literal["broker", "agent", "launcher", "controller", "tail"]
Fault = Literal["kill", "stop", "cut-link", "cut-both", "cut-in", "cut-out", "kill-for-good", "stop-for-good"]
Stage = Literal["prepare", "armed", "go", "run", "fetch", "reset"]

VICTIMS: Final[tuple[Victim, ...]] = get_args(Victim)
FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)

FAULT_WORDS: Final[dict[Fault, str]] = {
    "kill": "kill -9, and started again",
    "stop": "stopped, and continued",
    "cut-link": "its link is down, and up again",
    "cut-both": "its packets are dropped in both directions, and pass again",
    "cut-in": "nothing comes in, and comes again",
    "cut-out": "nothing goes out, and goes again",
    "kill-for-good": "kill -9, and not started again while the run lasts",
    "stop-for-good": "stopped, and not continued while the run lasts",
}

STAGE_WORDS: Final[dict[Stage, str]] = {
    "prepare": "while the node prepares a phase",
    "armed": "when its step is armed, and no go has come",
    "go": "when the go is confirmed, before t0",
    "run": "while its step prints much",
    "fetch": "in the middle of a file that is fetched",
    "reset": "in the middle of the reset",
}

PHASES: Final[dict[Stage, str]] = dict.fromkeys(STAGES, "1/run") | {"fetch": "1/collect", "reset": "1/reset"}
"""Which phase each moment belongs to."""


class Cell(NamedTuple):
    """One fault at one moment."""

    victim: Victim
    fault: Fault
    stage: Stage

    @property
    def name(self) -> str:
        """Of its run."""
        return f"{self.victim}-{self.fault}-{self.stage}"

    @property
    def cut(self) -> str:
        """How a link is cut; nothing if none is."""
        return self.fault.removeprefix("cut-") if self.fault.startswith("cut-") else ""

    @property
    def is_for_good(self) -> bool:
        """Whether it lasts until the run is over."""
        return self.fault.endswith("-for-good")

    @property
    def is_of_a_node(self) -> bool:
        """Whether it happens to one node, and not to all runs of the lab."""
        return self.victim in ("agent", "launcher")


class Expected(NamedTuple):
    """What is promised of a cell."""

    verdict: str
    state: str = "free"  # of the victim's node, when all is over
    resets: int = 1  # of it, done to their end
    names: str = ""  # the reason of the verdict says this


AGENT_KILLED: Final = "pass"
"""The verdict when an agent was killed and has started again: it goes on with the steps of the last one."""


def expected(cell: Cell, node: str) -> Expected:
    """Return what is promised: nobody notices what can be survived, all else is an error with a name.

    Args:
        cell: What happens.
        node: To which node.
    """
    match cell.victim, cell.fault:
        case "agent", "kill" if cell.stage == "reset" and AGENT_KILLED == "error":
            # That the reset was lost may be told before the run is over, or after; then it is done again.
            return Expected("error or dirty", names=node)
        case "agent", "kill":
            return Expected(AGENT_KILLED, names=node if AGENT_KILLED == "error" else "")
        case "agent", "kill-for-good" | "stop-for-good":
            return Expected("error", names=node)
        case "launcher", "kill" | "stop-for-good" if cell.stage == "fetch":
            return Expected("pass")  # the agent does that itself, and has another launcher for the reset
        case "launcher", "kill" | "stop-for-good":
            if cell.stage == "reset":  # nobody knows; below one that stands still it goes on
                return Expected("dirty", state="dirty", resets=int(cell.fault != "kill"), names=node)
            return Expected("error", names=node)
        case "controller", "kill":
            return Expected("error", names="the controller was lost")
        case "agent", "cut-out" if cell.stage == "armed":
            # The go comes in, its confirmation does not go out, and TCP without an answer brings no abort in:
            # who has the go starts, and that not all did is found.
            return Expected("invalid or pass", names="1/run began on")
        case _:
            return Expected("pass")


def is_possible(cell: Cell) -> bool:
    """Say whether a cell exists: a launcher has no network, and only nodes can be away for good."""
    if cell.victim == "launcher":
        return not cell.cut and cell.fault != "kill-for-good"  # its agent starts another one
    return not cell.is_for_good or cell.victim == "agent"


MATRIX: Final = tuple(
    cell
    for victim in VICTIMS
    for fault in FAULTS
    for stage in STAGES
    if is_possible(cell := Cell(victim, fault, stage))
)
