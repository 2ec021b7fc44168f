"""The row `idle`: resident memory of a connection on which nothing happens."""

import pathlib
import resource

from failures import Unavailable
from proxies import Stage
from asking import ask, connect
from rounds import finish

MODELS = "/v1/models"
# Fewer where a process may not open two descriptors for each: a proxy keeps one free for the
# upstream.
CONNECTIONS_MAX = 10_000
DESCRIPTORS_BESIDE = 1_000
# Opened before the first look, so that what the first connections bring along is not counted.
FIRST = 100
# Memory that was once taken is kept: each repetition needs new processes, and has little spread.
REPEATS_MAX = 3


def idle(options):
    """Resident memory that an idle connection costs, after one request on it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(CONNECTIONS_MAX, (hard - DESCRIPTORS_BESIDE) // 2)
    if count < 2 * FIRST:
        raise Unavailable(f"the limit of descriptors is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    figures, resident_bytes = [], []
    for repeat in range(min(options.rounds, REPEATS_MAX)):
        with Stage(["--bytes", "200"]) as stage:
            found = {name: idle_bytes(stage, name, count) for name in stage.names()}
        figures.append({name: each for name, (each, _) in found.items()})
        resident_bytes.append({name: all_of_it for name, (_, all_of_it) in found.items()})
        options.tell(repeat, figures[-1])
    details = {"connections": count, "rss_bytes": resident_bytes[-1]}
    return finish(figures, list(figures[0]), "bytes/idle connection", details)


def idle_bytes(stage, name, count):
    """What one more connection takes, and what the process holds with all of them."""
    base, process = stage.proxies[name]
    token = stage.token_file.read_text()
    opened = []

    def open_until(number):
        while len(opened) < number:
            opened.append(connect(base))
            if ask(opened[-1], base + MODELS, token) != 200:
                raise Unavailable(f"{name} did not answer 200")
        return resident(process)

    try:
        before, after = open_until(FIRST), open_until(count)
        # A proxy that closed some of them would look thrifty.
        if ask(opened[0], base + MODELS, token) != 200:
            raise Unavailable(f"{name} did not keep the first connection")
        return (after - before) / (count - FIRST), after
    except OSError as error:
        raise Unavailable(f"{name} did not keep {len(opened)} connections: {error}") from error
    finally:
        for connection in opened:
            connection.close()


def resident(process):
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024
