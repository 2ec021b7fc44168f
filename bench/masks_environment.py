"""The Python environment of the peers, outside the clone; made when it is first needed."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

from failures import Unavailable

REQUIREMENTS = pathlib.Path(__file__).resolve().parent / "requirements-masks.txt"


def folder():
    cache = os.environ.get("PENSTOCK_CACHE") or os.path.expanduser("~/.cache/penstock")
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    return pathlib.Path(cache) / f"bench-masks-{digest[:12]}"


def python():
    """Its interpreter. The environment is made beside its place and moved there when it is whole,
    which is why none of its scripts is used: they name the place where they were made."""
    home = folder()
    if not (home / "bin" / "python").exists():
        make(home)
    return str(home / "bin" / "python")


def make(home):
    print(f"making {home}, once: some 800 MB", file=sys.stderr)
    work = home.with_name(f"{home.name}.{os.getpid()}")
    home.parent.mkdir(parents=True, exist_ok=True)
    install = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
    commands = [
        [sys.executable, "-m", "venv", str(work)],
        # The list is the whole closure.
        [str(work / "bin" / "python"), *install, "-r", str(REQUIREMENTS)],
    ]
    for command in commands:
        if subprocess.run(command, stdout=sys.stderr).returncode != 0:
            shutil.rmtree(work, ignore_errors=True)
            raise Unavailable(f"{' '.join(command)} failed")
    work.rename(home)
