"""junit.xml: what the viewers of Jenkins, GitLab and GitHub are given."""

import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.report import junit
from fabric.report.junit import junit_text
from tests.unit.report_results import CHECK, failed, phase, result, step

ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "errors", "disabled"},
    "testsuite": {
        *("name", "tests", "failures", "errors", "time", "disabled", "skipped"),
        *("timestamp", "hostname", "id", "package"),
    },
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"name", "classname", "time", "assertions", "status"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message", "type"},
    "system-out": set(),
    "system-err": set(),
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out", "system-err"},
    "properties": {"property"},
    "testcase": {"skipped", "error", "failure", "system-out", "system-err"},
}


def check_form(element: ET.Element) -> None:
    """Hold an element against the rules of the schema that the viewers share."""
    assert element.attrib.keys() <= ATTRIBUTES[element.tag]
    assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
    if element.tag in ("testcase", "testsuite", "property"):
        assert element.get("name")
    if element.tag in ("testsuite", "testsuites"):
        cases = list(element.iter("testcase"))
        assert int(element.attrib["tests"]) == len(cases)
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            if attribute in element.attrib:
                assert int(element.attrib[attribute]) == sum(case.find(tag) is not None for case in cases)
        assert float(element.get("time", "0")) >= 0
    if element.tag == "testsuite":
        assert [child.tag for child in element].index("testcase") <= 1, "properties stand first"
        assert re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)?", element.get("timestamp", ""))
    for child in element:
        check_form(child)


def read(document: dict[str, Any]) -> ET.Element:
    root = ET.fromstring(junit_text(document))
    check_form(root)
    return root


def cases(document: dict[str, Any]) -> dict[str, str]:
    """Return what became of each case by its full name; no name is there twice."""
    found = [
        (f"{case.attrib['classname']}: {case.attrib['name']}", case[0].tag if len(case) else "pass")
        for case in read(document).iter("testcase")
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_a_case_for_each_step_on_each_node() -> None:
    """The names are the same in each run, so a viewer can tell a history."""
    assert cases(result(step(), step(node="lab4"), step(step="client-2"))) == {
        "ping.run.client: client-1 on lab3": "pass",
        "ping.run.client: client-1 on lab4": "pass",
        "ping.run.client: client-2 on lab3": "pass",
        "ping: verdict": "pass",
    }


def test_a_failure_has_its_message_and_last_lines() -> None:
    """Who reads a viewer has no terminal with the rest."""
    root = read(result(failed(), verdict="fail", why=["trial.toml:12: run/client: exit 3"]))
    found = root.find(".//failure")
    assert found is not None
    assert found.attrib == {"message": "exit 3 after 2.1 s", "type": "exited"}
    assert (found.text or "").splitlines() == [
        "trial.toml:12: run/client step client-1 on lab3: exit 3 after 2.1 s",
        "$ iperf3 -c $server",
        "one",
        "two",
    ]


def test_a_missing_metric_is_a_failure_though_the_program_ended_well() -> None:
    """The verdict is red for it, so a case has to be."""
    missing = [{"name": "rtt", "why": "not found in stdout"}]
    text = junit_text(result(step(failed=True, missing_metrics=missing)))
    (found,) = ET.fromstring(text).iter("failure")
    assert found.attrib["message"].endswith("; metric rtt: not found in stdout")


def test_attempts_are_one_case() -> None:
    """A step that passed at last has passed."""
    first = failed(retried=True)
    assert cases(result(first, step(attempt=2)))["ping.run.client: client-1 on lab3"] == "pass"
    last = failed(attempt=2)
    found = read(result(first, last, verdict="fail")).find(".//failure")
    assert found is not None
    assert found.attrib["message"] == "exit 3 after 4.2 s (attempt 2)"


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        (step(), "pass"),
        (failed(), "failure"),
        (failed(reason="lost"), "error"),
        (failed(reason="not_started"), "error"),
        ({**step(), "state": "skipped", "why": "a step has failed"}, "skipped"),
        ({**step(), "skipped": "a step has failed"}, "skipped"),
        ({"role": "client", "step": "client-1", "node": "lab3", "state": "unknown"}, "error"),
        ({"step": "client-1", "node": "lab3", "state": "unknown", "reason": "unknown"}, "error"),
        (step(reason="stopped", verb="cmd"), "skipped"),
        (step(reason="stopped", verb="spawn"), "pass"),
        (failed(reason="stopped", verb="cmd"), "failure"),
    ],
)
def test_what_a_step_came_to(entry: dict[str, Any], wanted: str) -> None:
    """A lost node is an error of the lab, not a failure of what is tested."""
    found = cases(result(entry))
    assert next(outcome for name, outcome in found.items() if "client-1" in name) == wanted


