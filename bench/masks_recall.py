#!/usr/bin/env python3
"""Recall and precision of each detector on labelled texts that stream through a gateway.

`bench/masks_recall.py [--detectors LIST] [--seed N] [--programs FOLDER] [--json FILE]`

A scripted model server says each text in random pieces, and its bytes go out in random cuts; the
gateway masks with every detector. What arrived is laid over the text again. A value is found where
one tag of its type covers all of it, and hidden where tags of whatever type do. A tag is wrong
where it touches no value of its type. Presidio reads the same texts, whole. Exits 1 where a type
that both have is found less often than by Presidio.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import http.client
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

from failures import Unavailable
from masks_asking import Refused, ask, ready
from masks_environment import python
from masks_laid import Unlike, laid_over
from masks_sides import Penstock
from masks_text import TEXTS, texts_of
from masks_upstream import Upstream

BENCH = pathlib.Path(__file__).resolve().parent
# Characters of the longest delta.
PIECE_CHARACTERS_MAX = 12
AT_ONCE = 8
# For all of a run's texts; a debug build needs a tenth of it.
PATIENCE_S = 900
# Tags that say the same under another name.
SAME = {("DATABASE_URL", "PASSWORD"), ("URL_CREDENTIALS", "PASSWORD")}


def says(found, labelled):
    return found == labelled or (found, labelled) in SAME


@dataclasses.dataclass
class Score:
    """Counts of one type."""

    values: int = 0
    found: int = 0
    hidden: int = 0
    results: int = 0
    # Of the results: those that touch no value, and those that touch only values of other types.
    wrong: int = 0
    others: int = 0

    @property
    def recall(self):
        return self.found / self.values if self.values else None

    @property
    def precision(self):
        return 1 - (self.wrong + self.others) / self.results if self.results else None


def scores_of(texts, results):
    """The score of each type; `results` has (start, end, type) for each text."""
    scores = collections.defaultdict(Score)
    for text, runs in zip(texts, results):
        covered = bytearray(len(text.text))
        for start, end, _ in runs:
            covered[start:end] = b"\1" * (end - start)
        for start, end, kind in text.spans:
            score = scores[kind]
            score.values += 1
            score.hidden += all(covered[start:end])
            score.found += any(
                run[0] <= start and end <= run[1] and says(run[2], kind) for run in runs
            )
        for start, end, kind in runs:
            touched = [span[2] for span in text.spans if span[0] < end and start < span[1]]
            scores[kind].results += 1
            scores[kind].wrong += not touched
            scores[kind].others += bool(touched) and not any(says(kind, one) for one in touched)
    return scores


def through_the_gateway(options, texts):
    """What the gateway hid of each text; besides, what is to be told of the streams."""
    class Side(Penstock):
        folder, detectors, patterns = options.programs, options.detectors, ""

    upstream = Upstream(texts, options.seed, PIECE_CHARACTERS_MAX, torn=True)
    try:
        with Side(upstream.url) as side:
            ready(side)
            masked = streamed(side, len(texts))
    finally:
        upstream.end()
    results, doubtful = [], 0
    for number, (text, arrived) in enumerate(zip(texts, masked)):
        try:
            runs, is_the_only_way = laid_over(text, arrived)
        except Unlike as reason:
            raise Unavailable(f"text {number}: {reason}: {arrived}") from reason
        results.append(runs)
        doubtful += not is_the_only_way
    return results, {"cuts_in_characters": upstream.cuts_in_characters, "doubtful": doubtful}


def streamed(side, count):
    def one(number):
        return ask(side, number, stream=True)[0]

    deadline = time.monotonic() + PATIENCE_S
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [pool.submit(one, number) for number in range(count)]
        try:
            return [each.result(max(0, deadline - time.monotonic())) for each in asked]
        except TimeoutError as reason:
            raise Unavailable(f"not all streams ended within {PATIENCE_S} s") from reason
        except (Refused, OSError, http.client.HTTPException) as reason:
            raise Unavailable(f"a stream failed: {reason}") from reason
        finally:
            pool.shutdown(cancel_futures=True)


def by_presidio(texts):
    """All its results for each text, overlapping ones too."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "texts.json"
        path.write_text(json.dumps([text.text for text in texts]))
        command = [python(), str(BENCH / "masks_presidio.py"), "find", str(path)]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S)
        except subprocess.TimeoutExpired as reason:
            raise Unavailable(f"Presidio did not end within {PATIENCE_S} s") from reason
    if done.returncode != 0:
        raise Unavailable("Presidio did not run")
    return [[tuple(one) for one in results] for results in json.loads(done.stdout)]


def measured(options):
    texts = texts_of(options.texts, options.count)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        other = pool.submit(by_presidio, texts)
        results, streams = through_the_gateway(options, texts)
        presidio = scores_of(texts, other.result())
    return texts, scores_of(texts, results), presidio, streams


