r"""A network of its own for a lab: places with an address each, joined by a router, whose links can be cut.

    broker   victims   others   operators   readers        a network namespace each
       \________|________|__________|__________/
                      router                               and one more

Namespaces live as long as the process that holds them, and that ends with ours: nothing is left on the
machine, and nothing of its own network is touched.  A packet is dropped on its way by an entry in the
neighbour table that names a card which nobody has: silently, in one direction, with no more than iproute2.
"""

import os
import shutil
import subprocess
from typing import Final, Literal

Place = Literal["broker", "victims", "others", "operators", "readers"]
Cut = Literal["link", "both", "in", "out"]
"""The link is down; nothing comes through in both directions; nothing comes in; nothing goes out."""

PLACES: Final[tuple[Place, ...]] = ("broker", "victims", "others", "operators", "readers")
NEEDED: Final = ("ip", "unshare", "nsenter")

_NOBODY: Final = "02:00:00:00:00:ff"


def why_not() -> str:
    """Return why no network can be made here, or nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} is missing (scripts/test installs it as root)"
    made = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
    return f"no network namespaces here: {made.stderr.strip()}" if made.returncode else ""


class Network:
    """Made at once; `close` removes it."""

    def __init__(self) -> None:
        self._holders: dict[str, subprocess.Popen[bytes]] = {}
        self._cuts: dict[Place, Cut] = {}
        try:
            self._hold("router")
            for number, place in enumerate(PLACES, 1):
                self._join(place, number)
            enter = self._enter("router")
            subprocess.run([*enter, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"], check=True)
        except BaseException:
            self.close()
            raise

    def address(self, place: Place) -> str:
        """Return the address of a place."""
        return f"10.83.{PLACES.index(place) + 1}.2"

    def within(self, place: Place) -> tuple[str, ...]:
        """Return the words in front of a command that is to run in a place; its pid is the command's."""
        return self._enter(place)

    def cut(self, place: Place, how: Cut) -> None:
        """Cut a place off from all others."""
        assert place not in self._cuts
        self._cuts[place] = how
        number = PLACES.index(place) + 1
        if how == "link":
            self._ip("router", f"link set to{number} down")
        if how in ("both", "in"):
            self._ip(
                "router", f"neigh replace {self.address(place)} lladdr {_NOBODY} dev to{number} nud permanent"
            )
        if how in ("both", "out"):
            self._ip(place, f"neigh replace 10.83.{number}.1 lladdr {_NOBODY} dev eth0 nud permanent")

    def heal(self, place: Place) -> None:
        """Undo a cut."""
        how = self._cuts.pop(place)
        number = PLACES.index(place) + 1
        if how == "link":
            self._ip("router", f"link set to{number} up")
        if how in ("both", "in"):
            self._ip("router", f"neigh del {self.address(place)} dev to{number}")
        if how in ("both", "out"):
            self._ip(place, f"neigh del 10.83.{number}.1 dev eth0")

    def close(self) -> None:
        """End the namespaces; their links go with them."""
        for holder in self._holders.values():
            assert holder.stdin is not None
            holder.stdin.close()
            holder.wait()

    def _join(self, place: Place, number: int) -> None:
        self._hold(place)
        pid = self._holders[place].pid
        self._ip(
            "router",
            f"link add to{number} type veth peer name eth0 netns {pid}",
            f"addr add 10.83.{number}.1/24 dev to{number}",
            f"link set to{number} up",
        )
        self._ip(
            place,
            "link set lo up",
            f"addr add 10.83.{number}.2/24 dev eth0",
            "link set eth0 up",
            f"route add default via 10.83.{number}.1",
        )

    def _hold(self, name: str) -> None:
        """Start the process that keeps a namespace; it ends when it can read no more."""
        holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo held; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._holders[name] = holder
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"

    def _enter(self, name: str) -> tuple[str, ...]:
        return ("nsenter", f"--net=/proc/{self._holders[name].pid}/ns/net", "--")

    def _ip(self, name: str, *lines: str) -> None:
        words = [*self._enter(name), "ip", "-batch", "-"]
        done = subprocess.run(words, input="\n".join(lines), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"ip in {name}: {done.stderr}\n{lines}"
