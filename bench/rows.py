"""The rows of the table that compare proxies under load."""

import concurrent.futures
import json
import pathlib
import resource
import socket
import statistics
import sys
import tempfile
import time
import urllib.request

from proxies import Stage, Unavailable
from rounds import added, median_of, medians, paired, rounds, window

CHAT = "/v1/chat/completions"
MODELS = "/v1/models"
# Requests a second of the latency figures: far below what any of the proxies can carry.
FIXED_RATE = 2000
IDLE_CONNECTIONS = 9000


def work_folder():
    """In memory where there is such a place, so that no disk is measured."""
    parent = "/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None
    return pathlib.Path(tempfile.mkdtemp(prefix="penstock-bench-", dir=parent))


def closed(options, *flags):
    return ["--closed", "--duration", options.seconds, *flags]


def finish(figures, names, unit, details):
    peers = [name for name in names if name != "penstock"]
    result, interval = paired(figures, peers)
    return {"unit": unit, **result, "details": {"ratio_interval": interval, **details}}


def unary(options):
    """CPU time a request in a closed loop; what a proxy adds to latency at a fixed rate."""
    busy = closed(options, "--connections", 32)
    paced = ["--rate", FIXED_RATE, "--arrivals", "constant", "--connections", 32]
    paced += ["--duration", options.seconds]
    with Stage(work_folder(), ["--bytes", "200"]) as stage:
        names = stage.names()
        cpu, void = rounds(stage, names, lambda n: window(stage, n, CHAT, busy), options.rounds)
        latency = at_fixed_rate(stage, names, paced, options.rounds)
    figures = [{n: each[n]["process"]["cpu_us_per_answer"] for n in names} for each in cpu]
    details = {
        "void_rounds": void,
        "answers_per_second": medians(cpu, names, "requests", "answers_per_second"),
        "rss_bytes": {n: median_of(cpu, n, "process", "rss_bytes") for n in names},
        "fixed_rate": latency,
    }
    return finish(figures, names, "CPU us/request", details)


def at_fixed_rate(stage, names, load, count):
    """What each proxy adds to the latency of the same round's direct requests. A machine that is
    too busy for latencies can still tell CPU time: then the reason stands in their place."""
    try:
        reports, void = rounds(
            stage, [*names, "direct"], lambda n: window(stage, n, CHAT, load), count
        )
    except Unavailable as reason:
        print(f"no latencies: {reason}", file=sys.stderr)
        return {"refused": str(reason)}
    return {
        "requests_per_second": FIXED_RATE,
        "void_rounds": void,
        "added_p50_us": {n: added(reports, n, "latency_us", "p50") for n in names},
        "added_p99_us": {n: added(reports, n, "latency_us", "p99") for n in names},
        "cpu_us": {n: median_of(reports, n, "process", "cpu_us_per_answer") for n in names},
    }


def sse(streams, gap_ms):
    def row(options):
        flags = closed(options, "--stream", "--connections", streams, "--warm-up", 2)
        upstream = ["--events", "1000000", "--gap-ms", str(gap_ms), "--bytes", "20"]
        expected = streams * 1000 / gap_ms
        with Stage(work_folder(), upstream) as stage:
            names = stage.names()
            reports, void = rounds(
                stage,
                [*names, "direct"],
                lambda n: window(stage, n, CHAT, flags, expected),
                options.rounds,
            )
        figures = [{n: each[n]["process"]["cpu_us_per_event"] for n in names} for each in reports]
        details = {
            "void_rounds": void,
            "events_per_read": medians(reports, [*names, "direct"], "events", "per_read"),
            "rss_bytes": {n: median_of(reports, n, "process", "rss_bytes") for n in names},
            "added_gap_p99_us": {n: added(reports, n, "gap_us", "p99") for n in names},
            "load_cpu_share": {n: median_of(reports, n, "own_cpu_share") for n in names},
        }
        return finish(figures, names, "CPU us/event", details)

    return row


def body(options):
    """CPU time to carry one MiB up, and one down: the figure is the sum."""
    mib = 1 << 20
    parts = {}
    for part, upstream, flags in [
        ("up", ["--bytes", "200"], ["--body-bytes", mib]),
        ("down", ["--bytes", str(mib)], []),
    ]:
        load = closed(options, "--connections", 8, *flags)
        with Stage(work_folder(), upstream) as stage:
            names = stage.names()
            parts[part], void = rounds(
                stage, names, lambda n: window(stage, n, CHAT, load), options.rounds
            )
            parts[part + "_void"] = void
    cpu = ("process", "cpu_us_per_answer")
    figures = [
        {n: up[n][cpu[0]][cpu[1]] + down[n][cpu[0]][cpu[1]] for n in names}
        for up, down in zip(parts["up"], parts["down"])
    ]
    details = {
        "void_rounds": parts["up_void"] + parts["down_void"],
        "up": {n: median_of(parts["up"], n, *cpu) for n in names},
        "down": {n: median_of(parts["down"], n, *cpu) for n in names},
        "rss_bytes": {n: median_of(parts["up"], n, "process", "rss_bytes") for n in names},
    }
    return finish(figures, names, "CPU us/(MiB up + MiB down)", details)


