"""A node whose key is revoked while it works: its part ends at once, and nothing that it says is lost."""

from tests.integration.faults.lab import Lab
from tests.integration.faults.processes import until

TRIAL = """
[trial]
name = "shut-out"
lead = "150ms"
on_lost = "continue"
[nodes]
one = "n[1-2]"
[run]
one = "touch {files}/begun-$my_name; exec sleep 600"
[reset]
one = "touch {files}/reset-$my_name; echo the last words of $my_name"
"""


def test_a_revoked_node_ends_its_part_at_once_and_keeps_its_records(lab: Lab) -> None:
    """Even where steps outlive a cut (`on_lost`); who lets it in again has what it could not send."""
    lab.start_agents("n1", "n2")
    files = lab.directory
    run = lab.run(TRIAL.format(files=files))
    until((files / "begun-n1").exists, "the step of n1")
    rotated = lab.command("keys", "rotate", "--overlap", "0s", "n2")
    assert rotated.returncode == 0, rotated.stderr
    until(lambda: "key_replaced" in lab.log("n2"), "the new key of n2")
    agent = lab.agents["n1"].process
    assert agent is not None
    revoked = lab.command("keys", "revoke", "--role", "node", "n1")
    assert revoked.returncode == 0, revoked.stderr
    assert agent.wait(10) == 2, lab.log("n1")  # half of the lease
    assert (files / "reset-n1").exists()
    assert lab.steps("n1") == []
    error, hint = lab.log("n1").splitlines()[-2:]
    assert error == "error: the key of node n1 was revoked; join again with a new token"
    assert hint.startswith(
        "hint: `fabric keys invite --role node --name n1` prints how; what could not be sent"
    )
    assert run.wait() == 3, run.said()
    assert "the key of n1 was revoked" in run.said()
    assert "n2 one/one-1 │ the last words of n2" in run.said(), "a key that is replaced ends nothing"

    lab.token = lab.command("keys", "invite", "--role", "node", "--name", "n1").stdout.split()[3]
    lab.start_agents("n1")
    until(lambda: "the last words of n1" in lab.command("tail", run.run).stdout, "what n1 had to say")