def both(ours, theirs):
    """Types that both have: those of which Presidio has results."""
    return [kind for kind, score in sorted(ours.items()) if score.values and theirs[kind].results]


def below(ours, theirs):
    return [kind for kind in both(ours, theirs) if ours[kind].found < theirs[kind].found]


def share(part):
    return "-" if part is None else f"{part:.3f}"


def table(ours, theirs):
    titles = ["type", "values", "recall", "precision", "Presidio: recall", "precision"]
    titles += ["hidden", "wrong: on no value", "on another type's"]
    lines = ["| " + " | ".join(titles) + " |", "|---|" + "---:|" * (len(titles) - 1)]
    shared = both(ours, theirs)
    labelled = [kind for kind, score in ours.items() if score.values]
    single = [kind for kind in labelled if kind not in shared]
    for kinds, name in ((shared, "types that both have"), (single, "types of Penstock alone")):
        for kind in sorted(kinds, key=lambda kind: (-ours[kind].values, kind)):
            lines.append(line(f"`{kind}`", ours[kind], theirs[kind]))
        if kinds:
            sums = (total(scores[kind] for kind in kinds) for scores in (ours, theirs))
            lines.append(line(f"{len(kinds)} {name}", *sums))
    return "\n".join(lines) + "\n"


def line(name, score, peer):
    cells = [name, score.values, share(score.recall), share(score.precision)]
    cells += [share(peer.recall if peer.results else None), share(peer.precision)]
    cells += [score.hidden, score.wrong, score.others]
    return "| " + " | ".join(map(str, cells)) + " |"


def total(scores):
    sums = collections.Counter()
    for score in scores:
        sums.update(dataclasses.asdict(score))
    return Score(**sums)


def notes(texts, ours, streams, options):
    other = {kind: score for kind, score in ours.items() if not score.values}
    few = sorted(other.items(), key=lambda item: -item[1].results)
    named = ", ".join(f"{kind} {score.wrong} + {score.others}" for kind, score in few)
    values = sum(score.values for score in ours.values())
    hidden = sum(score.hidden for score in ours.values())
    return (
        f"{len(texts)} texts, seed {options.seed}, detectors {options.detectors}: {hidden} of "
        f"{values} values are hidden whole. Of types that no text is labelled with, tags on no "
        f"value + on values of other types: {named or 'none'}. {streams['cuts_in_characters']} "
        f"cuts fell within a character; {streams['doubtful']} texts can be laid over in more than "
        "one way, and the one that agrees most with the labels counts.\n"
    )


def mask_recall(options):
    """A row of `bench/run`: of the values of types that both have, the share that is not found."""
    options = parsed([])
    _, ours, theirs, streams = measured(options)
    print(table(ours, theirs), file=sys.stderr)
    shared = both(ours, theirs)
    if not shared:
        raise Unavailable("Presidio found nothing")
    values = sum(ours[kind].values for kind in shared)

    def missed(scores):
        return round(100 * (1 - sum(scores[kind].found for kind in shared) / values), 3)

    low = below(ours, theirs)
    return {
        **({"failed": f"found less often than by Presidio: {', '.join(low)}"} if low else {}),
        "unit": "% of values not found",
        "penstock": missed(ours),
        "peers": {"presidio": missed(theirs)},
        "ratio_best": round(missed(ours) / missed(theirs), 4) if missed(theirs) else None,
        "repeats": 1,
        "spread": 0.0,
        "command": shlex.join(["bench/masks_recall.py", "--seed", str(options.seed)]),
        "details": {**figures(ours, theirs), **streams},
    }


def figures(ours, theirs):
    sides = {"penstock": ours, "presidio": theirs}
    return {
        name: {kind: dataclasses.asdict(score) for kind, score in sorted(scores.items())}
        for name, scores in sides.items()
    }


def parsed(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", default=str(TEXTS), help="labelled texts, JSON lines")
    parser.add_argument("--count", type=int, default=1000, help="how many of them")
    parser.add_argument("--seed", type=int, default=1, help="of the pieces and cuts")
    parser.add_argument("--detectors", default='"*"', help="as in a mask's document [default: all]")
    parser.add_argument(
        "--programs", type=pathlib.Path, help="folder of penstock [default: target/release]"
    )
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all counts there")
    return parser.parse_args(arguments)


def main(arguments):
    options = parsed(arguments)
    print(f"seed {options.seed}", file=sys.stderr, flush=True)
    try:
        texts, ours, theirs, streams = measured(options)
    except Unavailable as reason:
        print(f"error: {reason}", file=sys.stderr)
        return 1
    print(f"{table(ours, theirs)}\n{notes(texts, ours, streams, options)}", end="")
    if options.json:
        options.json.write_text(json.dumps({**figures(ours, theirs), **streams}, indent=2) + "\n")
    low = below(ours, theirs)
    if low:
        print(f"error: found less often than by Presidio: {', '.join(low)}", file=sys.stderr)
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
