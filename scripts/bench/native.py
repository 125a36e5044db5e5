"""Builds the C programs of the benchmarks; each says in its head what it does."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "native"
FLAGS = ("-O2", "-Wall", "-Wextra")
BARE = ("-DBARE", "-static", "-nostartfiles", "-fno-stack-protector")
"""Without the start-up of the C library, and so without what a stack protector would need of it."""


@dataclass(frozen=True)
class Programs:
    """Where the programs are; ``mpi_start`` is None without an ``mpicc``."""

    stamp_static: str
    stamp_dynamic: str
    floor: str
    relay: str
    mpi_start: str | None


def slow_disk(directory: Path, ms: int) -> dict[str, str]:
    """Compile what makes a disk slow; return the environment for programs that are to have such a one."""
    target = directory / "slow_disk.so"
    source = SOURCES / "slow_disk.c"
    subprocess.run([_compiler(), *FLAGS, "-shared", "-fPIC", "-o", target, source, "-ldl"], check=True)
    return {"LD_PRELOAD": str(target), "SLOW_DISK_MS": str(ms)}


def _compiler() -> str:
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("there is no C compiler (cc): apt-get install gcc libc6-dev")
    return compiler


def build(directory: Path) -> Programs:
    """Compile all of them into a directory."""
    compiler = _compiler()

    def compiled(name: str, source: str, *flags: str, by: str = compiler) -> str:
        target = directory / name
        subprocess.run([by, *FLAGS, *flags, "-o", target, SOURCES / source], check=True)
        return str(target)

    mpi = shutil.which("mpicc")
    return Programs(
        stamp_static=compiled("stamp_static", "stamp.c", *BARE),
        stamp_dynamic=compiled("stamp_dynamic", "stamp.c"),
        floor=compiled("floor", "floor.c"),
        relay=compiled("relay", "relay.c"),
        mpi_start=compiled("mpi_start", "mpi_start.c", by=mpi) if mpi else None,
    )
