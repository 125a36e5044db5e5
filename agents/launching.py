"""The agent's launcher: kept alive, watched, and its events told to the executors."""

import os
import select
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from typing import Final

from agents.effects import Effect
from agents.executor import Executor
from agents.journal.limits import DISK_FULL_S
from agents.launcher import events as le
from agents.launcher import sweep
from agents.launcher.asked import Asked
from agents.launcher.client import LauncherClient, LauncherError, become_subreaper
from agents.launcher.starting import Depth
from agents.policy import OPEN, Policy
from agents.takeover import exit_of, start_of
from fabric import __version__
from fabric.log import get_logger
from fabric.loop import Loop
from fabric.protocol.messages import Step
from fabric.protocol.records import Stream

log = get_logger()

S: Final = 1_000_000_000

QUIT_S: Final = 30.0
"""A launcher that is told to quit ends its steps with their grace; after this it is killed."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long agent and launcher wait for each other, and for a disk, in seconds."""

    lease_s: float = 15.0  # the agent is silent (stopped, hung): the launcher ends all steps
    grace_s: float = 10.0  # the agent is gone, and no other one comes: the launcher ends all and itself
    silence_s: float = 10.0  # the launcher answers no beat: it is killed, and with it all that it has started
    disk_s: float = DISK_FULL_S  # the disk is full and no acknowledgement will change it: steps are ended


@dataclass(frozen=True, slots=True)
class Arming:
    """How the launcher prepares and keeps an instant."""

    depth: Depth = "link"  # how far a step is brought before its release
    spins: bool = True  # awake for the last moment before an instant
    policy: Policy = OPEN  # what may be armed, put and fetched at all


Call = Callable[[Executor], list[Effect]]


def run_of(key: str) -> str:
    """Return the run that an attempt's key belongs to."""
    return key.split("|", 1)[0]


