"""What is compared: nothing, LiteLLM with either of its guards, and Penstock, each in front of the
same model server."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from failures import Unavailable
from masks_environment import python
from masks_upstream import MODEL
from proxies import accepts, free_port, target, wait_for

BENCH = pathlib.Path(__file__).resolve().parent
# What LiteLLM brings for types of the texts.
PREBUILT = (
    "us_ssn",
    "email",
    "us_phone",
    "credit_card",
    "aws_access_key",
    "aws_secret_key",
    "github_token",
    "slack_token",
    "ipv4",
    "ipv6",
    "iban",
    "fr_nir",
    "fr_phone",
)
# What its users would write for those that it does not bring: the forms that vendors give their
# keys, as scanners for secrets have them.
OWN = {
    "OPENAI_API_KEY": r"\bsk-(?:proj-[A-Za-z0-9]{100,200}|\w{20}T3BlbkFJ\w{20})\b",
    "ANTHROPIC_API_KEY": r"\bsk-ant-api03-[A-Za-z0-9_-]{95}",
    "NPM_TOKEN": r"\bnpm_[A-Za-z0-9]{36}\b",
    "PYPI_TOKEN": r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,1000}",
    "HUGGINGFACE_TOKEN": r"\bhf_[A-Za-z0-9]{34}\b",
    "GITLAB_TOKEN": r"\bglpat-[A-Za-z0-9_-]{20}",
    "STRIPE_KEY": r"\b[sr]k_(?:test|live)_[A-Za-z0-9]{10,99}\b",
    "GCP_API_KEY": r"\bAIza[A-Za-z0-9_-]{35}",
    "JWT": r"\bey[A-Za-z0-9]{17,}\.ey[A-Za-z0-9_-]{17,}\.[A-Za-z0-9_-]{10,}",
    "MAC_ADDRESS": r"\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b",
    "PRIVATE_KEY": r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[\s\S]{64,}?KEY-----",
}
POLICY = """
kind: connection
name: bench
protocol: openai
endpoints: [{upstream}]
mask: bench
---
kind: mask
name: bench
detectors: [{detectors}]
patterns: [{{name: PROJECT_KEY, regex: "sk-proj-[A-Za-z0-9]{{100,200}}"}}]
action: replace
unreadable: refuse
---
kind: rule
name: bench-infers
effect: allow
subjects: [{{groups: [bench]}}]
operations: [infer.*, list]
"""


class Side:
    """A gateway that runs until the end of its `with`. `url` is the base of the API."""

    token = "none"

    def __init__(self, upstream):
        self.upstream, self.children = upstream, []
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="penstock-masks-"))

    def __enter__(self):
        try:
            self.url = self.begin()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        for child in reversed(self.children):
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        shutil.rmtree(self.work, ignore_errors=True)

    def start(self, name, command, **options):
        log = (self.work / f"{name}.log").open("ab")
        options.setdefault("stdout", log)
        child = subprocess.Popen(command, stderr=log, **options)
        self.children.append(child)
        return child

    def listening(self, name, command, port):
        child = self.start(name, command, env={**os.environ, **self.environment()})
        wait_for(lambda: accepts(port) or child.poll() is not None, f"{name} does not listen")
        if child.poll() is not None:
            raise Unavailable(f"{name} did not start: {self.log(name)}")

    def environment(self):
        return {}

    def log(self, name):
        return (self.work / f"{name}.log").read_text(errors="replace")[-3000:]


class Direct(Side):
    def begin(self):
        return self.upstream


class LiteLlm(Side):
    """Its proxy with one guard on answers."""

    def environment(self):
        # It asks nobody for prices, and reports to nobody.
        return {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}

    def begin(self):
        guard = {"mode": "post_call", "default_on": True, **self.guard()}
        model = {"model": f"openai/{MODEL}", "api_base": f"{self.upstream}/v1", "api_key": "none"}
        settings = {
            "model_list": [{"model_name": MODEL, "litellm_params": model}],
            "guardrails": [{"guardrail_name": "bench", "litellm_params": guard}],
        }
        path = self.work / "litellm.yaml"
        # JSON is YAML.
        path.write_text(json.dumps(settings))
        port = free_port()
        run = "from litellm import run_server; run_server()"
        command = [python(), "-c", run, "--config", str(path), "--host", "127.0.0.1"]
        self.listening("litellm", [*command, "--port", str(port)], port)
        return f"http://127.0.0.1:{port}"


class ContentFilter(LiteLlm):
    def guard(self):
        patterns = [
            {"pattern_type": "prebuilt", "pattern_name": name, "action": "MASK"}
            for name in PREBUILT
        ]
        patterns += [
            {"pattern_type": "regex", "name": name, "pattern": pattern, "action": "MASK"}
            for name, pattern in OWN.items()
        ]
        return {"guardrail": "litellm_content_filter", "patterns": patterns}


class Presidio(LiteLlm):
    """LiteLLM's other guard: Presidio's services, with its recognisers and no language model."""

    def guard(self):
        port = free_port()
        command = [python(), str(BENCH / "masks_presidio.py"), "serve", str(port)]
        self.listening("presidio", command, port)
        base = f"http://127.0.0.1:{port}"
        return {
            "guardrail": "presidio",
            "presidio_analyzer_api_base": base,
            "presidio_anonymizer_api_base": base,
            "apply_to_output": True,
        }


class Penstock(Side):
    """As people start it for themselves."""

    programs = target() / "release"
    detectors = '"*"'

    def begin(self):
        penstock = str(self.programs / "penstock")
        if not os.path.isfile(penstock):
            raise Unavailable(f"{penstock} is missing: cargo build --release")
        documents = self.work / "bench.yaml"
        documents.write_text(POLICY.format(upstream=self.upstream, detectors=self.detectors))
        state = str(self.work / "state")
        command = [penstock, "dev", "--state", state, "--listen", "127.0.0.1:0"]
        command += ["--json", "--apply", str(documents)]
        child = self.start("penstock", command, stdout=subprocess.PIPE)
        line = child.stdout.readline()
        if not line:
            raise Unavailable(f"penstock dev did not start: {self.log('penstock')}")
        who = ["--user", "bench", "--groups", "bench", "--ttl", "10h"]
        command = [penstock, "token", "--state", state, *who]
        self.token = subprocess.check_output(command, text=True).strip()
        return json.loads(line)["gateway"] + "/bench"


SIDES = {
    "direct": Direct,
    "penstock": Penstock,
    "litellm-content-filter": ContentFilter,
    "litellm-presidio": Presidio,
}
