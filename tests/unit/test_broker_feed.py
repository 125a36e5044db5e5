"""What nobody follows is not sent, and nothing before it is durable."""

from broker.feed import Topics, Unpublished, feed_topic
from broker.limits import MAX_TOPICS
from fabric.store.entry import Entry

RUN = "20260301-102207-ping-k3f9"
OTHER = "20260301-102207-other-k3f9"


def entry(number: int, count: int = 1, size: int = 10) -> Entry:
    return Entry(number, count, b"", b"", bytes(size))


def test_a_run_is_followed_from_the_first_subscription_to_the_end_of_the_last() -> None:
    """The XPUB shows every beginning and the last end."""
    topics = Topics()
    assert not topics.is_followed(RUN)
    topics.note(b"\1" + feed_topic(RUN))
    assert topics.is_followed(RUN)
    assert not topics.is_followed(OTHER)
    topics.note(b"\0" + feed_topic(RUN))
    assert not topics.is_followed(RUN)


def test_a_subscription_to_the_beginning_of_a_topic_counts() -> None:
    """That is how ZeroMQ matches; the empty one wants everything."""
    topics = Topics()
    topics.note(b"\1")
    assert topics.is_followed(RUN)


def test_with_too_many_topics_everything_is_sent() -> None:
    """The limit must cost time, not data."""
    topics = Topics()
    for number in range(MAX_TOPICS + 1):
        topics.note(b"\1%d/" % number)
    assert topics.is_followed(RUN)


def test_entries_are_published_when_they_are_durable_in_their_order() -> None:
    """What a reader has seen must not come again as something else after a loss of power."""
    unpublished = Unpublished()
    one, two, three = entry(1), entry(2, count=2), entry(4)
    for made in (one, two, three):
        unpublished.add(RUN, made)
    assert list(unpublished.take(OTHER, 9)) == []
    assert list(unpublished.take(RUN, 2)) == [one], "half of an entry is durable with its other half"
    assert list(unpublished.take(RUN, 4)) == [two, three]
    assert list(unpublished.take(RUN, 4)) == []


def test_what_is_durable_is_published_in_portions() -> None:
    """The ends of a phase of many nodes come together, and ZeroMQ drops what it has no room for."""
    unpublished = Unpublished()
    made = [entry(number) for number in (1, 2, 3, 4)]
    for one in made:
        unpublished.add(RUN, one)
    assert not unpublished.has_durable
    unpublished.committed(RUN, 3)
    assert list(unpublished.portion(2)) == [(RUN, made[0]), (RUN, made[1])]
    assert unpublished.has_durable
    unpublished.committed(RUN, 4)
    assert list(unpublished.portion(3)) == [(RUN, made[2]), (RUN, made[3])]
    assert not unpublished.has_durable
    unpublished.committed(RUN, 4)
    assert not unpublished.has_durable, "of a run that nobody follows there is nothing to publish"


def test_each_run_has_its_turn_on_the_feed() -> None:
    """One that prints as fast as it can does not keep the end of another one's phase back."""
    unpublished = Unpublished()
    for run in (RUN, OTHER):
        for number in (1, 2):
            unpublished.add(run, entry(number))
        unpublished.committed(run, 2)
    assert [run for _ in range(4) for run, _ in unpublished.portion(1)] == [RUN, OTHER, RUN, OTHER]


def test_what_a_broken_log_had_is_not_published() -> None:
    """Other records may get these numbers when it was opened anew."""
    unpublished = Unpublished()
    unpublished.add(RUN, entry(1))
    unpublished.committed(RUN, 1)
    unpublished.drop(RUN)
    assert not unpublished.has_durable
    assert list(unpublished.portion(1)) == []


def test_what_waits_for_a_slow_disk_is_bounded() -> None:
    """Readers ask for what the feed has lost; a full memory would end the broker."""
    unpublished = Unpublished(limit_bytes=25)
    made = [entry(number) for number in (1, 2, 3, 4)]
    for one in made[:3]:
        unpublished.add(RUN, one)
    assert list(unpublished.take(RUN, 3)) == made[:2]
    unpublished.add(RUN, made[3])
    assert list(unpublished.take(RUN, 4)) == [made[3]], "there is room again"


def test_entries_of_a_log_that_is_opened_anew_are_never_published() -> None:
    """The disk may not have them, and others get their numbers."""
    unpublished = Unpublished(limit_bytes=25)
    unpublished.add(RUN, entry(1))
    unpublished.add(RUN, entry(2))
    unpublished.drop(RUN)
    unpublished.drop(OTHER)
    again = [entry(1), entry(2)]
    for one in again:
        unpublished.add(RUN, one)
    assert list(unpublished.take(RUN, 2)) == again