def resident(process):
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def ask(connection, url, token):
    """One request on a connection that stays open; its status."""
    authority, path = url.removeprefix("http://").split("/", 1)
    head = f"GET /{path} HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {token}\r\n\r\n"
    connection.sendall(head.encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        read = connection.recv(65536)
        if not read:
            raise Unavailable(f"{authority} closed a connection")
        answer += read
    head, body = answer.split(b"\r\n\r\n", 1)
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    missing = int(fields[b"content-length"]) - len(body)
    while missing > 0:
        missing -= len(connection.recv(missing))
    return int(head.split()[1])


def connect(url):
    host, port = url.removeprefix("http://").split("/")[0].rsplit(":", 1)
    connection = socket.create_connection((host, int(port)), 30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def idle(options):
    """Resident memory that an idle connection costs, after one request on it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * IDLE_CONNECTIONS:
        raise Unavailable(f"the limit of descriptors is {hard}, below {2 * IDLE_CONNECTIONS}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    figures = []
    for _ in range(min(options.rounds, 3)):
        # Memory that was once taken is kept: each repetition needs new processes.
        with Stage(work_folder(), ["--bytes", "200"]) as stage:
            token = stage.token_file.read_text()
            figures.append({name: idle_bytes(stage, name, token) for name in stage.names()})
    details = {"connections": IDLE_CONNECTIONS}
    return finish(figures, list(figures[0]), "bytes/idle connection", details)


def idle_bytes(stage, name, token):
    base, process = stage.proxies[name]
    opened = []

    def open_one():
        opened.append(connect(base))
        if ask(opened[-1], base + MODELS, token) != 200:
            raise Unavailable(f"{name} did not answer 200")

    try:
        for _ in range(100):
            open_one()
        before = resident(process)
        for _ in range(IDLE_CONNECTIONS - 100):
            open_one()
        return (resident(process) - before) / (IDLE_CONNECTIONS - 100)
    finally:
        for connection in opened:
            connection.close()


def swap(options):
    """From the call that changes the policy to the last of 16 connections on which it holds, while
    other requests go through and none of them may fail."""
    probes = 16
    with Stage(work_folder(), ["--bytes", "200"], peers=(), pinned=False) as stage:
        base = stage.proxies["penstock"][0]
        token = stage.token("--user", "probe", "--groups", "probes")
        publish = publisher(stage)
        publish(True)
        connections = [connect(base) for _ in range(probes)]
        until_all(connections, base + MODELS, token, 200)
        changes = max(10, options.rounds * 4)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            load = pool.submit(
                window, stage, "penstock", CHAT, ["--rate", 500, "--duration", 2 + changes * 0.15]
            )
            times_ms = []
            for change in range(changes):
                allowed = change % 2 == 1
                time.sleep(0.05)
                began = time.monotonic()
                publish(allowed)
                until_all(connections, base + MODELS, token, 200 if allowed else 404)
                times_ms.append((time.monotonic() - began) * 1000)
            report, _ = load.result()
    requests = report["requests"]
    # Late or not: what counts here is that every one of them was answered.
    if requests["failed"] or requests["completed"] != requests["scheduled"]:
        raise Unavailable(f"requests were dropped during the changes: {requests}")
    figures = [{"penstock": value} for value in times_ms]
    details = {
        "p99_ms": round(statistics.quantiles(times_ms, n=100, method="inclusive")[98], 2),
        "max_ms": round(max(times_ms), 2),
        "requests_beside": requests["completed"],
        "requests_dropped": requests["failed"],
    }
    return finish(figures, ["penstock"], "ms from publishing to enforcement", details)


def publisher(stage):
    """Publishes the policy with or without the probes' rule, through the control plane's API."""
    token = stage.token("--user", "dev-administrator", "--audience", "penstock-api")
    policy = (stage.work / "bench.yaml").read_text()

    def publish(allowed):
        groups = "[probes]" if allowed else "[nobody]"
        rule = f"kind: rule\nname: probes\neffect: allow\nsubjects: [{{groups: {groups}}}]\n"
        text = f"{policy}---\n{rule}operations: [list]\n"
        request = urllib.request.Request(
            stage.dev["api"] + "/api/v1/documents/apply",
            json.dumps({"sources": [{"name": "bench.yaml", "text": text}]}).encode(),
            {"authorization": f"Bearer {token}", "content-type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=30).read()

    return publish


def until_all(connections, url, token, status):
    """Asks on every connection until each has answered with the status. A refusal may have closed
    one: then it is opened anew."""
    end = time.monotonic() + 30
    for index in range(len(connections)):
        seen = None
        while seen != status:
            if time.monotonic() > end:
                raise Unavailable(f"the policy was not enforced within 30 s: no {status}")
            try:
                seen = ask(connections[index], url, token)
            except (Unavailable, ConnectionError):
                connections[index].close()
                connections[index] = connect(url)


ROWS = {
    "unary": unary,
    "sse": sse(256, 10),
    # Two thousand streams at a pace that one processor can produce and read.
    "sse-many": sse(2048, 100),
    "body-1mib": body,
    "idle": idle,
    "swap": swap,
}
