"""Programs that a script starts and ends: Penstock as people start it for themselves, and others."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import time

from building import REPOSITORY
from failures import Unavailable

PATIENCE_S = 60
ENDING_S = 20


def target():
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")).resolve()


def program(name, folder=None):
    """The path of a program of this repository."""
    path = (folder or target() / "release") / name
    if not path.is_file():
        raise Unavailable(f"{path} is missing: build it first")
    return str(path)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(condition, what, details=str):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise Unavailable(f"{what} {details()}")
        time.sleep(0.05)


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Processes:
    """What was started, with its logs in the folder `work`; all gone at the end of its `with`."""

    def __init__(self, work, programs=None):
        self.work, self.programs, self.children = work, programs, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Ends what was started, and nothing else; also in the middle of a start."""
        for child in reversed(self.children):
            child.terminate()
        for child in reversed(self.children):
            try:
                child.wait(ENDING_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        shutil.rmtree(self.work, ignore_errors=True)

    def launch(self, command, name=None, **options):
        with (self.work / f"{name or pathlib.Path(command[0]).name}.log").open("ab") as log:
            options.setdefault("stdout", log)
            child = subprocess.Popen(command, stderr=log, **options)
        self.children.append(child)
        return child

    def log(self, name):
        return (self.work / f"{name}.log").read_text(errors="replace")[-3000:]

    def listening(self, child, name, port):
        """Waits for a program that says nothing when it is ready."""
        wait_for(lambda: accepts(port) or child.poll() is not None, f"{name} does not listen")
        if child.poll() is not None:
            raise Unavailable(f"{name} did not start: {self.log(name)}")

    def said(self, child, name):
        """What a program says in JSON when it is ready."""
        line = child.stdout.readline()
        if not line:
            raise Unavailable(f"{name} did not start: {self.log(name)}")
        return json.loads(line)

    def launch_upstream(self, flags, **options):
        """The model server that says the same to everybody; its host and port."""
        command = [program("penstock-loadtest", self.programs), "fixed", *flags]
        child = self.launch(command, stdout=subprocess.PIPE, **options)
        return self.said(child, "penstock-loadtest")["listen"].removeprefix("http://")

    def launch_dev(self, policy, **options):
        """`penstock dev` with a policy; its process. `dev` is what it said of itself then."""
        documents = self.work / "bench.yaml"
        documents.write_text(policy)
        command = [program("penstock", self.programs), "dev", "--state", str(self.work / "state")]
        command += ["--listen", "127.0.0.1:0", "--json", "--apply", str(documents)]
        child = self.launch(command, stdout=subprocess.PIPE, **options)
        self.dev = self.said(child, "penstock")
        return child

    def issued(self, *arguments):
        """A token of its own issuer."""
        command = [program("penstock", self.programs), "token", "--state", self.dev["state"]]
        command += ["--ttl", "10h", *arguments]
        return subprocess.check_output(command, text=True).strip()
