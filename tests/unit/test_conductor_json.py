"""Conductor's JSON of a run: the shape that its users' scripts read."""

from pathlib import Path
from typing import Any

import pytest

from fabric.report.conductor import conductor_document
from tests.unit.report_results import failed, phase, result, step


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    out = tmp_path / "out" / "1" / "run" / "lab3"
    out.mkdir(parents=True)
    (out / "client-1.stdout").write_bytes(b"out \xff\n")
    (out / "client-1.stderr").write_bytes(b"err\n")
    (out / "client-1~2.stdout").write_bytes(b"again\n")
    return tmp_path


def results(bundle: Path, *steps: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the results of the only worker."""
    document = conductor_document(result(*steps), bundle, {})
    (worker,) = document["trials"][0]["phases"]["run"]["workers"].values()
    found: list[dict[str, Any]] = worker["results"]
    return found


def test_the_whole_shape(bundle: Path) -> None:
    """Every key of it, and no other one."""
    assert conductor_document(result(step()), bundle, {"client": "web-1"}) == {
        "metadata": {
            "start_time": "2026-03-01T10:22:07.250000+00:00",
            "end_time": "2026-03-01T10:22:12.750000+00:00",
            "total_trials": 1,
            "total_workers": 1,
        },
        "trials": [
            {
                "trial_number": 1,
                "start_time": "2026-03-01T10:22:07.750000+00:00",
                "end_time": "2026-03-01T10:22:11.250000+00:00",
                "phases": {
                    "run": {
                        "start_time": "2026-03-01T10:22:07.750000+00:00",
                        "end_time": "2026-03-01T10:22:11.250000+00:00",
                        "workers": {
                            "web-1": {
                                "start_time": "2026-03-01T10:22:08.250000+00:00",
                                "end_time": "2026-03-01T10:22:10.375000+00:00",
                                "results": [
                                    {
                                        "timestamp": "2026-03-01T10:22:10.375000+00:00",
                                        "code": 0,
                                        "message": "out \ufffd\n",
                                    }
                                ],
                            }
                        },
                    }
                },
            }
        ],
    }


def test_a_failing_step_has_its_whole_output(bundle: Path) -> None:
    """In Conductor it is lost, just when it is needed."""
    (found,) = results(bundle, failed())
    assert (found["code"], found["message"]) == (3, "out \ufffd\nerr\n")


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (step(exit_code=7), 7),
        (step(failed=True, missing_metrics=[{"name": "rtt", "why": "not found"}]), 1),
        (step(exit_code=None, signal=15, reason="stopped", verb="spawn"), 0),
        (step(exit_code=None, signal=15, reason="stopped", verb="cmd"), -15),
        (failed(exit_code=None, signal=9, reason="timeout"), -9),
        (failed(exit_code=None, reason="not_started"), 127),
        (failed(exit_code=None, reason="lost"), -1),
    ],
)
def test_codes(bundle: Path, entry: dict[str, Any], code: int) -> None:
    """Whatever happened, a script finds a number."""
    assert [found["code"] for found in results(bundle, entry)] == [code]


def test_the_last_attempt_counts_and_what_was_skipped_does_not(bundle: Path) -> None:
    """A result is something that was run."""
    skipped = {**step(step="client-2"), "state": "skipped"}
    (found,) = results(bundle, failed(), step(attempt=2), skipped)
    assert (found["code"], found["message"]) == (0, "again\n")


def test_results_stand_in_the_order_of_the_file(bundle: Path) -> None:
    """Scripts take the second result for the second line, though a spawned step ends last."""
    spawned = step(step="server", exit_code=4, line=10, duration_s=60, started=1.0)
    assert [found["code"] for found in results(bundle, step(), spawned)] == [4, 0]


def test_trials_are_counted_over_repeats_and_cells(bundle: Path) -> None:
    """Conductor knows no cells, but nothing may be lost."""
    phases = [phase(cell=cell, repeat=repeat) for repeat in (1, 2) for cell in (1, 2)]
    document = conductor_document(result(phases=phases), bundle, {})
    assert [trial["trial_number"] for trial in document["trials"]] == [1, 2, 3, 4]
    assert document["metadata"]["total_trials"] == 4


def test_nodes_of_a_role_are_workers_of_their_own(bundle: Path) -> None:
    """A worker of Conductor is one machine."""
    document = conductor_document(result(step(), step(node="lab4")), bundle, {})
    assert list(document["trials"][0]["phases"]["run"]["workers"]) == ["client/lab3", "client/lab4"]
    assert document["metadata"]["total_workers"] == 2


def test_a_run_without_anything_is_a_document_too(bundle: Path) -> None:
    """A script reads it before it looks at the exit code."""
    empty = conductor_document({}, bundle, {})
    assert empty["trials"] == []
    assert empty["metadata"]["start_time"] is None
