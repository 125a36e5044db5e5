"""A story that fails is made as short as it can be, or nobody reads it."""

from tests.simulation.shrink import check, shrunk
from tests.simulation.troubles import NODES, Story, any_story, story_of


def fails_with_two_kills(story: Story) -> None:
    assert sum(trouble.kind == "kill" for trouble in story.troubles) < 2, "killed twice"


def test_what_has_nothing_to_do_with_a_failure_is_left_out() -> None:
    """Two of six troubles are to blame, and they are as short as they may be."""
    kinds = ("cut", "kill", "agent_kill", "power", "kill", "interrupt")
    shortest, words = shrunk(story_of(7, kinds, loss=0.1, failing=True), fails_with_two_kills)
    assert words.startswith("killed twice")
    assert [trouble.kind for trouble in shortest.troubles] == ["kill", "kill"]
    assert shortest.loss == 0
    assert not shortest.failing


def test_a_failure_is_told_with_a_story_that_can_be_kept() -> None:
    """Its text is Python, for a test."""
    story = story_of(3, ("kill", "kill"))
    try:
        check(story, fails_with_two_kills)
    except AssertionError as error:
        words = str(error)
    assert "kill" in words.splitlines()[2]
    assert "Story(seed=3" in words


def test_a_seed_is_one_story() -> None:
    """And over many seeds everything happens to everybody."""
    assert any_story(5) == any_story(5)
    stories = [any_story(seed) for seed in range(200)]
    targets = {trouble.target.rstrip("<>") for story in stories for trouble in story.troubles}
    assert {*NODES, "operator"} <= targets
