"""The row `swap`: from a change of the policy to its enforcement on every core, under load."""

import concurrent.futures
import json
import statistics
import time
import urllib.request

from failures import Invalid, Unavailable
from proxies import Stage
from asking import Kept
from rounds import finish, window

CHAT = "/v1/chat/completions"
MODELS = "/v1/models"
# Connections that see the change: enough to be on every core.
PROBES = 16
CHANGES_MIN = 20
RATE = 500
PATIENCE_S = 30


def swap(options):
    """From the call that changes the policy to the last core's word that it is in force, while
    other requests go through and none of them may fail. After that word each of the probes' kept
    connections must be answered by the new policy at once."""
    changes = max(CHANGES_MIN, options.rounds * 4)
    with Stage(["--bytes", "200"], peers=(), pinned=False) as stage:
        base = stage.proxies["penstock"][0]
        control = ControlPlane(stage)
        control.publish(True)
        probes = Kept(base + MODELS, stage.issued("--user", "probe", "--groups", "probes"), PROBES)
        probes.until_all(200)
        load = ["--rate", RATE, "--warm-up", 1, "--duration", 2 + changes * 0.2]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            beside = pool.submit(window, stage, "penstock", CHAT, load)
            times_ms, stale = [], 0
            for change in range(changes):
                time.sleep(0.05)
                allowed = change % 2 == 1
                times_ms.append(control.enforced_ms(allowed))
                expected = 200 if allowed else 404
                stale += sum(status != expected for status in probes.statuses())
            report, _ = beside.result()
        probes.close()
    requests = report["requests"]
    # Late or not: what counts here is that every one of them was answered.
    if requests["failed"] or requests["completed"] != requests["scheduled"]:
        raise Invalid(f"requests were dropped during the changes: {requests}")
    if stale:
        raise Invalid(f"{stale} answers came by the old policy after the cores' word")
    details = {
        "p50_ms": round(statistics.median(times_ms), 2),
        "p99_ms": round(statistics.quantiles(times_ms, n=100, method="inclusive")[98], 2),
        "max_ms": round(max(times_ms), 2),
        "requests_beside": requests["completed"],
        "requests_failed": requests["failed"],
    }
    figures = [{"penstock": value} for value in times_ms]
    return finish(figures, ["penstock"], "ms from publishing to enforcement", details)


class ControlPlane:
    """Its API, as an administrator's program uses it."""

    def __init__(self, stage):
        self.api = stage.dev["api"]
        self.token = stage.issued("--user", "dev-administrator", "--audience", "penstock-api")
        self.policy = (stage.work / "bench.yaml").read_text()

    def call(self, path, body=None):
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        data = body and json.dumps(body).encode()
        request = urllib.request.Request(self.api + path, data, headers)
        return json.load(urllib.request.urlopen(request, timeout=PATIENCE_S))

    def publish(self, allowed):
        """Publishes the policy with or without the probes' rule; returns its version."""
        groups = "[probes]" if allowed else "[nobody]"
        rule = f"kind: rule\nname: probes\neffect: allow\nsubjects: [{{groups: {groups}}}]\n"
        text = f"{self.policy}---\n{rule}operations: [list]\n"
        sources = [{"name": "bench.yaml", "text": text}]
        return self.call("/api/v1/documents/apply", {"sources": sources})["version"]

    def enforced_ms(self, allowed):
        began = time.monotonic()
        version = self.publish(allowed)
        while not self.is_enforced(version):
            if time.monotonic() > began + PATIENCE_S:
                raise Unavailable(f"the policy was not enforced within {PATIENCE_S} s")
            time.sleep(0.0005)
        return (time.monotonic() - began) * 1000

    def is_enforced(self, version):
        cores = [core for node in self.call("/api/v1/nodes") for core in node["cores"]]
        return bool(cores) and all(core["version"] >= version for core in cores)
