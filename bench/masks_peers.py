#!/usr/bin/env python3
"""Streams labelled texts through gateways that mask, and counts what came out of them.

`bench/masks_peers.py [--sides direct,penstock,…] [--count N] [--json FILE]`

Each text is streamed in random pieces, the same ones for every side, and asked for once more as a
whole answer. What a side leaves of a value is `clear`; where it hides the value in the whole answer
and not in the stream, that is `only_streamed`. Clean characters that a stream lacks are
`overmasked` where a tag stands for them, else `swallowed`.
"""

import argparse
import concurrent.futures
import http.client
import json
import pathlib
import statistics
import sys
import time

from failures import Unavailable
from masks_asking import Refused, ask, ready
from masks_sides import SIDES, Penstock
from masks_text import TEXTS, long_keys, texts_of, way_of
from masks_upstream import Upstream

# Asked at once while it is counted; one at a time while it is timed.
AT_ONCE = 4
# Answers that are timed, and the pause between their pieces.
TIMED, TIMED_GAP_MS = 40, 10


def counted(side, texts, tell):
    """What of the texts arrives, summed over all of them."""
    def both(number):
        whole, _, _ = ask(side, number, stream=False)
        stream, _, _ = ask(side, number, stream=True)
        return way_of(texts[number], whole), way_of(texts[number], stream)

    sums, refused = Sums(), []
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [pool.submit(both, number) for number in range(len(texts))]
        for number, (text, future) in enumerate(zip(texts, asked)):
            try:
                sums.add(text, *future.result())
            except (Refused, ConnectionError, http.client.HTTPException) as reason:
                refused.append(f"text {number}: {reason}")
            tell(number)
    return {**sums.figures(), "refused": len(refused), "refusals": refused[:3]}


class Sums:
    def __init__(self):
        self.values = {"hidden": 0, "partly": 0, "clear": 0, "only_streamed": 0}
        self.characters = dict.fromkeys(
            ("of_values", "clean", "leaked", "leaked_of_partly", "leaked_only_streamed"), 0
        )
        self.damage = {"swallowed": 0, "overmasked": 0, "added": 0}
        self.types, self.changed_texts = {}, 0

    def add(self, text, whole, stream):
        self.characters["clean"] += text.inside().count(0)
        for start, end, kind in text.spans:
            left, left_of_whole = (sum(way.left[start:end]) for way in (stream, whole))
            self.add_value(kind, end - start, left, left_of_whole)
        for what in self.damage:
            self.damage[what] += getattr(stream, what)
        self.changed_texts += stream.swallowed + stream.added > 0

    def add_value(self, kind, length, left, left_of_whole):
        outcome = "hidden" if left == 0 else "clear" if left == length else "partly"
        self.values[outcome] += 1
        self.characters["of_values"] += length
        self.characters["leaked"] += left
        if outcome == "partly":
            self.characters["leaked_of_partly"] += left
        if left and not left_of_whole:
            self.values["only_streamed"] += 1
            self.characters["leaked_only_streamed"] += left
        hidden, all_of_them = self.types.get(kind, (0, 0))
        self.types[kind] = (hidden + (left == 0), all_of_them + 1)

    def figures(self):
        types = {kind: f"{hidden}/{count}" for kind, (hidden, count) in sorted(self.types.items())}
        return {
            "values": self.values,
            "characters": {**self.characters, **self.damage},
            "damaged_texts": self.changed_texts,
            "hidden_by_type": types,
        }


def timed(side, texts):
    """Medians, in milliseconds, of the time to the first character and to the end of a stream."""
    numbers = range(min(TIMED, len(texts)))
    firsts, ends = [], []
    for number in [0, *numbers]:
        try:
            _, first, end = ask(side, number, stream=True, gap_ms=TIMED_GAP_MS)
        except Refused:
            continue
        firsts.append(first or end)
        ends.append(end)
    if len(firsts) < 2:
        return None
    # The first one opened caches.
    medians = (statistics.median(times[1:]) * 1000 for times in (firsts, ends))
    return dict(zip(("first_ms", "end_ms"), (round(value, 2) for value in medians)))


def compared(options, texts, upstream):
    found = {}
    for name in options.sides:
        began = time.monotonic()
        try:
            with SIDES[name](upstream.url) as side:
                found[name] = one_side(name, side, texts)
        except Unavailable as reason:
            print(f"left out: {name}: {reason}", file=sys.stderr)
            continue
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    direct = found.get("direct", {}).get("timed")
    for figures in found.values():
        if direct and figures["timed"]:
            figures["added"] = {
                what: round(value - direct[what], 2) for what, value in figures["timed"].items()
            }
    return found


def one_side(name, side, texts):
    def tell(number):
        if number % 200 == 199:
            print(f"{name}: {number + 1} of {len(texts)} texts", file=sys.stderr, flush=True)

    ready(side)
    figures = {"timed": timed(side, texts)}
    return {**figures, **counted(side, texts, tell)}


COLUMNS = (
    ("values hidden", lambda one: one["values"]["hidden"]),
    ("partly", lambda one: one["values"]["partly"]),
    ("clear", lambda one: one["values"]["clear"]),
    ("leaked characters", lambda one: one["characters"]["leaked"]),
    ("only streamed", lambda one: one["characters"]["leaked_only_streamed"]),
    ("swallowed", lambda one: one["characters"]["swallowed"]),
    ("overmasked", lambda one: one["characters"]["overmasked"]),
    ("refused", lambda one: one["refused"]),
    ("added to first text, ms", lambda one: one.get("added", {}).get("first_ms", "-")),
    ("added to the end, ms", lambda one: one.get("added", {}).get("end_ms", "-")),
)


def table(found):
    lines = [["side", *(title for title, _ in COLUMNS)]]
    lines += [[name, *(str(cell(one)) for _, cell in COLUMNS)] for name, one in found.items()]
    rows = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([rows[0], "|---" * len(lines[0]) + "|", *rows[1:]]) + "\n"


def parsed(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", default=",".join(SIDES), help="which, separated by commas")
    parser.add_argument("--texts", default=str(TEXTS), help="labelled texts, JSON lines")
    parser.add_argument("--count", type=int, default=1000, help="how many of them")
    parser.add_argument("--long-keys", type=int, default=20, help="answers with a long key besides")
    parser.add_argument("--seed", type=int, default=1, help="of the pieces")
    parser.add_argument("--programs", help="folder of penstock [default: target/release]")
    parser.add_argument("--detectors", help="of Penstock's mask, as in its document [default: all]")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    options = parser.parse_args(arguments)
    options.sides = options.sides.split(",")
    unknown = [name for name in options.sides if name not in SIDES]
    if unknown:
        parser.error(f"there is no side {', '.join(unknown)}; the sides are: {', '.join(SIDES)}")
    return options


def main(arguments):
    options = parsed(arguments)
    if options.programs:
        Penstock.folder = pathlib.Path(options.programs).resolve()
    if options.detectors:
        Penstock.detectors = options.detectors
    groups = {"labelled texts": texts_of(options.texts, options.count)}
    if options.long_keys:
        groups["long keys"] = long_keys(options.long_keys, options.seed)
    everything = {}
    for group, texts in groups.items():
        upstream = Upstream(texts, options.seed)
        try:
            everything[group] = compared(options, texts, upstream)
        finally:
            upstream.end()
        print(f"\n{group}: {len(texts)}\n\n{table(everything[group])}", flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(everything, indent=2) + "\n")
    return 0 if all(len(found) == len(options.sides) for found in everything.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
