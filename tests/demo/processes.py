"""The programs that the tour starts, each ended with it."""

import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading

from narration import StepFailed

MODEL_SERVER = pathlib.Path(__file__).resolve().parent.parent / "python" / "model_server.py"
END_SECONDS_MAX = 15


class Process:
    """A program whose first line on stdout is a JSON object that says it is ready."""

    def __init__(self, name, command, log, environment=None, secret=None, ready_seconds_max=120):
        self.name = name
        self.log = log
        # A session of its own, so that Ctrl-C reaches the tour, which ends things in order.
        try:
            self.child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log.open("w"),
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                text=True,
            )
        except OSError as error:
            raise StepFailed(f"{name} cannot be started: {error}") from error
        try:
            if secret:
                self.child.stdin.write(secret)
            self.child.stdin.close()
            self.ready = self._first_line(ready_seconds_max)
        except BaseException:
            self.end()
            raise

    def _first_line(self, seconds_max):
        lines = queue.SimpleQueue()
        reader = threading.Thread(
            target=lambda: lines.put(self.child.stdout.readline()), daemon=True
        )
        reader.start()
        try:
            line = lines.get(timeout=seconds_max)
        except queue.Empty:
            raise self._failed(f"was not ready after {seconds_max} s") from None
        try:
            return json.loads(line)
        except json.JSONDecodeError:
            raise self._failed("ended before it was ready") from None

    def _failed(self, how):
        last = self.log.read_text(errors="replace").strip().splitlines()[-10:]
        return StepFailed(f"{self.name} {how}; its last words:\n" + "\n".join(last))

    def end(self):
        """SIGTERM, then, after a while, SIGKILL. The exit status."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(END_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                os.killpg(self.child.pid, signal.SIGKILL)
                self.child.wait()
        self.child.stdout.close()
        return self.child.returncode


def start_model(kind, programs, key, log):
    """The model server, with a key of its own: its address, its model's name, its process."""
    key_from_pipe = ["--api-key-file", "/dev/stdin"]
    if kind == "real":
        command = [sys.executable, str(MODEL_SERVER), *key_from_pipe]
    else:
        timing = ["--first-token-ms", "80", "--gap-ms", "25"]
        program = str(programs / "penstock-loadtest")
        command = [program, "serve", "--json", *timing, *key_from_pipe]
    process = Process("the model server", command, log, secret=key)
    return process.ready["listen"], process.ready.get("model", "simulated"), process


def start_penstock(programs, state, policy, key, log):
    """Both planes, with the policy in force: what `dev --json` says, and its process."""
    command = [str(programs / "penstock"), "dev", "--state", str(state)]
    command += ["--listen", "127.0.0.1:0", "--apply", str(policy), "--json"]
    return Process("penstock dev", command, log, environment={"PENSTOCK_SECRET_LLAMA_KEY": key})


class Cli:
    """`penstock`, on the tour's state."""

    def __init__(self, program, state):
        self.program = program
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PENSTOCK_URL", "PENSTOCK_TOKEN")
        } | {"PENSTOCK_STATE": str(state)}

    def run(self, *arguments, status=0, text_in=None):
        """Runs a command that must end with this status; what it printed on stdout and stderr."""
        command = [str(self.program), *arguments]
        done = subprocess.run(
            command, input=text_in, capture_output=True, text=True, timeout=60, env=self.environment
        )
        if done.returncode != status:
            raise StepFailed(
                f"`penstock {' '.join(arguments)}` ended with {done.returncode}, "
                f"not {status}: {done.stderr.strip() or done.stdout.strip()}"
            )
        return done.stdout, done.stderr

    def json(self, *arguments):
        return json.loads(self.run(*arguments, "--output", "json")[0])
