"""What a node says of itself, judged: by the same rules on the node and on the broker's side."""

from collections.abc import Mapping
from typing import Final

from fabric.doctor.findings import Finding
from fabric.protocol.limits import JOURNAL_BYTES

MIB: Final = 1 << 20

DISK_BYTES: Final = JOURNAL_BYTES
"""With less, the journal of a run cannot grow as far as it may, and steps wait earlier."""

DISK_LEAST_BYTES: Final = 64 * MIB
"""With less, no run can work: some output and the records of its steps have to fit."""

FILES: Final = 4096
"""Open files that a step can ask for, and an agent with a hundred steps needs."""

PROCESSES: Final = 1024
MEMLOCK_BYTES: Final = 64 * MIB
"""What a launcher may lock: its own pages, 14 MiB at first.  With less room to grow it does not lock them."""

_YAMA: Final = {
    "2": "only processes with CAP_SYS_PTRACE may trace",
    "3": "nobody may trace until the next boot",
}


def judge(facts: Mapping[str, str]) -> list[Finding]:
    """Return a finding for each thing that the facts tell of: limits, disk, tracing, cgroups, clock."""
    looks = (_files, _processes, _memlock, _priority, _disk, _tracing, _cgroup, _kernel_clock)
    return [finding for look in looks if (finding := look(facts)) is not None]


def disk(free_bytes: int, where: str) -> Finding:
    """Judge the room in a state directory."""
    said = f"{free_bytes // MIB} MiB free in {where}"
    if free_bytes < DISK_LEAST_BYTES:
        return Finding("bad", "disk", said, f"make room: {DISK_LEAST_BYTES // MIB} MiB at least")
    if free_bytes < DISK_BYTES:
        need = f"{DISK_BYTES // MIB} MiB let a step print while the broker is away"
        return Finding("warn", "disk", said, need)
    return Finding("ok", "disk", said)


def files(hard: float, needed: int = FILES) -> Finding:
    """Judge how many files may be open."""
    if hard < needed:
        return Finding(
            "warn", "limit nofile", f"{_shown(hard)} open files", f"LimitNOFILE= or ulimit -n: {needed}"
        )
    return Finding("ok", "limit nofile", f"{_shown(hard)} open files")


def _files(facts: Mapping[str, str]) -> Finding | None:
    hard = _hard(facts, "nofile")
    return None if hard is None else files(hard)


def _processes(facts: Mapping[str, str]) -> Finding | None:
    hard = _hard(facts, "nproc")
    if hard is None:
        return None
    if hard < PROCESSES and facts.get("user") != "0":
        return Finding(
            "warn", "limit nproc", f"{_shown(hard)} processes", f"LimitNPROC= or ulimit -u: {PROCESSES}"
        )
    return Finding("ok", "limit nproc", f"{_shown(hard)} processes")


def _memlock(facts: Mapping[str, str]) -> Finding | None:
    soft = _limit(facts, "memlock", is_hard=False)  # nobody raises it
    if soft is None:
        return None
    said = "unlimited" if soft == float("inf") else f"{soft / MIB:.0f} MiB"
    if soft < MEMLOCK_BYTES and facts.get("user") == "0":
        return Finding("ok", "limit memlock", f"{said}, which does not bind root")
    if soft < MEMLOCK_BYTES:
        hint = f"LimitMEMLOCK={MEMLOCK_BYTES // MIB}M: else the launcher may be paged out when a start is due"
        return Finding("warn", "limit memlock", said, hint)
    return Finding("ok", "limit memlock", said)


def _priority(facts: Mapping[str, str]) -> Finding | None:
    hard = _hard(facts, "rtprio")
    if hard is None:
        return None
    if hard < 1 and facts.get("user") != "0":
        hint = "LimitRTPRIO=99: else starts are late on a machine that is busy"
        return Finding("warn", "limit rtprio", "no real-time priority", hint)
    return Finding("ok", "limit rtprio", "real-time priority may be had")


def _disk(facts: Mapping[str, str]) -> Finding | None:
    free_mib = facts.get("disk_free_mib", "")
    return disk(int(free_mib) * MIB, "the state directory") if free_mib.isdecimal() else None


def _tracing(facts: Mapping[str, str]) -> Finding | None:
    scope = facts.get("ptrace_scope")
    if scope is None:
        return None
    if scope in _YAMA and not (scope == "2" and facts.get("user") == "0"):
        hint = (
            "sysctl kernel.yama.ptrace_scope=1; else programs wait before their exec and start a little later"
        )
        return Finding("warn", "ptrace", f"scope {scope}: {_YAMA[scope]}", hint)
    return Finding("ok", "ptrace", "no limit" if scope == "-" else f"scope {scope}: children may be traced")


def _cgroup(facts: Mapping[str, str]) -> Finding | None:
    said = facts.get("cgroup")
    if said is None:
        return None
    if said == "delegated":
        return Finding("ok", "cgroup", "v2, delegated: a step is ended as a whole")
    hint = "Delegate=yes in the unit; without it a step's processes are found one by one"
    return Finding("warn", "cgroup", said, hint)


def _kernel_clock(facts: Mapping[str, str]) -> Finding | None:
    said = facts.get("kernel_clock")
    return None if said is None else kernel_clock(said, is_synchronised=said.startswith("synchronised"))


def kernel_clock(said: str, *, is_synchronised: bool) -> Finding:
    """Judge what a kernel says of its clock: the fabric does not need it, logs of programs do."""
    if is_synchronised:
        return Finding("ok", "kernel clock", said)
    return Finding(
        "warn", "kernel clock", said, "start chrony or systemd-timesyncd: logs of programs are by this clock"
    )


def _hard(facts: Mapping[str, str], name: str) -> float | None:
    return _limit(facts, name, is_hard=True)


def _limit(facts: Mapping[str, str], name: str, *, is_hard: bool) -> float | None:
    """Return one limit of ``soft/hard``."""
    limit = facts.get(name, "").split("/")[-1 if is_hard else 0]
    if limit == "unlimited":
        return float("inf")
    return float(limit) if limit.isdecimal() else None


def _shown(limit: float) -> str:
    return "unlimited" if limit == float("inf") else f"{limit:.0f}"
