#!/usr/bin/env python3
"""What a mask adds to the times to the first event and text of a stream, and to the gaps between.

`bench/masks_delay.py [--real] [--domain] [--rounds N] [--streams N] [--programs FOLDER] [--json FILE]`

A model server says an event every 20 ms; with `--real` it is llama.cpp with the model that `make
deps` installs, which has to say a given text in tokens of its own. The same streams go through two
connections of one gateway, one of which has a mask, in turns; who goes first changes at random. Of
an event whose text a mask holds the event still counts, as an event.
"""

import argparse
import asyncio
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

from building import REPOSITORY
from failures import Unavailable
from masks import DETECTORS
from masks_sides import Penstock
from masks_text import TEXTS, texts_of
from processes import Processes

CHAT = "/v1/chat/completions"
# What streams say beside labelled texts.
PROSE = (
    "The harbour was quiet when the first boats came in, and the people who had waited on the "
    "quay since dawn went home without a word. In 1987 a storm had taken the old lighthouse; its "
    "keeper lived in the village from then on, wrote letters to a sister overseas, and told "
    "anybody who asked that light is a matter of habit. Prices rose by 12 percent that year, the "
    "ferry ran twice a day, and nobody counted the winters. "
)
EVENTS, GAP_MS, PIECE_BYTES = 100, 20, 16
# What the real model says, in characters: some 80 tokens.
REAL_LENGTH = 400
DOMAIN = "overrides: [{detectors: [EMAIL_ADDRESS], form: domain}]"
# The longest line of a stream, in bytes.
LINE_BYTES_MAX = 1 << 20
RESAMPLES = 2_000
WAYS = ("clear", "masked")
FIGURES = {
    "first_event_ms": "first event, ms",
    "event_gap_ms": "gap of events, ms",
    "first_ms": "first text, ms",
    "gap_ms": "gap of texts, ms",
}


async def stream(url, token):
    """When each event came, and each with a text, in seconds since the request; and the text."""
    parts = urllib.parse.urlsplit(url)
    body = json.dumps(
        {"model": "fixed", "stream": True, "messages": [{"role": "user", "content": "Go on."}]}
    )
    head = (
        f"POST {parts.path}{CHAT} HTTP/1.1\r\nhost: {parts.netloc}\r\nconnection: close\r\n"
        f"authorization: Bearer {token}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(
        parts.hostname, parts.port, limit=LINE_BYTES_MAX
    )
    try:
        began = time.perf_counter()
        writer.write((head + body).encode())
        status = await reader.readline()
        if b" 200 " not in status:
            raise Unavailable(f"a stream was refused: {status.decode(errors='replace').strip()}")
        events, texts, said = [], [], []
        # Lines that hold no event are heads, and sizes of chunks.
        while line := await reader.readline():
            now = time.perf_counter() - began
            if line.startswith(b"data: [DONE]"):
                if not texts:
                    raise Unavailable("a stream says nothing")
                return events, texts, "".join(said)
            if line.startswith(b"data: "):
                events.append(now)
            text = content(line)
            if text:
                texts.append(now)
                said.append(text)
        raise Unavailable("a stream has no end")
    finally:
        writer.close()


def content(line):
    if not line.startswith(b"data: "):
        return ""
    event = json.loads(line.removeprefix(b"data: "))
    if "error" in event:
        raise Unavailable(f"a stream failed: {event['error']}")
    return "".join((choice.get("delta") or {}).get("content") or "" for choice in event["choices"])


async def batch(url, token, count):
    """As many streams at once, begun evenly over one gap."""
    async def one(number):
        await asyncio.sleep(GAP_MS / 1000 * number / count)
        return await stream(url, token)

    patience_s = 30 + EVENTS * GAP_MS / 1000
    found = await asyncio.wait_for(asyncio.gather(*map(one, range(count))), patience_s)
    return {
        "first_event_ms": [events[0] * 1000 for events, _, _ in found],
        "event_gap_ms": [gap for events, _, _ in found for gap in gaps(events)],
        "first_ms": [texts[0] * 1000 for _, texts, _ in found],
        "gap_ms": [gap for _, texts, _ in found for gap in gaps(texts)],
        "texts": {text for _, _, text in found},
    }


def gaps(times):
    return [(after - before) * 1000 for before, after in zip(times, times[1:])]


def compared(options, text):
    """All rounds of both ways for one text."""
    kind = RealServer if options.real else Server
    with kind(options, text) as server, sided(options)(server.url) as side:
        urls = {"clear": side.clear, "masked": side.url}
        order = random.Random(options.seed)
        rounds = []
        # The first one opens caches, and does not count.
        for number in range(options.rounds + 1):
            ways = order.sample(WAYS, len(WAYS))
            found = {
                way: asyncio.run(batch(urls[way], side.token, options.streams)) for way in ways
            }
            # What is compared is a mask, and the same text.
            if found["clear"]["texts"] != {server.text} or len(found["masked"]["texts"]) != 1:
                raise Unavailable("the streams say something else")
            if number:
                rounds.append(found)
                print(f"round {number} of {options.rounds}", file=sys.stderr, flush=True)
    return rounds


def sided(options):
    class Side(Penstock):
        folder, detectors = options.programs, options.detectors
        patterns = DOMAIN if options.domain else ""

    return Side