class Launching:
    """Has a launcher at any time.

    Args:
        loop: That polls its socket.
        state_dir: Of the agent.
        patience: With the launcher, and of the launcher.
        arming: How it prepares and keeps an instant.
        armed: Called with key, read ends and instant when a step is armed.
        tell: Called with key and what to say to the executor of its run.
        tree_ended: Called with key and survivors after the executor was told of the end of a tree.
        died: Called with the reason when the launcher and all that it had started are gone.
    """

    def __init__(
        self,
        loop: Loop,
        state_dir: Path,
        *,
        patience: Patience,
        arming: Arming,
        armed: Callable[[str, dict[Stream, int], int], None],
        tell: Callable[[str, Call], None],
        tree_ended: Callable[[str, tuple[int, ...]], None],
        died: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._state_dir = state_dir
        self._patience = patience
        self._arming = arming
        self._armed = armed
        self._tell = tell
        self._tree_ended = tree_ended
        self._died = died
        self._quitting = False
        self._fd = -1
        self.why_none = ""
        """Why there is no launcher at present; nothing can be armed then."""
        become_subreaper()
        self.client = self._connect()
        self.found = self.client.adopted() if self.client.is_adopted else None
        """What the launcher of an earlier life has, until `take_over` or `end_found`."""
        if not self.client.is_adopted:
            self._listen()

    def beat(self, now_ns: int) -> None:
        """Renew the lease, and end a launcher that is silent.  Due every second."""
        if self._fd >= 0 and now_ns - self.client.heard_ns > self._patience.silence_s * S:
            log.error("launcher_silent", pid=self.client.pid)
            self._replace("the launcher did not answer")
            return
        if self._fd < 0 and not self._try_start():
            return
        self.client.beat()
        self._await_room()

    def postpone(self, ns: int, now_ns: int) -> None:
        """Do not take the launcher for silent because this process has stood still, and has asked nothing."""
        self.client.heard_ns = min(self.client.heard_ns + ns, now_ns)

    def arm(
        self,
        key: str,
        step: Step,
        scratch: Path,
        tails: tuple[str, str],
        *,
        env: Mapping[str, str],
        real: tuple[str, str] = ("", ""),
    ) -> None:
        """Have a step's process made ready.

        Args:
            key: Names this attempt.
            step: What to start.
            scratch: Directory of its run on this node, in which it works if it names no other one.
            tails: Where its output goes when no agent is left to read it, as `LauncherClient.arm` takes it.
            env: All of its variables.
            real: The files to execute and to read its input from, if they were looked up already.
        """
        ask = Asked(
            user=step.user,
            scratch=(str(scratch), str(self._state_dir)),
            pty=step.pty,
            stdin=step.stdin,
            stdin_file=real[1] or step.stdin_file,
            program=real[0],
            limits=step.limits,
        )
        self.client.arm(key, step.argv, env, str(scratch / (step.dir or "")), tails=tails, ask=ask)

    def drained(self, key: str) -> None:
        """The pipes of a step were read to their end."""
        if self.client.fileno() >= 0:
            self.client.drained(key)

    def quit(self) -> None:
        """End everything and the launcher, hearing of the ends meanwhile."""
        self._quitting = True
        self.client.quit()
        until_ns = self._loop.turn(0) + round(QUIT_S * S)
        while self.client.fileno() >= 0 and self._loop.turn(until_ns) < until_ns:
            pass
        self._unwatch()
        self.client.kill_orphans()

    def leave(self) -> None:
        """Leave the launcher alone with all that it runs: the next life of this agent comes at once."""
        self._unwatch()
        self.client.close()

    # --- the launcher of an earlier life ----------------------------------------------------------------

    def take_over(self, now_ns: int) -> None:
        """Go on with it, and hear what it has said since."""
        log.warning("launcher_taken_over", pid=self.client.pid, software=self.client.software)
        self.found = None
        self._listen()
        self._spoke(now_ns)

    def end_found(self, why: str) -> None:
        """End it, if there is one, and all that it runs; start another one."""
        found, self.found = self.found, None
        for step in found.steps if found is not None else ():
            os.close(step.stdout_fd)
            os.close(step.stderr_fd)
        if self._fd < 0:
            log.warning(
                "launcher_found", pid=self.client.pid, steps=len(found.steps) if found else 0, why=why
            )
            self._end_old(self.client)
            self._start()

    def renew(self) -> None:
        """Replace a launcher of another version.  For a moment in which nothing runs."""
        if self.client.is_adopted and self.client.software != __version__:
            self._unwatch()
            self.end_found("it is of another version, and nothing runs")

    def _start(self) -> None:
        self.client = self._connect()
        if self.client.is_adopted:
            self._end_old(self.client)
            self.client = self._connect()
        self._listen()

    def _listen(self) -> None:
        self._fd = self.client.fileno()
        self._loop.add(self._fd, self._spoke)

    def _connect(self) -> LauncherClient:
        patience, arming = self._patience, self._arming
        return LauncherClient.start(
            self._state_dir,
            lease_s=patience.lease_s,
            grace_s=patience.grace_s,
            depth=arming.depth,
            spins=arming.spins,
        )

    def _end_old(self, client: LauncherClient) -> None:
        """End the launcher of an earlier life; it leaves what is in the pipes in its tail files."""
        handle = os.pidfd_open(client.pid)
        client.close()
        os.kill(client.pid, SIGTERM)
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll(QUIT_S * 1000)
        os.close(handle)
        sweep.reap(client.pid)

    def _replace(self, why: str) -> None:
        """End what it had started, have a new one for the resets, tell the runs."""
        self._unwatch()
        try:
            survivors = self.client.kill_orphans()
        except OSError as error:  # before the next launcher is started they are looked for again
            log.warning("processes_not_found", why=str(error))
            survivors = []
        if survivors:
            log.error("processes_left", pids=survivors)
        self._try_start()
        self._died(why)

    def _try_start(self) -> bool:
        """Start a launcher, or say that there is none: the next `beat` tries again."""
        try:
            self._start()
        except (OSError, LauncherError) as error:
            self.why_none = str(error)
            log.warning("launcher_not_started", why=self.why_none)
            return False
        self.why_none = ""
        return True

    def _unwatch(self) -> None:
        self._loop.remove(self._fd)
        self._loop.remove(self._fd, write=True)
        self._fd = -1

    def _await_room(self) -> None:
        if self.client.wants_write:
            self._loop.add(self._fd, self._flush, write=True)

    def _flush(self, _: int) -> None:
        self.client.flush()
        if not self.client.wants_write:
            self._loop.remove(self._fd, write=True)

    # --- events -----------------------------------------------------------------------------------------

    def _spoke(self, now_ns: int) -> None:
        for event in self.client.receive():
            self._take(event, now_ns)

    def _take(self, event: le.Event, now_ns: int) -> None:
        match event:
            case le.Armed(key, _, stdout_fd, stderr_fd):
                self._armed(key, {"stdout": stdout_fd, "stderr": stderr_fd}, now_ns)
            case le.Held(keys, late):
                for key in (*keys, *late):
                    self._tell(key, _held(key, key in keys, now_ns))
            case le.LauncherDied():
                self._unwatch()
                if not self._quitting:
                    log.error("launcher_died", pid=self.client.pid)
                    self._replace("the launcher died")
            case le.LeaseEnded(silence_s):
                log.error("launcher_lease_ended", silence_s=silence_s)
            case le.Complaint(sentence):
                log.error("launcher_complained", sentence=sentence)
            case le.Adopted():
                pass  # what an old launcher has is known before it is listened to
            case _:
                self._take_step_event(event, now_ns)

    def _take_step_event(
        self, event: le.ArmFailed | le.Started | le.StartFailed | le.Exited | le.Ended, now_ns: int
    ) -> None:
        key = event.key
        match event:
            case le.ArmFailed(_, sentence, lacks):
                self._tell(key, lambda executor: executor.arm_failed(key, sentence, now_ns, lacks=lacks))
            case le.Started():
                start = start_of(event)
                self._tell(key, lambda executor: executor.started(key, start, now_ns))
            case le.StartFailed(_, sentence):
                self._tell(key, lambda executor: executor.start_failed(key, sentence, now_ns))
                self.drained(key)  # there is nothing to read
            case le.Exited():
                end = exit_of(event)
                self._tell(key, lambda executor: executor.exited(key, end, now_ns))
            case le.Ended(_, survivors, pipe_rest, _):
                self._tell(key, lambda executor: executor.ended(key, survivors, pipe_rest, now_ns))
                self._tree_ended(key, survivors)


_OF_A_SHELL: Final = ("PWD", "OLDPWD", "SHLVL", "_")
"""Variables that tell of the shell that the agent was started from; a step is somewhere else."""


def environment(step: Step, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return a step's variables: what it inherits is nothing of the fabric's or of the agent's user only."""
    wanted = {variable: secrets[name] for variable, name in step.secrets.items() if name in secrets}
    not_ours = ("FABRIC_", "XDG_", "SUDO_") if step.user else ("FABRIC_",)
    not_this = ("HOME", "USER", "LOGNAME", "SHELL", "MAIL") if step.user else ()
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(not_ours) and name not in (*not_this, *_OF_A_SHELL)
    }
    return inherited | step.env | wanted


def _held(key: str, ok: bool, now_ns: int) -> Call:
    return lambda executor: executor.held(key, ok, now_ns)
