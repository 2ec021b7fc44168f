"""Windows of load, in interleaved rounds, and what may be said about them."""

import json
import random
import statistics
import subprocess
import sys

from failures import Invalid, Unavailable
from processes import program

STEAL_MAX = 0.02
EVENTS_SHARE_MIN = 0.99
PATIENCE_S = 600


def processor_ticks(processors):
    """Ticks since the start of the machine: stolen ones and all of them; then those that the given
    processors were busy for, and all of theirs."""
    stolen = every = busy = theirs = 0
    with open("/proc/stat") as stat:
        for line in stat:
            name, *fields = line.split()
            if not name.startswith("cpu") or name == "cpu":
                continue
            ticks = [int(tick) for tick in fields[:8]]
            stolen, every = stolen + ticks[7], every + sum(ticks)
            if int(name[3:]) in processors:
                # All but idle and waiting for a disk.
                busy, theirs = busy + sum(ticks) - ticks[3] - ticks[4], theirs + sum(ticks)
    return stolen, every, busy, theirs


def window(stage, proxy, path, flags, events_expected=None):
    """One window of load through one proxy: its report, and why it is void (or nothing)."""
    base, process = stage.proxies[proxy]
    command = [program("penstock-loadtest"), "run", base + path, "--json", *map(str, flags)]
    command += ["--token-file", str(stage.token_file)]
    command += ["--process", str(process)] if process else []
    command += ["--ca", str(stage.ca)] if base.startswith("https://") else []
    before = processor_ticks(stage.other_processors)
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    after = processor_ticks(stage.other_processors)
    if done.returncode not in (0, 3):
        raise Unavailable(f"the load did not run: {done.stderr}")
    report = json.loads(done.stdout)
    stolen, every, busy, theirs = (now - then for now, then in zip(after, before))
    report["others_busy_share"] = busy / max(1, theirs)
    return report, void(report, stolen / max(1, every), events_expected)


def void(report, steal, events_expected):
    if report["requests"]["failed"]:
        return f"failed requests: {report['requests']['failures']}"
    if not report["valid"]:
        return "; ".join(report["reasons"])
    if steal > STEAL_MAX:
        return f"the machine was taken away for {steal:.1%} of the time"
    if events_expected:
        share = report["events"]["per_second"] / events_expected
        if share < EVENTS_SHARE_MIN:
            return f"only {share:.1%} of the events came: something other than the proxy is full"
    return None


def rounds(names, measure, count, tell, figure, seed=1):
    """Each round measures every name once, in shuffled order. A round with a void window is
    repeated; there are as many repetitions as rounds, and then the row is invalid. `tell` hears the
    figures of each round while they come."""
    order = random.Random(seed)
    good, bad = [], []
    while len(good) < count:
        if len(bad) > count:
            raise Invalid(f"{len(bad)} of {len(bad) + len(good)} rounds: {'; '.join(bad[-3:])}")
        found = {}
        for name in order.sample(names, len(names)):
            report, reason = measure(name)
            if reason:
                bad.append(f"{name}: {reason}")
                print(f"void: {bad[-1]}", file=sys.stderr)
                break
            found[name] = report
        else:
            good.append(found)
            tell(len(good) - 1, {name: value_of(found[name], *figure) for name in names})
    return good, len(bad)


def paired(figures, peers):
    """`figures` has one {name: figure} a round. The best peer has the lowest median; the ratio is
    the median of the rounds' ratios, with its bootstrap interval."""
    medians = {name: statistics.median(each[name] for each in figures) for name in figures[0]}
    ours = [each["penstock"] for each in figures]
    deviation = statistics.median(abs(value - medians["penstock"]) for value in ours)
    result = {
        "penstock": round(medians["penstock"], 3),
        "peers": {name: round(medians[name], 3) for name in peers},
        "ratio_best": None,
        "repeats": len(figures),
        # Median absolute deviation, relative to the median.
        "spread": round(deviation / medians["penstock"], 4),
    }
    if not peers:
        return result, None
    best = min(peers, key=medians.get)
    ratios = [each["penstock"] / each[best] for each in figures]
    result["ratio_best"] = round(statistics.median(ratios), 4)
    resample = random.Random(1)
    medians = sorted(
        statistics.median(resample.choices(ratios, k=len(ratios))) for _ in range(2000)
    )
    return result, [round(medians[50], 4), round(medians[1949], 4)]


def finish(figures, names, unit, details):
    """A row of the table, but for its name."""
    peers = [name for name in names if name != "penstock"]
    result, interval = paired(figures, peers)
    return {"unit": unit, **result, "details": {"ratio_interval": interval, **details}}


def median_of(reports, name, *path):
    """The median over rounds of one figure of a report, or nothing where a round has none."""
    values = []
    for each in reports:
        value = value_of(each[name], *path)
        if value is None:
            return None
        values.append(value)
    return round(statistics.median(values), 3)


def value_of(report, *path):
    """One figure of a report, or nothing where it has none."""
    for key in path:
        report = report.get(key) if report is not None else None
    return report


def medians(reports, names, *path):
    """The same for several proxies, by name."""
    return {name: median_of(reports, name, *path) for name in names}


def added(reports, name, *path):
    """The median over rounds of what a proxy adds to the same round's direct figure."""
    one = [{key: median_of([each], key, *path) for key in (name, "direct")} for each in reports]
    pairs = [(each[name], each["direct"]) for each in one]
    if any(None in pair for pair in pairs):
        return None
    return round(statistics.median(through - direct for through, direct in pairs), 1)
