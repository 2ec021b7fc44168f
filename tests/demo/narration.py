"""What the tour says, and what it keeps of each step for a report."""

import json
import os
import sys
import textwrap
import time

WIDTH = 96


class StepFailed(Exception):
    """Something was not as it should be; the message says what was expected and what was seen."""


def expect(holds, wanted, seen):
    if not holds:
        raise StepFailed(f"expected {wanted}, but saw: {seen}")


class Narrator:
    """Prints the tour as it goes, and remembers each step."""

    def __init__(self):
        self.steps = []
        self.bold, self.plain = ("\033[1m", "\033[0m") if colours() else ("", "")

    def heading(self, text):
        print(f"\n{self.bold}{text}{self.plain}", flush=True)

    def say(self, text):
        """What happens, for people: wrapped."""
        for line in textwrap.wrap(" ".join(text.split()), WIDTH - 2):
            print(f"  {line}", flush=True)

    def seen(self, text):
        """What was seen, as it was."""
        for line in str(text).splitlines():
            print(f"    | {line}", flush=True)

    def step(self, name, title, action):
        """Runs one step of the tour. A step that fails ends it."""
        self.heading(f"{len(self.steps) + 1}. {title}")
        record = {"name": name, "ok": False, "seen": {}}
        self.steps.append(record)
        started = time.monotonic()
        try:
            record["seen"] = action() or {}
            record["ok"] = True
        except StepFailed as failure:
            record["error"] = str(failure)
            raise
        except Exception as error:
            record["error"] = f"{type(error).__name__}: {error}"
            raise StepFailed(record["error"]) from error
        finally:
            record["seconds"] = round(time.monotonic() - started, 3)

    def wait(self, what, action):
        """A wait that people should know of: says what for, then how long it took."""
        print(f"  {what} …", end="", flush=True)
        started = time.monotonic()
        try:
            result = action()
        except BaseException:
            print(" failed", flush=True)
            raise
        print(f" {time.monotonic() - started:.1f} s", flush=True)
        return result

    def report(self, path, **more):
        with open(path, "w") as file:
            json.dump({"steps": self.steps, **more}, file, indent=2)
            file.write("\n")


def colours():
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def table(rows):
    """Rows of cells as aligned text; numbers to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[index]) for row in cells) for index in range(len(cells[0]))]
    numeric = [all(row[index].isdigit() for row in cells[1:]) for index in range(len(widths))]

    def aligned(row):
        parts = zip(row, widths, numeric)
        return "  ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in parts).rstrip()

    return "\n".join(aligned(row) for row in cells)
