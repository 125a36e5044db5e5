"""PURE.  Where things are in a bundle."""

from fabric.protocol.names import StepId


def stream_path(node: str, step: StepId, attempt: int, stream: str) -> str:
    """Return the path of a stream in the bundle; the second attempt of ``etcd`` is ``etcd~2``.

    No label holds a tilde, so no step can be called like another one's attempt.
    """
    suffix = f"~{attempt}" if attempt > 1 else ""
    return f"out/{step.phase_id}/{node}/{step.label}{suffix}.{stream}"
