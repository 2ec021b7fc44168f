"""The rows of the table that compare proxies under load."""

import sys

from access import hold, revoke
from failures import Invalid
from idle import idle
from masks import mask_sse
from proxies import Stage
from rounds import added, finish, median_of, medians, rounds, value_of, window
from swap import swap

CHAT = "/v1/chat/completions"
# Requests a second of the latency figures: far below what any of the proxies can carry.
FIXED_RATE = 2000
# New connections a second where each request makes its own.
HANDSHAKE_RATE = 300
MIB = 1 << 20
CPU_ANSWER = ("process", "cpu_us_per_answer")
CPU_EVENT = ("process", "cpu_us_per_event")
RSS = ("process", "rss_bytes")


def closed(options, *flags):
    return ["--closed", "--duration", options.seconds, *flags]


def figures_of(reports, names, path):
    return [{name: value_of(each[name], *path) for name in names} for each in reports]


def unary(options):
    """CPU time a request in a closed loop; what a proxy adds to latency at a fixed rate."""
    with Stage(["--bytes", "200"]) as stage:
        return requests_row(options, stage, {})


def tls_unary(options):
    """The same towards callers that come over TLS 1.3, on kept connections; beside it what a
    request costs that makes a full handshake first."""
    with Stage(["--bytes", "200"], tls=True) as stage:
        return requests_row(options, stage, handshakes(options, stage))


def requests_row(options, stage, details):
    busy = closed(options, "--connections", 32)
    names = stage.names()
    cpu, void = rounds(
        names, lambda n: window(stage, n, CHAT, busy), options.rounds, options.tell, CPU_ANSWER
    )
    details = {
        "void_rounds": void,
        "answers_per_second": medians(cpu, names, "requests", "answers_per_second"),
        "others_busy_share": medians(cpu, names, "others_busy_share"),
        "rss_bytes": medians(cpu, names, *RSS),
        "fixed_rate": at_fixed_rate(options, stage, names),
        **details,
    }
    return finish(figures_of(cpu, names, CPU_ANSWER), names, "CPU us/request", details)


def at_fixed_rate(options, stage, names):
    """What each proxy adds to the latency of the same round's direct requests, which go without
    TLS. A machine that is too busy for latencies can still tell CPU time: then the reason stands in
    their place."""
    load = ["--rate", FIXED_RATE, "--arrivals", "constant", "--connections", 32]
    load += ["--duration", options.seconds]
    p50 = ("latency_us", "p50")
    try:
        reports, void = rounds(
            [*names, "direct"],
            lambda n: window(stage, n, CHAT, load),
            options.rounds,
            options.tell,
            p50,
        )
    except Invalid as reason:
        print(f"no latencies: {reason}", file=sys.stderr)
        return {"refused": str(reason)}
    return {
        "requests_per_second": FIXED_RATE,
        "void_rounds": void,
        "direct_p50_us": median_of(reports, "direct", *p50),
        "added_p50_us": {n: added(reports, n, *p50) for n in names},
        "added_p99_us": {n: added(reports, n, "latency_us", "p99") for n in names},
        "cpu_us": medians(reports, names, *CPU_ANSWER),
    }


def handshakes(options, stage):
    """A note, not a figure of the row: CPU time of a request with a handshake of its own."""
    load = ["--rate", HANDSHAKE_RATE, "--no-keep-alive", "--duration", options.seconds]
    names = stage.names()
    try:
        reports, _ = rounds(
            names,
            lambda n: window(stage, n, CHAT, load),
            min(options.rounds, 3),
            options.tell,
            CPU_ANSWER,
        )
    except Invalid as reason:
        print(f"no handshakes: {reason}", file=sys.stderr)
        return {"handshake": {"refused": str(reason)}}
    cpu = medians(reports, names, *CPU_ANSWER)
    # Of one processor, if it did nothing else.
    rate = {name: round(1e6 / us) for name, us in cpu.items()}
    agreed = {name: sorted(reports[0][name]["tls"]) for name in names}
    return {"handshake": {"cpu_us": cpu, "per_second_and_core": rate, "agreed": agreed}}


def sse(streams, gap_ms):
    def row(options):
        flags = closed(options, "--stream", "--connections", streams, "--warm-up", 2)
        upstream = ["--events", "1000000", "--gap-ms", str(gap_ms), "--bytes", "20"]
        expected = streams * 1000 / gap_ms
        with Stage(upstream) as stage:
            names = stage.names()
            reports, void = rounds(
                [*names, "direct"],
                lambda n: window(stage, n, CHAT, flags, expected),
                options.rounds,
                options.tell,
                CPU_EVENT,
            )
        everybody = [*names, "direct"]
        details = {
            "void_rounds": void,
            "events_per_read": medians(reports, everybody, "events", "per_read"),
            "events_per_second": medians(reports, everybody, "events", "per_second"),
            "others_busy_share": medians(reports, everybody, "others_busy_share"),
            "rss_bytes": medians(reports, names, *RSS),
            "added_gap_p50_us": {n: added(reports, n, "gap_us", "p50") for n in names},
            "added_gap_p99_us": {n: added(reports, n, "gap_us", "p99") for n in names},
            "load_cpu_share": medians(reports, names, "own_cpu_share"),
        }
        return finish(figures_of(reports, names, CPU_EVENT), names, "CPU us/event", details)

    return row


def body(options):
    """CPU time to carry one MiB up, and one down: the figure is the sum."""
    parts, voids, everybody = {}, 0, None
    for part, upstream, flags in [
        ("up", ["--bytes", "200"], ["--body-bytes", MIB]),
        ("down", ["--bytes", str(MIB)], []),
    ]:
        load = closed(options, "--connections", 8, *flags)
        with Stage(upstream) as stage:
            everybody = stage.names()
            parts[part], void = rounds(
                everybody,
                lambda n: window(stage, n, CHAT, load),
                options.rounds,
                options.tell,
                CPU_ANSWER,
            )
        voids += void
    up, down = (figures_of(parts[part], everybody, CPU_ANSWER) for part in ("up", "down"))
    figures = [{n: first[n] + second[n] for n in everybody} for first, second in zip(up, down)]
    details = {
        "void_rounds": voids,
        "up": medians(parts["up"], everybody, *CPU_ANSWER),
        "down": medians(parts["down"], everybody, *CPU_ANSWER),
        "rss_bytes": medians(parts["up"], everybody, *RSS),
    }
    return finish(figures, everybody, "CPU us/(MiB up + MiB down)", details)


ROWS = {
    "unary": unary,
    "sse": sse(256, 10),
    # Two thousand streams at a pace that one processor can produce and read.
    "sse-many": sse(2048, 100),
    "body-1mib": body,
    "tls-unary": tls_unary,
    "idle": idle,
    "swap": swap,
    "hold": hold,
    "revoke": revoke,
    "mask-sse": mask_sse,
}
