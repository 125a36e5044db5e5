"""Which names a command line uses."""

import pytest

from fabric.trial.shellnames import expand, used_in_shell, used_in_value


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("echo $a ${b} ${#c} ${d%x}", ["a", "b", "c", "d"]),
        ('echo "it\'s $a"', ["a"]),
        ("awk '{ print $NF }' $file", ["file"]),
        (r"echo \$a $$ $1 $? $(date) ${x:-3} ${y-} ${z:+k}", []),
        ("a=1; b=$a echo $b", []),
        ("for i in 1 2; do echo $i; done", []),
        ("while read -r line rest; do echo $line $rest; done", []),
        ("export a=1 && echo $a", []),
        ("[ $a = 1 ]", ["a"]),
        ("echo 'one' $a 'two'", ["a"]),
        ("echo 'not closed $a", ["a"]),
    ],
)
def test_names_that_nothing_sets_are_found(command: str, names: list[str]) -> None:
    """A warning about every awk program would be switched off in the head."""
    assert list(used_in_shell(command)) == names


def test_values_are_expanded_by_the_fabric() -> None:
    """Outside of commands no shell does it; what is unknown stays, for the reader has refused it."""
    assert expand("$a-${b}-$$a-$c-$", {"a": "1", "b": "2"}) == "1-2-$a-$c-$"
    assert list(used_in_value("$a ${b} $$c $")) == ["a", "b"]
