"""Enrolment, hello, and the words of another version."""

from fabric.config import parse_url
from fabric.protocol import messages as m
from fabric.protocol.codec import encode
from fabric.protocol.limits import PROTOCOL_VERSION
from tests.integration.broker.peers import FakeAgent, Lab, enrol

THIS = b"\xa8protocol" + bytes([PROTOCOL_VERSION])
OTHER = b"\xa8protocol" + bytes([99])


def test_an_agent_enrols_and_is_welcomed_with_the_other_ports(lab: Lab) -> None:
    """One address is configured; the rest comes from the broker."""
    welcome = lab.agent("lab1", join=False).join()
    port = parse_url(lab.broker.listen).port
    assert (welcome.name, welcome.go_port, welcome.sink_port) == ("lab1", port + 1, port + 2)


def test_a_wrong_token_and_a_name_in_use_are_refused_with_a_sentence(lab: Lab) -> None:
    """Both end in front of a person."""
    lab.agent("lab1")
    stranger = lab.agent("lab1", join=False)
    rejected = stranger.ask(m.Enrol(protocol=PROTOCOL_VERSION, name="lab2", secret=b"0" * 16), m.Rejected)
    assert (rejected.code, rejected.sentence) == ("bad_token", "the join token is not this broker's")
    rejected = stranger.ask(enrol("lab1", lab.broker), m.Rejected)
    assert rejected.code == "name_in_use"
    assert rejected.sentence.startswith("the name lab1 belongs to another key")


def test_a_second_agent_with_a_copied_key_is_refused_while_the_first_lives(lab: Lab) -> None:
    """A copied state directory is one name twice."""
    first = lab.agent("lab1")
    second = FakeAgent(lab.context, lab.broker, "lab1", first.keys)
    lab.peers.append(second)
    rejected = second.ask(second.hello(instance="copy"), m.Rejected)
    assert rejected.code == "name_in_use"
    first.say(m.Probe(t1_ns=5))
    assert first.expect(m.ProbeReply).t1_ns == 5, "the first one is not disturbed"


def test_another_version_of_the_protocol_is_told_what_to_do(lab: Lab) -> None:
    """An old agent must not be left wondering."""
    agent = lab.agent("lab1", join=False)
    old = encode(enrol("lab1", lab.broker)).replace(THIS, OTHER)
    agent.push(agent.control, [old])
    rejected = agent.expect(m.Rejected)
    assert rejected.code == "version"
    assert "speaks protocol 99" in rejected.sentence
    assert "upgrade testfabric where the broker runs" in rejected.sentence
