"""The rows of just-in-time access: `hold`, what a held request costs and how soon it goes on, and
`revoke`, how soon a stream ends that nobody may read any more."""

import concurrent.futures
import json
import resource
import selectors
import statistics
import time
import urllib.request

from asking import connect
from failures import Invalid, Unavailable
from idle import resident
from proxies import Stage
from rounds import finish
from swap import ControlPlane

CHAT = "/v1/chat/completions"
PATIENCE_S = 120
# What is held at most; fewer where a process may not open two descriptors for each.
HOLDS_MAX = 10_000
DESCRIPTORS_BESIDE = 1_000
# Held before the first look, so that what the first ones bring along is not counted.
FIRST = 100
# One identity may ask for 120 at once, and for one a second after that.
IDENTITIES = 100
BODY_BYTES = 1_024
DECIDED = 1_000
# Approvals answered a second: what one lead's script might do.
ANSWERS_A_SECOND = 100
STREAMS = 1_000
# Readers that never read: what they do not take must not keep the others' streams open.
STALLED = 100

RULES = """
kind: rule
name: held-need-an-answer
effect: approve
subjects: [{groups: [held]}]
operations: [infer.chat]
approval:
  reviewers: [{groups: [leads]}]
  hold_ms_max: 600000
  grant: {minutes_max: 30, uses_max: 1}
---
kind: rule
name: readers-infer
effect: allow
subjects: [{groups: [readers]}]
operations: [infer.chat]
"""


class Api(ControlPlane):
    """The control plane's API, as its administrator and as somebody who leads."""

    def __init__(self, stage):
        super().__init__(stage)
        lead = ["--user", "lead", "--groups", "leads", "--audience", "penstock-api"]
        self.lead = stage.issued(*lead)
        self.operations = stage.dev["operations"]
        text = f"{self.policy}---\n{RULES}"
        self.enforce({"sources": [{"name": "bench.yaml", "text": text}]})

    def enforce(self, body):
        version = self.call("/api/v1/documents/apply", body)["version"]
        wait_for(lambda: self.is_enforced(version), "the policy is not enforced")

    def as_lead(self, path, body=None):
        mine, self.token = self.token, self.lead
        try:
            return self.call(path, body)
        finally:
            self.token = mine

    def metric(self, name):
        """The sum of a metric's samples."""
        text = urllib.request.urlopen(self.operations + "/metrics").read().decode()
        samples = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(name)]
        return sum(float(value) for series, value in samples if series.split("{")[0] == name)


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise Unavailable(what)
        time.sleep(0.02)


