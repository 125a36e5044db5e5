"""Looks for bytes that the codec does not stand; `scripts/fuzz` starts it.

What is asked of the codec: it takes a frame or refuses it with a sentence, never anything else; what it takes
can be sent on, and comes out the same; and no frame takes longer than `SLOW_S`.
"""

import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any, Final

try:
    import atheris
except ImportError:
    atheris = None
    from fabric.errors import ProtocolError
    from fabric.protocol import codec
else:
    with atheris.instrument_imports(include=["fabric.protocol"]):
        from fabric.errors import ProtocolError
        from fabric.protocol import codec

from tests import hostile

SLOW_S: Final = 2.0
"""1 MiB of the worst kind takes a tenth of that."""

SEEDS: Final = 300
MAX_BYTES: Final = 8192
FOUND: Final = Path("fuzz-found")


def look(data: bytes) -> None:
    """Give bytes to the codec.

    Raises:
        Exception: Whatever it does not stand.
    """
    begun_s = time.monotonic()
    try:
        message = codec.decode(data)
    except ProtocolError as error:
        if not str(error):
            raise AssertionError("a refusal has a sentence") from error
    else:
        assert same(codec.decode(codec.encode(message)), message), message
    try:
        raw = codec.unpack_record(data)
        record = codec.decode_record(raw)
    except ProtocolError:
        pass
    else:
        assert same(codec.decode_record(codec.unpack_record(codec.encode_record(record))), record), record
    assert time.monotonic() - begun_s < SLOW_S, "too slow"


def same(one: Any, other: Any) -> bool:
    """Compare what has no NaN in it, for the codec takes none."""
    return bool(one == other)


def corpus(source: Random) -> list[bytes]:
    """Return frames to begin with: good ones of each kind, and broken ones."""
    return [hostile.frame(source) for _ in range(SEEDS)] + [
        codec.encode_record(hostile.record(source)) for _ in range(SEEDS)
    ]


def with_coverage(seconds: int, seed: int) -> None:
    """Let libFuzzer work; it ends the process."""
    print(f"atheris, {seconds} s, seed {seed}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="fuzz-"))
    for number, frame in enumerate(corpus(Random(seed))):
        (directory / str(number)).write_bytes(frame[:MAX_BYTES])
    FOUND.mkdir(exist_ok=True)
    words = [
        f"-max_total_time={seconds}",
        f"-seed={seed or 1}",
        f"-max_len={MAX_BYTES}",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *words, f"-artifact_prefix={FOUND}/", str(directory)], look)
    atheris.Fuzz()


def without_coverage(seconds: int, seed: int) -> int:
    """Change bytes at random; return the exit code."""
    print(
        f"no atheris for this Python: bytes are changed at random, unguided; {seconds} s, seed {seed}",
        flush=True,
    )
    source, until_s, count = Random(seed), time.monotonic() + seconds, 0
    known = corpus(source)
    while time.monotonic() < until_s:
        data = source.choice(known)
        for _ in range(source.randrange(4)):
            data = hostile.damaged(source, data)
        count += 1
        try:
            look(data)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            FOUND.mkdir(exist_ok=True)
            path = FOUND / f"crash-{seed}-{count}"
            path.write_bytes(data)
            print(f"{type(error).__name__}: {error}\n{path} has the {len(data)} bytes that did it")
            return 1
    print(f"{count} inputs, nothing found")
    return 0


def main() -> None:
    """Fuzz for so many seconds from a seed."""
    seconds, seed = int(sys.argv[1]), int(sys.argv[2])
    if atheris is not None:
        with_coverage(seconds, seed)
    else:
        raise SystemExit(without_coverage(seconds, seed))


if __name__ == "__main__":
    main()