def test_a_node_that_the_quorum_did_without_is_not_red() -> None:
    """The run has passed; what failed by itself on such a node, before it was lost, has failed."""
    nodes = {"lab3": {"lost": "lab3 is not reachable", "passed_over": True}}
    why = "its end is not known: lab3 is not reachable"
    lost = failed(reason="lost", message=why)
    document = result(lost, failed(step="client-2"), nodes=nodes, missing_nodes=[{"node": "lab9"}])
    found = cases(document)
    assert found["ping.run.client: client-1 on lab3"] == "skipped"
    assert found["ping.run.client: client-2 on lab3"] == "failure"
    skipped = read(document).find(".//skipped")
    assert skipped is not None
    assert skipped.attrib["message"] == f"lab3 was lost, and the quorum held without it: {why}"
    assert read(document).find(".//property[@name='missing_nodes']") is not None
    del nodes["lab3"]["passed_over"]
    assert cases(document)["ping.run.client: client-1 on lab3"] == "error"


@pytest.mark.parametrize(
    ("verdict", "wanted"),
    [
        ("pass", "pass"),
        ("fail", "failure"),
        ("invalid", "failure"),
        ("error", "error"),
        ("dirty", "error"),
        ("interrupted", "error"),
    ],
)
def test_the_report_is_red_whenever_the_exit_code_is(verdict: str, wanted: str) -> None:
    """A node that was lost between two steps is no step's failure, and must be seen all the same."""
    assert cases(result(step(), verdict=verdict, why=["lab3 was lost"]))["ping: verdict"] == wanted


def test_repeats_and_cells_are_told_apart() -> None:
    """A viewer folds cases of one name into one."""
    cells = [{"cell": 1, "variables": {"a": "lab1", "n": "8"}}, {"cell": 2, "variables": {"a": "lab2"}}]
    steps = [step(cell=cell, repeat=repeat) for cell in (1, 2) for repeat in (1, 2)]
    phases = [phase(cell=cell, repeat=repeat) for cell in (1, 2) for repeat in (1, 2)]
    root = read(result(*steps, phases=phases, cells=cells, repeats=2))
    assert [suite.attrib["name"] for suite in root] == [
        "ping run [a=lab1, n=8] #1",
        "ping run [a=lab1, n=8] #2",
        "ping run [a=lab2] #1",
        "ping run [a=lab2] #2",
        "ping verdict",
    ]
    assert len(cases(result(*steps, phases=phases, cells=cells, repeats=2))) == 5


def test_checks_are_cases() -> None:
    """With what was found and what was wanted."""
    document = result(step(), checks=[CHECK, CHECK | {"kind": "max", "ok": True}], verdict="fail")
    assert cases(document)["ping.check: throughput min 9 Gbit/s"] == "failure"
    assert cases(document)["ping.check: throughput max 9 Gbit/s"] == "pass"
    found = read(document).find(".//failure")
    assert found is not None
    assert found.attrib["message"] == "throughput is 8.1 Gbit/s, wanted min 9 Gbit/s"
    missing = read(result(checks=[CHECK | {"value": None}])).find(".//failure")
    assert missing is not None
    assert missing.attrib["message"] == "throughput is not found, wanted min 9 Gbit/s"


def test_the_limit_of_the_skew_is_a_case() -> None:
    """It decides the verdict as a check does."""
    why = "phase 1/run: skew 0.300 ms (+- 0.100 ms) is over max_skew 0.1 ms; lab3 was the last"
    over = result(step(), verdict="invalid", why=[why])
    assert cases(over)["ping.run: skew"] == "failure"
    assert cases(result(step(), max_skew_s=0.01))["ping.run: skew"] == "pass"
    assert "ping.run: skew" not in cases(result(step()))


def test_what_xml_cannot_carry_is_replaced() -> None:
    """A program's last line is often a bar of escapes."""
    root = read(result(failed(last=["\x1b[31mred\x00\ufffe\udc80", "<&]]>"]), verdict="fail"))
    found = root.find(".//failure")
    assert found is not None
    assert (found.text or "").splitlines()[-2:] == ["\ufffd[31mred\ufffd\ufffd\ufffd", "<&]]>"]


@given(st.text(), st.text())
def test_any_text_makes_a_document_that_can_be_read(message: str, line: str) -> None:
    """Whatever a node says, the report of the other nodes must not be lost."""
    read(result(failed(message=message, last=[line], command=line), why=[message], verdict="fail"))


def test_long_texts_are_cut_in_their_middle() -> None:
    """A viewer keeps all of it in memory."""
    text = junit_text(result(failed(last=["x" * 100_000, "the end"]), verdict="fail"))
    assert len(text) < 2 * junit.MAX_TEXT_CHARS
    assert "the end" in text


def test_of_too_many_cases_those_that_passed_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """And that is said; what failed is there, wherever it stands."""
    monkeypatch.setattr(junit, "MAX_CASES", 10)
    steps = [step(node=f"n{number}") for number in range(20)]
    root = read(result(*steps, failed(node="last"), verdict="fail"))
    names = [case.attrib["name"] for case in root.iter("testcase")]
    assert len(names) == 10
    assert "client-1 on last" in names
    found = root.find(".//property[@name='left_out']")
    assert found is not None
    assert found.attrib["value"] == "12 that passed"


@pytest.mark.parametrize("document", [{}, {"verdict": "error", "why": ["no"]}, result(phases=[], steps=[])])
def test_a_result_that_lacks_nearly_everything_is_reported(document: dict[str, Any]) -> None:
    """A run that ended before it began."""
    assert len(cases(document)) == 1
