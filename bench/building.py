"""The programs that are measured, built as people run them."""

import pathlib
import shlex
import subprocess

from failures import Unavailable

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ("penstock", "penstock-controlplane", "penstock-dataplane", "penstock-loadtest")


def build():
    """Nothing happens where nothing has changed."""
    command = ["cargo", "build", "--release"]
    for name in PROGRAMS:
        command += ["--bin", name]
    if subprocess.run(command, cwd=REPOSITORY).returncode != 0:
        raise Unavailable(f"{shlex.join(command)} failed")
