"""The tour: Penstock in front of a model server, seen through the OpenAI client.

    python tour.py --bin-dir DIR [--model real|simulated] [--state DIR] [--no-stay] [--keep]
                   [--report FILE]

Every step is checked; the first that is not as it should be ends the tour with exit status 1. In a
terminal everything stays up afterwards, until Ctrl-C. Everything that was started is ended, and the
state is removed, unless --keep is given.
"""

import argparse
import contextlib
import os
import pathlib
import secrets
import shutil
import signal
import sys
import tempfile
import time

import processes
import steps
from narration import Narrator, StepFailed

HERE = pathlib.Path(__file__).resolve().parent
TOUR_SECONDS_MAX = 300


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin-dir", type=pathlib.Path, required=True)
    parser.add_argument("--model", choices=["real", "simulated"], default="real")
    parser.add_argument("--state", type=pathlib.Path, help="folder for everything that is written")
    parser.add_argument("--no-stay", action="store_true", help="end after the tour")
    parser.add_argument("--keep", action="store_true", help="leave the state folder")
    parser.add_argument("--report", type=pathlib.Path, help="write the steps' results as JSON")
    return parser.parse_args()


def raise_on_signals():
    """SIGTERM ends the tour as Ctrl-C does; SIGALRM bounds it in time."""

    def ended(*_):
        raise SystemExit(143)

    def late(*_):
        raise StepFailed(f"the tour took more than {TOUR_SECONDS_MAX} s")

    signal.signal(signal.SIGTERM, ended)
    signal.signal(signal.SIGALRM, late)
    signal.alarm(TOUR_SECONDS_MAX)


def work_folder(flags, stack):
    if flags.state:
        flags.state.mkdir(parents=True, exist_ok=True)
        folder = flags.state.resolve()
        # Only what the tour itself makes: the folder may hold other things.
        made = ["state", "policy.yaml", "model.log", "penstock.log"]
    else:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="penstock-demo."))
        made = ["."]
    if not flags.keep:
        for name in made:
            stack.callback(remove, folder / name)
    return folder


def remove(path):
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def start(flags, folder, narrator, stack):
    """Starts the model server, then both planes in front of it."""
    narrator.heading("Starting")
    key = secrets.token_urlsafe(32)
    kind = {"real": "llama.cpp with SmolLM2", "simulated": "a simulated model server"}[flags.model]
    model_url, model, process = narrator.wait(
        f"{kind}, with an API key of its own",
        lambda: processes.start_model(flags.model, flags.bin_dir, key, folder / "model.log"),
    )
    stack.callback(process.end)
    policy = folder / "policy.yaml"
    policy.write_text((HERE / "policy.yaml").read_text().replace("ENDPOINT", model_url))
    state = folder / "state"
    penstock = narrator.wait(
        "penstock dev: control plane, data plane, development identity provider",
        lambda: processes.start_penstock(
            flags.bin_dir, state, policy, key, folder / "penstock.log"
        ),
    )
    stack.callback(penstock.end)
    return steps.Scene(
        gateway=penstock.ready["gateway"],
        model_url=model_url,
        model=model,
        key=key,
        folder=folder,
        state=pathlib.Path(penstock.ready["state"]),
        policy=policy,
        cli=processes.Cli(flags.bin_dir / "penstock", state),
        narrator=narrator,
    )


def stay(scene, flags):
    """How to go on; then, in a terminal, waits for Ctrl-C."""
    stays = not flags.no_stay and sys.stdin.isatty() and sys.stdout.isatty()
    penstock = flags.bin_dir / "penstock"
    scene.narrator.heading(
        "Everything stays up. How to go on, in another terminal:"
        if stays
        else "Everything ends now. In a terminal it would stay up, and you could go on:"
    )
    scene.narrator.seen(
        f"export PENSTOCK_STATE={scene.state}\n"
        f"TOKEN=$({penstock} token --user ada@example.com --groups engineers)\n"
        f'curl {scene.gateway}/llama/v1/models -H "Authorization: Bearer $TOKEN"\n'
        f"{penstock} apply -f {scene.policy} --wait     # after you changed it\n"
        f"{penstock} nodes list\n"
        f"tail -f {scene.access_log}"
    )
    scene.narrator.say("In Python: OpenAI(base_url=GATEWAY + '/llama/v1', api_key=TOKEN).")
    if stays:
        scene.narrator.say("Ctrl-C ends everything.")
        while True:
            signal.pause()


def main():
    flags = arguments()
    narrator = Narrator()
    status, failure = 1, None
    started = time.monotonic()
    raise_on_signals()
    # Everything is on this machine: no proxy of the environment comes between.
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost"
    with contextlib.ExitStack() as stack:
        folder = work_folder(flags, stack)
        try:
            scene = start(flags, folder, narrator, stack)
            steps.take(scene)
            status = 0
            signal.alarm(0)
            narrator.heading(f"The tour is over: all as it should be, {elapsed(started)}")
            stay(scene, flags)
        except StepFailed as failed:
            failure = str(failed)
            print(f"\nFAILED: {failure}", file=sys.stderr)
        except KeyboardInterrupt:
            print("\nending everything …")
        finally:
            signal.alarm(0)
            # From here on everything is being ended: a second Ctrl-C would leave half of it.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if flags.report:
                narrator.report(
                    flags.report, ok=status == 0, error=failure, state=str(folder / "state")
                )
    return status


def elapsed(started):
    return f"{time.monotonic() - started:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
