"""A node whose reset did not succeed is dirty, whatever dies meanwhile, until somebody has cleaned it."""

import json

from tests.integration.faults.lab import FABRIC, Lab
from tests.integration.faults.processes import until

TRIAL = """
[trial]
name = "leaves-dirt"
lead = "150ms"
[nodes]
one = "n[1-2]"
[run]
one = "touch {files}/dirt-$my_name"
[reset]
one = '''
echo "reset" >> {files}/resets-$my_name
while [ -e {files}/held-$my_name ]; do sleep 0.02; done
if [ -e {files}/broken-$my_name ]; then echo "cannot mend this" >&2; exit 7; fi
rm {files}/dirt-$my_name
'''
"""

PLAIN = """
[trial]
name = "plain"
lead = "150ms"
[nodes]
one = "n[1-2]"
[run]
one = "true"
"""

WHY = "reset/one/one-1: exit 7, its last line: cannot mend this"


def test_a_dirty_node_is_refused_until_it_is_cleaned(lab: Lab) -> None:
    """Over deaths of its agent and of the broker; then it is of use as before."""
    lab.start_agents("n1", "n2")
    files = lab.directory
    (files / "broken-n1").touch()
    run = lab.run(TRIAL.format(files=files))
    assert run.wait() == 5, run.said()

    lab.kill_broker()
    lab.agents["n1"].kill()
    lab.start_broker()
    lab.start_agents("n1")
    until(lambda: lab.nodes()["n1"]["state"] == "dirty", "n1 to be back")
    until(lambda: lab.nodes()["n2"]["state"] == "free", "n2 to be back")
    told = lab.nodes()["n1"]
    assert (told["dirty_run"], told["dirty_why"]) == (run.run, WHY)
    details = lab.command("nodes", "n1").stdout
    assert f"by the reset of run {run.run}: {WHY}" in details
    assert "fabric nodes clean n1" in details

    refused = lab.run(PLAIN)
    assert refused.wait() == 3
    assert f"the reset of run {run.run} failed ({WHY})" in refused.said()
    assert "`fabric nodes clean n1`" in refused.said()
    looked = lab.command("exec", "n1", f"ls {files}/dirt-n1")
    assert looked.returncode == 0, looked.stderr

    still = lab.command("nodes", "clean", "n[1-2]")
    assert still.returncode == 3, still.stderr
    assert sorted(still.stdout.splitlines()) == [f"n1: still dirty: {WHY}", "n2: was not dirty"]
    (files / "broken-n1").unlink()
    cleaned = lab.command("nodes", "clean", "n1", "--json")
    assert cleaned.returncode == 0, cleaned.stderr
    assert json.loads(cleaned.stdout) == {"node": "n1", "clean": True, "was_dirty": True, "why": ""}
    assert not (files / "dirt-n1").exists()
    assert len((files / "resets-n1").read_text().split()) == 3

    again = lab.run(PLAIN)
    assert again.wait() == 0, again.said()


def test_nobody_needs_to_clean_twice(lab: Lab) -> None:
    """Not who has cleaned by hand (--force), nor who asked a broker that died before it knew the end."""
    lab.start_agents("n1", "n2")
    files = lab.directory
    for node in ("n1", "n2"):
        (files / f"broken-{node}").touch()
    run = lab.run(TRIAL.format(files=files))
    assert run.wait() == 5, run.said()
    forced = lab.command("nodes", "clean", "n1", "--force")
    assert (forced.returncode, forced.stdout) == (0, "n1: clean\n"), forced.stderr

    (files / "held-n2").touch()
    (files / "broken-n2").unlink()
    asking = lab.spawn("asking", (*FABRIC, "nodes", "clean", "n2", "--broker", lab.url), place="others")
    until(lambda: len((files / "resets-n2").read_text().split()) == 2, "the reset of n2 to go on")
    lab.kill_broker()
    asking.kill()
    asking.wait()
    (files / "held-n2").unlink()
    until(lambda: not (files / "dirt-n2").exists(), "n2 to be clean")
    lab.agents["n1"].kill()
    lab.start_broker()
    lab.start_agents("n1")
    until(lambda: lab.nodes()["n2"]["state"] == "free", "the broker to know of n2")
    assert lab.nodes()["n1"]["state"] == "free"
    assert len((files / "resets-n1").read_text().split()) == 1
