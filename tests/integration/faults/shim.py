"""A library that answers in the place of the C library: what a test cannot have of the kernel."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

SHARED: Final = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long long *value;

__attribute__((constructor)) static void begin(void) {
    int fd = open(getenv("SHIM_VALUE"), O_RDONLY | O_CLOEXEC);
    void *map = mmap(0, 8, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED)
        value = map;
}
"""


class Shim:
    """Built from C; all processes that have it see one number, which the test sets.

    Args:
        directory: For the library and the number.
        source: Goes behind `SHARED`, and reads ``*value``.
        variables: For the processes.
    """

    def __init__(self, directory: Path, source: str, **variables: str) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("there is no C compiler")
        self._value = directory / "shim-value"
        self._value.write_bytes(bytes(8))
        path, library = directory / "shim.c", directory / "shim.so"
        path.write_text(SHARED + source)
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-w", "-o", library, path], check=True)
        self.environment: Final = {
            "LD_PRELOAD": str(library),
            "SHIM_VALUE": str(self._value),
            **variables,
        }

    def set(self, value: int) -> None:
        """Set the number, for all of them at once."""
        with self._value.open("r+b", buffering=0) as file:
            file.write(value.to_bytes(8, "little", signed=True))
