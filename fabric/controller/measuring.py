"""Reads the metrics of a step out of the bundle, when the step has ended."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from fabric.controller.extract import MetricNotFound, Written, extract
from fabric.controller.measures import Measured
from fabric.protocol.messages import Step
from fabric.protocol.records import StepFinished
from fabric.searching import SearchTooLong, bounded
from fabric.trial.model import TrialStep

MEASURED_BYTES: Final = 64 << 20
"""Most bytes of a stream or file, its last ones, in which a metric is looked for: memory has them all."""


SEARCH_S: Final = 5.0
"""Longest search for one metric: the run waits meanwhile, and its controller is given up after LEASE_S."""


class Source(Protocol):
    """Where the bytes of a step are."""

    def output(self, node: str, end: StepFinished) -> dict[str, Path]:
        """Return the streams of an attempt, by their names."""

    def take_files(self, node: str, end: StepFinished) -> dict[str, Path]:
        """Return the files that an attempt brought, by their path on the node."""


def measure(
    source: Source, node: str, end: StepFinished, step: TrialStep, resolved: Step
) -> Iterator[Measured]:
    """Yield each metric of an attempt with its value, or with why it has none.

    Args:
        source: The bundle.
        node: Which one the step ran on.
        end: Of the attempt.
        step: As the trial has it.
        resolved: As the node got it.
    """
    files = source.take_files(node, end)
    if end.failed or not step.metrics:
        return
    written = dict.fromkeys(spec.file for spec in step.metrics if spec.file)
    paths = dict(zip(written, dict.fromkeys(resolved.bring), strict=True))
    for spec in step.metrics:
        try:
            texts = _of_file(paths[spec.file], files) if spec.file else _of_output(source.output(node, end))
            with bounded(SEARCH_S):
                value, why = extract(spec, texts), ""
        except (MetricNotFound, SearchTooLong) as error:
            value, why = None, str(error)
        yield Measured(node, end.step, end.attempt, spec, value, why)


def _of_output(streams: Mapping[str, Path]) -> dict[str, Written]:
    return {name: _last_bytes(path) for name, path in streams.items()}


def _of_file(path: str, files: Mapping[str, Path]) -> dict[str, Written]:
    """Return the content of a file, named as the step was given it, among those that were brought."""
    wanted = os.path.normpath(path)
    for found, place in files.items():
        if found == wanted or found.endswith(f"/{wanted}"):
            return {path: _last_bytes(place)}
    raise MetricNotFound(f"the node has no file {path}")


def _last_bytes(path: Path) -> Written:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            left = file.seek(max(0, size - MEASURED_BYTES))
            return Written(file.read(), left)
    except FileNotFoundError:
        return Written(b"")
