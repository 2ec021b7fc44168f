"""Figures of criterion's benchmarks."""

import datetime
import json
import os
import shlex
import subprocess
import sys

from building import REPOSITORY
from failures import Unavailable
from processes import target


def measure(package, bench, *arguments):
    """Runs a benchmark; its command, and the cases that were measured now.

    A case is {case, ns, bytes, elements, repeats, spread}: nanoseconds of one iteration, the bytes
    or elements that it works on, and the deviation of its repeats relative to their median.
    """
    home = target() / "criterion"
    command = ["cargo", "bench", "-p", package, "--bench", bench, "--", *arguments]
    started = datetime.datetime.now().timestamp()
    # Its report is for people, and belongs to stderr: stdout is for the row.
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "CRITERION_HOME": str(home)},
        stdout=sys.stderr,
    )
    if done.returncode != 0:
        raise Unavailable(f"{shlex.join(command)} failed")
    found = home.rglob("new/estimates.json")
    cases = [case_of(path) for path in found if path.stat().st_mtime >= started - 1]
    if not cases:
        raise Unavailable(f"{shlex.join(command)} measured nothing")
    return shlex.join(command), cases


def case_of(estimates_path):
    estimates = json.loads(estimates_path.read_text())
    sample = json.loads((estimates_path.parent / "sample.json").read_text())
    benchmark = json.loads((estimates_path.parent / "benchmark.json").read_text())
    median = estimates["median"]["point_estimate"]
    throughput = benchmark.get("throughput") or {}
    return {
        "case": benchmark["full_id"],
        "ns": round(median, 1),
        "bytes": throughput.get("Bytes"),
        "elements": throughput.get("Elements"),
        "repeats": len(sample["times"]),
        "spread": round(estimates["median_abs_dev"]["point_estimate"] / median, 4),
    }
