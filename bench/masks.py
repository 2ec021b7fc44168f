"""The rows of masking: `mask-scan`, what it takes to mask decoded text, and `mask-sse`, what a mask
adds to the relay of streams."""

import json
import pathlib
import re
import subprocess
import tempfile
import time

import criterion
from building import REPOSITORY
from failures import Unavailable
from masks_environment import python
from masks_text import TEXTS
from proxies import Stage
from rounds import finish, medians, rounds, value_of, window
from swap import ControlPlane

BENCH = pathlib.Path(__file__).resolve().parent
CHAT = "/v1/chat/completions"
CPU_EVENT = ("process", "cpu_us_per_event")
RSS = ("process", "rss_bytes")
PATIENCE_S = 30
STREAMS, GAP_MS = 256, 10
# Cases of the benchmark: with which rules, who (or nobody, for the mask itself), what.
CASE = re.compile(r"mask-scan/(?P<profile>[^/]+)/(?P<who>regex-)?(?P<text>[^/]+)")
# The case of the row's figure.
PROFILE, TEXT = "default", "prose"
# Which of the labelled texts Presidio reads in the place of a case's text.
KINDS = {"prose": ("prose", "clean"), "technical": ("code", "json", "log", "env")}

MASKED = """
kind: connection
name: masked
protocol: openai
endpoints: [{upstream}]
credential: {{secret: upstream-key, scheme: bearer}}
mask: bench
---
kind: mask
name: bench
detectors: [{detectors}]
action: replace
unreadable: refuse
"""
# Those that a person would switch on first.
DETECTORS = (
    "EMAIL_ADDRESS, PHONE_NUMBER, CREDIT_CARD, IBAN_CODE, CRYPTO, US_SSN, JWT, PASSWORD, "
    'AUTH_HEADER, "*_KEY", "*_TOKEN", "AWS_*", "GCP_*"'
)
# What the streams say, in pieces of 20 characters: as many different texts as there are. Of one
# short text that is said again and again a mask soon knows every piece.
SAID = (
    "LICENSE",
    "README.md",
    "dataplane/ARCHITECTURE.md",
    "dataplane/LIFECYCLE.md",
    "controlplane/ARCHITECTURE.md",
)
# Characters of it: an argument of a program may have 128 KiB.
SAID_MAX = 100_000
# What the fixed upstream can't say.
UNSAID = re.compile(r"[^ !#-\[\]-~]+")


def mask_scan(_):
    """Nanoseconds a kilobyte. Presidio reads labelled texts of the same kind, one after the other,
    as its service gets them: all of its recognisers, none of its language models."""
    command, cases = criterion.measure("penstock-mask", "scan", "^mask-scan/")
    found = {}
    for case in cases:
        named = CASE.fullmatch(case["case"])
        if named and case["bytes"]:
            who = "regex-automata" if named["who"] else "penstock"
            found[who, named["profile"], named["text"]] = case
    ours = found.get(("penstock", PROFILE, TEXT))
    if not ours:
        raise Unavailable(f"{command} measured no mask-scan/{PROFILE}/{TEXT}")
    presidio = presidio_ns_per_byte()
    peers = {"presidio": round(presidio[TEXT] * 1000, 1)}
    for (who, profile, text), case in found.items():
        if who != "penstock" and (profile, text) == (PROFILE, TEXT):
            peers[who] = ns_per_kb(case)
    figure = ns_per_kb(ours)
    megabytes = {"/".join(key): round(1e6 / ns_per_kb(case), 1) for key, case in found.items()}
    megabytes |= {f"presidio/all/{text}": round(1e3 / ns, 3) for text, ns in presidio.items()}
    by_four = {case["case"]: case for case in cases if case["case"].endswith("-by-four")}
    pieces = {name: round(case["ns"] / case["elements"], 1) for name, case in by_four.items()}
    return {
        "unit": f"ns/KB of {TEXT}",
        "penstock": figure,
        "peers": peers,
        "ratio_best": round(figure / min(peers.values()), 5),
        "repeats": ours["repeats"],
        "spread": ours["spread"],
        "command": command,
        "details": {"megabytes_per_second": megabytes, "ns_per_piece": pieces},
    }


def ns_per_kb(case):
    return round(case["ns"] / case["bytes"] * 1000, 3)


def presidio_ns_per_byte():
    if not TEXTS.is_file():
        raise Unavailable(f"{TEXTS} is missing")
    rows = [json.loads(line) for line in TEXTS.read_text().splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, kinds in KINDS.items():
            path = pathlib.Path(folder) / f"{name}.json"
            path.write_text(json.dumps([row["text"] for row in rows if row["kind"] in kinds]))
            paths.append(str(path))
        command = [python(), str(BENCH / "masks_presidio.py"), "speed", *paths]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Unavailable("Presidio did not run")
    return json.loads(done.stdout)


def mask_sse(options):
    """CPU time that a mask adds to an event: the same streams through two connections of one
    gateway, of which one has a mask."""
    flags = ["--closed", "--duration", options.seconds, "--stream"]
    flags += ["--connections", STREAMS, "--warm-up", 2]
    upstream = ["--events", "1000000", "--gap-ms", str(GAP_MS), "--bytes", "20", "--text", said()]
    expected = STREAMS * 1000 / GAP_MS
    with Stage(upstream, peers=()) as stage:
        add_masked(stage)
        names = ["penstock", "masked", "direct"]
        reports, void = rounds(
            names,
            lambda name: window(stage, name, CHAT, flags, expected),
            options.rounds,
            options.tell,
            CPU_EVENT,
        )
    ours = names[:2]
    more = [
        value_of(each["masked"], *CPU_EVENT) - value_of(each["penstock"], *CPU_EVENT)
        for each in reports
    ]
    details = {
        "void_rounds": void,
        "cpu_us_per_event": medians(reports, ours, *CPU_EVENT),
        "events_per_second": medians(reports, names, "events", "per_second"),
        "gap_p50_us": medians(reports, names, "gap_us", "p50"),
        "gap_p99_us": medians(reports, names, "gap_us", "p99"),
        "first_event_us": medians(reports, names, "first_event_us", "p50"),
        "rss_bytes": medians(reports, ours, *RSS),
        "others_busy_share": medians(reports, names, "others_busy_share"),
        "detectors": DETECTORS,
    }
    figures = [{"penstock": value} for value in more]
    return finish(figures, ["penstock"], "CPU us/event added by a mask", details)


def said():
    """The documents as one line."""
    texts = [(REPOSITORY / name).read_text() for name in SAID]
    return " ".join(UNSAID.sub(" ", "\n".join(texts)).split())[:SAID_MAX]


def add_masked(stage):
    """The second connection, beside the one that the stage has."""
    api = ControlPlane(stage)
    masked = MASKED.format(upstream=f"http://{stage.upstream}", detectors=DETECTORS)
    sources = [{"name": "bench.yaml", "text": f"{api.policy}---\n{masked}"}]
    version = api.call("/api/v1/documents/apply", {"sources": sources})["version"]
    end = time.monotonic() + PATIENCE_S
    while not api.is_enforced(version):
        if time.monotonic() > end:
            raise Unavailable("the mask is not enforced")
        time.sleep(0.02)
    base, process = stage.proxies["penstock"]
    stage.proxies["masked"] = (base.removesuffix("/bench") + "/masked", process)
