"""Labelled texts, the pieces in which they are streamed, and what became of a text on its way."""

import dataclasses
import json
import pathlib
import random
import re

from building import REPOSITORY

# Labelled texts: a JSON object a line.
TEXTS = REPOSITORY / "dataplane" / "mask" / "tests" / "pii" / "dev.jsonl"
# About as many characters as a token has; now and then a whole word.
PIECE_CHARACTERS_MAX = 8
# What stands in the place of a value: [EMAIL_ADDRESS], [EMAIL_REDACTED], <EMAIL_ADDRESS>, ***.
TAG = re.compile(r"\[[A-Z][A-Z0-9_]{2,}(?::[0-9a-f]+)?\]|<[A-Z][A-Z0-9_]{2,}>|\*{3}")
# The way of a text is the cheapest that explains what arrived. Where two ways explain it equally,
# the one counts that leaks less.
LEFT_INSIDE, GAP, MORE = 0.01, 1.0, 0.9
GONE_UNDER_TAG, GONE_WITHOUT_TAG = 0.02, 0.05
# Larger ones are not what a text of these sizes can come to.
CELLS_MAX = 4_000_000
FOREVER = float("inf")


@dataclasses.dataclass(frozen=True)
class Text:
    """`spans` are (start, end, type) in characters."""

    text: str
    spans: tuple

    def inside(self):
        """For each character whether it belongs to a value."""
        marks = bytearray(len(self.text))
        for start, end, _ in self.spans:
            marks[start:end] = b"\1" * (end - start)
        return marks


def texts_of(path, count):
    lines = pathlib.Path(path).read_text().splitlines()
    rows = [json.loads(line) for line in lines[:count]]
    return [
        Text(row["text"], tuple((s["start"], s["end"], s["type"]) for s in row["spans"]))
        for row in rows
    ]


def long_keys(count, seed):
    """Answers that say a key of more than a hundred characters between innocent words."""
    choose = random.Random(seed)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    made = []
    for _ in range(count):
        key = "sk-proj-" + "".join(choose.choices(letters, k=choose.randint(110, 180)))
        before = "Write to us about it. The key of the new project is "
        after = " and this is the end of the text, though more words follow here."
        span = (len(before), len(before) + len(key), "OPENAI_API_KEY")
        made.append(Text(before + key + after, (span,)))
    return made


def pieces(text, seed, longest=PIECE_CHARACTERS_MAX):
    """Random cuts, the same for the same seed."""
    choose = random.Random(seed)
    cuts, at = [], 0
    while at < len(text):
        end = at + choose.randint(1, longest)
        cuts.append(text[at:end])
        at = end
    return cuts


@dataclasses.dataclass
class Way:
    """What became of a text: `left` marks its characters that arrived; clean ones that did not are
    `swallowed`, or `overmasked` where a tag stands for them; `added` stood in no text."""

    left: bytearray
    swallowed: int = 0
    overmasked: int = 0
    added: int = 0


def way_of(text, arrived):
    """How `arrived` came out of a text."""
    known = set(TAG.findall(text.text))
    tokens, at = [], 0
    for tag in TAG.finditer(arrived):
        if tag.group() not in known:
            tokens += [*arrived[at : tag.start()], None]
            at = tag.end()
    tokens += arrived[at:]
    source, inside = text.text, text.inside()
    head = 0
    while head < min(len(source), len(tokens)) and source[head] == tokens[head]:
        head += 1
    tail = 0
    while tail < min(len(source), len(tokens)) - head and source[-1 - tail] == tokens[-1 - tail]:
        tail += 1
    way = Way(bytearray(len(source)))
    way.left[:head] = b"\1" * head
    way.left[len(source) - tail :] = b"\1" * tail
    middle = slice(head, len(source) - tail)
    steps = cheapest(source[middle], inside[middle], tokens[head : len(tokens) - tail])
    for what, index in steps:
        if what == "left":
            way.left[head + index] = 1
        elif what == "added":
            way.added += 1
        elif not inside[head + index]:
            if what == "under":
                way.overmasked += 1
            else:
                way.swallowed += 1
    return way


# States of the walk: between gaps, in a gap without a tag, in one whose tag is still to come, and
# in one whose tag has come.
EVEN, BARE, AWAITED, TAGGED = range(4)


def cheapest(source, inside, tokens):
    """The steps from the source to the tokens, as (what, index in the source): characters that are
    left, gone without a tag, gone under a tag, and added."""
    height, width = len(source), len(tokens)
    if height * width > CELLS_MAX:
        raise ValueError(f"a text of {height} characters came back as {width}, all different")
    cost = [[[FOREVER] * 4 for _ in range(width + 1)] for _ in range(height + 1)]
    back = [[[None] * 4 for _ in range(width + 1)] for _ in range(height + 1)]
    cost[0][0][EVEN] = 0.0

    def offer(i, j, state, price, came_from):
        if price < cost[i][j][state]:
            cost[i][j][state] = price
            back[i][j][state] = came_from

    for i in range(height + 1):
        for j in range(width + 1):
            here = cost[i][j]
            for state in (BARE, TAGGED):
                offer(i, j, EVEN, here[state], (i, j, state, None))
            if here[EVEN] < FOREVER:
                offer(i, j, BARE, here[EVEN] + GAP, (i, j, EVEN, None))
                offer(i, j, AWAITED, here[EVEN], (i, j, EVEN, None))
            if i < height and j < width and source[i] == tokens[j]:
                price = here[EVEN] + (LEFT_INSIDE if inside[i] else 0)
                offer(i + 1, j + 1, EVEN, price, (i, j, EVEN, "left"))
            for state in (BARE, AWAITED, TAGGED):
                if here[state] == FOREVER:
                    continue
                if i < height:
                    what = "gone" if state == BARE else "under"
                    clean = GONE_WITHOUT_TAG if state == BARE else GONE_UNDER_TAG
                    price = here[state] + (0 if inside[i] else clean)
                    offer(i + 1, j, state, price, (i, j, state, what))
                if j < width and tokens[j] is not None:
                    offer(i, j + 1, state, here[state] + MORE, (i, j, state, "added"))
                elif j < width and state != BARE:
                    offer(i, j + 1, TAGGED, here[state], (i, j, state, None))
    return walked(back, height, width)


def walked(back, height, width):
    i, j, state, steps = height, width, EVEN, []
    while (i, j, state) != (0, 0, EVEN):
        i_before, j_before, state_before, what = back[i][j][state]
        if what:
            steps.append((what, i_before))
        i, j, state = i_before, j_before, state_before
    return steps