class Server(Processes):
    """The model server that says one text to everybody."""

    def __init__(self, options, text):
        super().__init__(pathlib.Path(tempfile.mkdtemp(prefix="penstock-masks-")), options.programs)
        self.text = said(text)
        try:
            self.url = self.begin(options, text)
        except BaseException:
            self.end()
            raise

    def begin(self, _options, text):
        flags = ["--events", str(EVENTS), "--gap-ms", str(GAP_MS), "--bytes", str(PIECE_BYTES)]
        return f"http://{self.launch_upstream([*flags, '--text', text])}"


class RealServer(Server):
    """A real model that says one text to everybody."""

    def begin(self, options, text):
        self.text = text[:REAL_LENGTH].strip()
        interpreter = os.environ.get("PENSTOCK_PYTHON", sys.executable)
        command = [interpreter, str(REPOSITORY / "tests" / "python" / "model_server.py")]
        command += ["--parallel", str(options.streams), "--say", self.text]
        child = self.launch(command, "model", stdout=subprocess.PIPE)
        return self.said(child, "model")["listen"]


def said(text):
    """A text as the model server says it: again and again, until its events are all told."""
    cuts = [text[at : at + PIECE_BYTES] for at in range(0, len(text), PIECE_BYTES)]
    return "".join(cuts[number % len(cuts)] for number in range(EVENTS))


def summed(rounds):
    """Medians and p99 over everything, and the median over rounds of what the mask adds to a
    round's median, with its bootstrap interval."""
    found = {}
    for figure in FIGURES:
        every = {way: [value for each in rounds for value in each[way][figure]] for way in WAYS}
        added = [
            statistics.median(each["masked"][figure]) - statistics.median(each["clear"][figure])
            for each in rounds
        ]
        resample = random.Random(1)
        medians = sorted(
            statistics.median(resample.choices(added, k=len(added))) for _ in range(RESAMPLES)
        )
        interval = medians[RESAMPLES // 40], medians[-RESAMPLES // 40]
        found[figure] = {
            "p50": {way: round(statistics.median(every[way]), 3) for way in WAYS},
            "p99": {way: round(p99(every[way]), 3) for way in WAYS},
            "added_p50": round(statistics.median(added), 3),
            "interval": [round(value, 3) for value in interval],
            "is_noise": interval[0] <= 0 <= interval[1],
            "count": {way: len(every[way]) for way in WAYS},
        }
    return found


def p99(values):
    return statistics.quantiles(values, n=100, method="inclusive")[98]


def table(found):
    lines = [
        "| stream | figure | clear: median | p99 | masked: median | p99 | added | 95 % of it |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for stream_name, figures in found.items():
        for figure, one in figures.items():
            cells = [stream_name, FIGURES[figure]]
            for way in WAYS:
                cells += [f"{one['p50'][way]:.2f}", f"{one['p99'][way]:.2f}"]
            low, high = one["interval"]
            noise = "within noise" if one["is_noise"] else "more than noise"
            cells += [f"{one['added_p50']:+.2f}", f"{low:+.2f} to {high:+.2f}: {noise}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def labelled():
    """Labelled texts with values, one after the other, as far as the model server can say them; and
    how many values they hold."""
    length, taken, values = EVENTS * PIECE_BYTES, [], 0
    for text in texts_of(TEXTS, None):
        is_plain = all(" " <= letter <= "~" and letter not in '"\\' for letter in text.text)
        if text.spans and is_plain and len(text.text) < length:
            taken.append(text.text + " ")
            values += len(text.spans)
            length -= len(text.text) + 1
    return "".join(taken).ljust(EVENTS * PIECE_BYTES), values


def parsed(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--real", action="store_true", help="llama.cpp; its packages are PENSTOCK_PYTHON's"
    )
    parser.add_argument("--rounds", type=int, default=10, help="of both ways")
    parser.add_argument("--streams", type=int, default=16, help="at once")
    parser.add_argument("--seed", type=int, default=1, help="of the order")
    parser.add_argument("--detectors", default=DETECTORS, help="as in a mask's document")
    parser.add_argument("--domain", action="store_true", help="addresses from their @ on")
    parser.add_argument(
        "--programs", type=pathlib.Path, help="folder of penstock [default: target/release]"
    )
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all figures there")
    return parser.parse_args(arguments)


def main(arguments):
    options = parsed(arguments)
    with_values, values = labelled()
    texts = {"prose": PROSE, f"labelled texts, {values} values": with_values}
    if options.real:
        texts = {"prose": PROSE}
    try:
        found = {name: summed(compared(options, text)) for name, text in texts.items()}
    except (Unavailable, OSError, TimeoutError) as reason:
        print(f"error: {reason}", file=sys.stderr)
        return 1
    print(table(found))
    pace = f"{EVENTS} events of {PIECE_BYTES} bytes, one every {GAP_MS} ms"
    if options.real:
        pace = f"{REAL_LENGTH} characters of a real model"
    form = "; addresses from their @ on" if options.domain else ""
    print(
        f"{options.rounds} rounds of {options.streams} streams each way, {pace}; "
        f"seed {options.seed}. Detectors: {options.detectors}{form}"
    )
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
