"""Which runs are followed on the feed: what nobody follows is not sent."""

from broker.limits import MAX_TOPICS


class Topics:
    """The subscriptions that the feed's XPUB has shown."""

    def __init__(self) -> None:
        self._wanted: set[bytes] = set()
        self._overflowed = False
        self._known: dict[str, bool] = {}  # run to whether it is followed

    def note(self, frame: bytes | memoryview) -> None:
        """Take what the XPUB shows: 1 and a topic for each subscription, 0 for the end of the last."""
        kind, topic = bytes(frame[:1]), bytes(frame[1:])
        self._known.clear()
        if kind == b"\0":
            self._wanted.discard(topic)
        elif len(self._wanted) < MAX_TOPICS:
            self._wanted.add(topic)
        else:
            self._overflowed = True  # from now on everything is sent; ZeroMQ knows who wants it

    def is_followed(self, run: str) -> bool:
        """Say whether anybody has subscribed to a run's topic, or to the beginning of it."""
        known = self._known.get(run)
        if known is None:
            topic = feed_topic(run)
            known = self._overflowed or any(topic.startswith(wanted) for wanted in self._wanted)
            if len(self._known) >= MAX_TOPICS:
                self._known.clear()
            self._known[run] = known
        return known


def feed_topic(run: str) -> bytes:
    """Return the topic of a run: its id and a slash, so that no run's topic begins another's."""
    return f"{run}/".encode("ascii")
