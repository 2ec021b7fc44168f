"""What is compared: nothing, LiteLLM with either of its guards, and Penstock, each in front of the
same model server."""

import json
import os
import pathlib
import tempfile

from masks_environment import python
from masks_upstream import MODEL
from processes import Processes, free_port

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
kind: connection
name: clear
protocol: openai
endpoints: [{upstream}]
---
kind: mask
name: bench
detectors: [{detectors}]
{patterns}
action: replace
unreadable: refuse
---
kind: rule
name: bench-infers
effect: allow
subjects: [{{groups: [bench]}}]
operations: [infer.*, list]
"""


class Side(Processes):
    """A gateway that runs until the end of its `with`. `url` is the base of the API."""

    token = "none"
    # The folder of Penstock's programs, if they are not those of `cargo build --release`.
    folder = None

    def __init__(self, upstream):
        super().__init__(pathlib.Path(tempfile.mkdtemp(prefix="penstock-masks-")), self.folder)
        self.upstream = upstream

    def __enter__(self):
        try:
            self.url = self.begin()
        except BaseException:
            self.end()
            raise
        return self


class Direct(Side):
    def begin(self):
        return self.upstream


class LiteLlm(Side):
    """Its proxy with one guard on answers."""

    # It asks nobody for prices, and reports to nobody.
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}

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
        self.run("litellm", [*command, "--port", str(port)], port)
        return f"http://127.0.0.1:{port}"

    def run(self, name, command, port):
        child = self.launch(command, name, env={**os.environ, **self.environment})
        self.listening(child, name, port)


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
        self.run("presidio", command, port)
        base = f"http://127.0.0.1:{port}"
        return {
            "guardrail": "presidio",
            "presidio_analyzer_api_base": base,
            "presidio_anonymizer_api_base": base,
            "apply_to_output": True,
        }


class Penstock(Side):
    """As people start it for themselves. `clear` is the base of the same model without a mask."""

    detectors = '"*"'
    # A line of the mask's document.
    patterns = 'patterns: [{name: PROJECT_KEY, regex: "sk-proj-[A-Za-z0-9]{100,200}"}]'

    def begin(self):
        mask = {"detectors": self.detectors, "patterns": self.patterns}
        self.launch_dev(POLICY.format(upstream=self.upstream, **mask))
        self.token = self.issued("--user", "bench", "--groups", "bench")
        self.clear = self.dev["gateway"] + "/clear"
        return self.dev["gateway"] + "/bench"


SIDES = {
    "direct": Direct,
    "penstock": Penstock,
    "litellm-content-filter": ContentFilter,
    "litellm-presidio": Presidio,
}
