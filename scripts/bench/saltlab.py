"""A Salt master with minions on this machine."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from starts import Start

PORTS = (7440, 7441)
"""Of the master: publish and return."""

QUIET = {
    "user": "root",
    "log_level": "quiet",
    "log_level_logfile": "quiet",
    "ipc_mode": "ipc",
    "acceptance_wait_time": "1",
}


class Salt:
    """A master, minions and a client; those are stopped by SIGSTOP when they are not asked.

    Dozens of idle minions would otherwise take much of a small machine from the other ways.

    Args:
        programs: Directory of salt-master and salt-minion.
        nodes: How many minions.
        cpus: None, or a processor for each minion.
    """

    def __init__(self, programs: Path, nodes: int, cpus: Sequence[int] | None = None) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="bench-salt-"))
        self._programs = programs
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            self._start("salt-master", self._config("master", "master", {"interface": "127.0.0.1"}))
            _await_port(PORTS[1])
            for index in range(nodes):
                config = self._config("minion", f"n{index}", {"id": f"n{index}", "master": "127.0.0.1"})
                self._start("salt-minion", config, cpus[index] if cpus else None)
            self._driver = subprocess.Popen(
                [
                    str(programs / "python"),
                    "-P",  # no module of the benchmarks is to hide one of Salt's
                    str(Path(__file__).with_name("salt_driver.py")),
                    str(self._directory / "master" / "master"),
                    str(nodes),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            if self._line() != "ready":
                raise SystemExit("Salt's minions did not come up")  # noqa: TRY301
            self._signal(signal.SIGSTOP)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        driver = getattr(self, "_driver", None)
        if driver is not None:
            driver.terminate()
            driver.communicate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def make(self, stamp: str, nodes: int, failures: list[str], count: int) -> list[Start]:
        """Make so many starts; one that not all minions answered in time is a failure."""
        self._signal(signal.SIGCONT)
        found = []
        assert self._driver.stdin is not None
        for _ in range(count):
            self._driver.stdin.write(stamp + "\n")
            self._driver.stdin.flush()
            said = self._line().split()
            if len(said) != nodes or "-" in said:
                failures.append("not all minions answered in time")
            else:
                found.append(Start(tuple(map(int, said))))
        self._signal(signal.SIGSTOP)
        return found

    def _config(self, kind: str, name: str, extra: dict[str, str]) -> Path:
        place = self._directory / name
        place.mkdir()
        settings = QUIET | extra | {"root_dir": str(place), "pki_dir": str(place / "pki")}
        ports = {"publish_port": PORTS[0], "ret_port": PORTS[1], "auto_accept": True}
        settings |= ports if kind == "master" else {"master_port": PORTS[1], "publish_port": PORTS[0]}
        (place / kind).write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
        return place

    def _start(self, name: str, config: Path, cpu: int | None = None) -> None:
        bound = [] if cpu is None else ["taskset", "-c", str(cpu)]
        with (config / "said").open("wb") as said:
            self._processes.append(
                subprocess.Popen(
                    [*bound, str(self._programs / name), "-c", str(config)],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    start_new_session=True,
                )
            )

    def _line(self) -> str:
        assert self._driver.stdout is not None
        return self._driver.stdout.readline().strip()

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, number)


def _await_port(port: int) -> None:
    until_s = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > until_s:
                raise SystemExit("Salt's master did not come up") from None
            time.sleep(0.2)
        else:
            return
