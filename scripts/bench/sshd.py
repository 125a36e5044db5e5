"""A private sshd on this machine that plays all nodes, and what is started through it."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

PORT = 7422


class Sshd:
    """A private sshd, and a master connection for each name.

    Args:
        nodes: Names that all mean this machine.
        cpus: None, or a processor for each node: then each has an sshd of its own that is bound to it.
    """

    def __init__(self, nodes: Sequence[str], cpus: Sequence[int] | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="bench-ssh-"))
        self.nodes = tuple(nodes)
        self.config = self.directory / "config"
        self._servers: list[subprocess.Popen[bytes]] = []
        try:
            self._make_keys()
            for offset, cpu in enumerate(cpus or [None]):
                self._serve(PORT + offset, cpu)
            self._write_config(each_its_own=cpus is not None)
            self._connect()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            subprocess.run(["ssh", "-F", self.config, "-O", "exit", node], check=False, capture_output=True)
        for server in self._servers:
            server.terminate()
            server.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def plain(self, *command: str) -> str:
        """Run a command on all nodes, one ssh for each and all at once; return what they printed."""
        words = ["ssh", "-F", str(self.config)]
        running = [
            subprocess.Popen([*words, node, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            for node in self.nodes
        ]
        said = [process.communicate()[0].decode() for process in running]
        if any(process.returncode for process in running):
            raise SystemExit("an ssh failed")
        return "".join(said)

    def clush(self, *command: str) -> str:
        """Run a command on all nodes by ClusterShell; return what it printed."""
        return _output(
            ["clush", "-o", f"-F {self.config}", "-f", "128", "-w", ",".join(self.nodes), *command]
        )

    def pdsh(self, *command: str) -> str:
        """Run a command on all nodes by pdsh; return what it printed."""
        env = os.environ | {"PDSH_SSH_ARGS_APPEND": f"-F {self.config}"}
        return _output(["pdsh", "-R", "ssh", "-f", "128", "-w", ",".join(self.nodes), *command], env)

    def _make_keys(self) -> None:
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-qN", "", "-t", "ed25519", "-f", self.directory / key], check=True)
        (self.directory / "authorized").write_text((self.directory / "user.pub").read_text())
        (self.directory / "authorized").chmod(0o600)
        Path("/run/sshd").mkdir(exist_ok=True)

    def _serve(self, port: int, cpu: int | None) -> None:
        settings = {
            "Port": port,
            "ListenAddress": "127.0.0.1",
            "HostKey": self.directory / "host",
            "AuthorizedKeysFile": self.directory / "authorized",
            "PidFile": "none",
            "StrictModes": "no",
            "MaxStartups": 1000,
            "UsePAM": "no",
            "SetEnv": "SHLVL=1",  # so that bash does not read a .bashrc, which may take a second
        }
        arguments = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        bound = [] if cpu is None else ["taskset", "-c", str(cpu)]
        self._servers.append(
            subprocess.Popen(
                [*bound, shutil.which("sshd") or "sshd", "-D", "-f", "/dev/null", *arguments],
                stderr=subprocess.DEVNULL,
            )
        )

    def _write_config(self, *, each_its_own: bool) -> None:
        ports = [PORT + index * each_its_own for index in range(len(self.nodes))]
        hosts = [f"Host {node}\n Port {port}\n" for node, port in zip(self.nodes, ports, strict=True)]
        self.config.write_text(
            "".join(hosts) + f"Host *\n HostName 127.0.0.1\n IdentityFile {self.directory}/user\n"
            f" StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel QUIET\n"
            f" ControlMaster auto\n ControlPath {self.directory}/m-%n\n ControlPersist 600\n"
        )

    def _connect(self) -> None:
        time.sleep(0.5)
        for node in self.nodes:
            subprocess.run(["ssh", "-F", self.config, node, "true"], check=True, stdin=subprocess.DEVNULL)


def _output(words: Sequence[str], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        words, check=True, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return done.stdout