def request(url, token, number):
    """A chat request of 1 KB whose body no other has."""
    authority, path = url.removeprefix("http://").split("/", 1)
    message = {"role": "user", "content": f"{number} ".ljust(BODY_BYTES - 120, "x")}
    body = json.dumps({"model": "fixed", "stream": True, "messages": [message]}).encode()
    head = (
        f"POST /{path} HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def hold(options):
    """Resident memory of a held request; beside it, from an answer to the first byte of the model's
    reply, with a thousand of them held."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(HOLDS_MAX, (hard - DESCRIPTORS_BESIDE) // 2)
    figures, total_mb = [], []
    for repeat in range(min(options.rounds, 3)):
        bytes_each, total = held_bytes(count)
        figures.append({"penstock": bytes_each})
        total_mb.append(round(total / 1e6, 1))
        options.tell(repeat, figures[-1])
    waits_ms = answered_ms()
    details = {
        "holds": count,
        "body_bytes": BODY_BYTES,
        "all_holds_mb": statistics.median(total_mb),
        "answered": len(waits_ms),
        "answer_to_first_byte_p50_ms": round(statistics.median(waits_ms), 2),
        "answer_to_first_byte_p99_ms": round(p99(waits_ms), 2),
    }
    return finish(figures, ["penstock"], "bytes/held request", details)


def held_bytes(count):
    with Stage(["--bytes", "200"], peers=()) as stage:
        api, opened = Api(stage), []
        _, process = stage.proxies["penstock"]
        try:
            hold_until(stage, api, opened, FIRST)
            before = resident(process)
            hold_until(stage, api, opened, count)
            after = resident(process)
        finally:
            for connection in opened:
                connection.close()
    return (after - before) / (count - FIRST), after - before


def hold_until(stage, api, opened, count):
    """Opens connections with a request on each until that many are held."""
    base, _ = stage.proxies["penstock"]
    tokens = [stage.issued("--user", f"held-{n}", "--groups", "held") for n in range(IDENTITIES)]
    while len(opened) < count:
        number = len(opened)
        opened.append(connect(base))
        opened[-1].sendall(request(base + CHAT, tokens[number % IDENTITIES], number))
        if number % 100 == 99:
            wait_for(lambda: api.metric("penstock_holds_open") >= number - 400, "holds lag behind")
    wait_for(lambda: api.metric("penstock_holds_open") >= count, f"{count} are not held")


def answered_ms():
    """Each held request's wait from the call that approves it to its first byte."""
    with Stage(["--bytes", "200"], peers=(), pinned=False) as stage:
        api, opened = Api(stage), []
        try:
            hold_until(stage, api, opened, DECIDED)
            pending = f"/api/v1/approvals?state=pending&limit={DECIDED}"
            # A request is held before the control plane has heard of it.
            wait_for(lambda: len(api.as_lead(pending)) == DECIDED, "not all are asked about")
            rows = api.as_lead(pending)
            with concurrent.futures.ThreadPoolExecutor() as pool:
                arrivals = pool.submit(first_bytes, opened)
                answered = answer_all(api, [row["id"] for row in rows])
                arrived = arrivals.result(PATIENCE_S)
        finally:
            for connection in opened:
                connection.close()
    # Who was approved n-th is not known here, but nobody's first byte comes before its answer: the
    # sorted times give each wait or a longer one only where some overtook others.
    return [(came - went) * 1000 for came, went in zip(sorted(arrived), sorted(answered))]


def answer_all(api, ids):
    began, times = time.monotonic(), []
    for number, approval in enumerate(ids):
        time.sleep(max(0, began + number / ANSWERS_A_SECOND - time.monotonic()))
        times.append(time.monotonic())
        api.as_lead(f"/api/v1/approvals/{approval}/approve", {})
    return times


def first_bytes(connections):
    """When the first byte came on each."""

    def has_come(head):
        if not head.startswith(b"HTTP/1.1 200"):
            raise Invalid(f"a held request was answered {head!r}")
        return True

    return moments(connections, 64, has_come, "were answered")


def revoke(options):
    """From the call that revokes an identity to the end of each of its streams, stalled readers
    among them."""
    figures, details = [], {}
    for repeat in range(min(options.rounds, 3)):
        cuts_ms, all_ms = cuts()
        figures.append({"penstock": p99(cuts_ms)})
        details = {
            "streams": STREAMS,
            "stalled": STALLED,
            "p50_ms": round(statistics.median(cuts_ms), 1),
            "max_ms": round(max(cuts_ms), 1),
            "all_ended_ms": round(all_ms, 1),
        }
        options.tell(repeat, figures[-1])
    return finish(figures, ["penstock"], "ms, p99, from revoking to the cut", details)


def cuts():
    upstream = ["--events", "1000000", "--gap-ms", "20", "--bytes", "200"]
    with Stage(upstream, peers=(), pinned=False) as stage:
        api = Api(stage)
        base, _ = stage.proxies["penstock"]
        token = stage.issued("--user", "reader", "--groups", "readers")
        opened = []
        try:
            for number in range(STREAMS):
                opened.append(connect(base))
                opened[-1].sendall(request(base + CHAT, token, number))
            open_now = lambda: api.metric("penstock_exchange_open")
            wait_for(lambda: open_now() >= STREAMS, "the streams do not all run")
            with concurrent.futures.ThreadPoolExecutor() as pool:
                readers = pool.submit(ends, opened[STALLED:])
                time.sleep(2)
                revoked = time.monotonic()
                api.call("/api/v1/revocations", {"issuer": "dev", "subject": "reader"})
                wait_for(lambda: open_now() == 0, "streams go on")
                all_ms = (time.monotonic() - revoked) * 1000
                ended = readers.result(PATIENCE_S)
        finally:
            for connection in opened:
                connection.close()
    if min(ended) < revoked:
        raise Invalid("a stream ended before it was cut")
    return [(end - revoked) * 1000 for end in ended], all_ms


def ends(connections):
    """When each ended, reading all of it until then."""
    return moments(connections, 65536, lambda read: not read, "ended")


def moments(connections, most, has_come, what):
    """When `has_come` was true of what was read on each, which is nothing where it has ended."""
    found, selector = [], selectors.DefaultSelector()
    for connection in connections:
        selector.register(connection, selectors.EVENT_READ)
    limit = time.monotonic() + PATIENCE_S
    while len(found) < len(connections):
        for key, _ in selector.select(1):
            # Taken before the reading, which is none of what is measured.
            now = time.monotonic()
            try:
                read = key.fileobj.recv(most)
            except ConnectionError:
                read = b""
            if has_come(read):
                found.append(now)
                selector.unregister(key.fileobj)
        if time.monotonic() > limit:
            raise Unavailable(f"only {len(found)} of {len(connections)} {what}")
    return found


def p99(values):
    return statistics.quantiles(values, n=100, method="inclusive")[98]
