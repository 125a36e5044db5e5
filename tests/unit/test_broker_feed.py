"""What nobody follows is not sent."""

from broker.feed import Topics, feed_topic
from broker.limits import MAX_TOPICS

RUN = "20260301-102207-ping-k3f9"


def test_a_run_is_followed_from_the_first_subscription_to_the_end_of_the_last() -> None:
    """The XPUB shows every beginning and the last end."""
    topics = Topics()
    assert not topics.is_followed(RUN)
    topics.note(b"\1" + feed_topic(RUN))
    assert topics.is_followed(RUN)
    assert not topics.is_followed("20260301-102207-other-k3f9")
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
