"""Three stories that teams with self-hosted models know, and how they end here."""

import concurrent.futures
import json
import secrets
import time

import openai

from narration import StepFailed, expect
from streams import BackgroundStream

ADAPTERS = "/llama/lora-adapters"
# Nothing is scaled, but the model server is asked: what counts is who may ask it.
CHANGE = []
LEAD = ["--as-user", "grace@example.com", "--as-groups", "ml-leads"]
REASON = "the evaluation of the new adapter is done"
ANSWER_SECONDS_MAX = 30


def tell(scene):
    step = scene.narrator.step
    step("contractor", "The contractor's old key", lambda: contractor(scene))
    step("nightly", "CI's long-lived token", lambda: nightly(scene))
    step("config_file", "The over-scoped token in a configuration file",
         lambda: config_file(scene))


def contractor(scene):
    say, seen = scene.narrator.say, scene.narrator.seen
    say("Carl worked here until noon, and wrote the model's key down. It was a key of the model "
        "server; now only the gateway has one, and nobody can write it down:")
    old_key = secrets.token_urlsafe(32)
    for name, base in [("the model server", scene.model_url), ("the gateway", None)]:
        error = refusal(lambda b=base: ask(scene, scene.client(old_key, base=b)))
        expect(error.status_code == 401, f"401 from {name}", error)
        seen(f"{name}: {error.status_code} {error.body['message']}")
    say("What he has is a token for ten minutes, and a stream that runs. At noon his identity is "
        "revoked:")
    token = scene.token("carl@example.com", "contractors")
    stream = BackgroundStream(scene.client(token), scene.model)
    expect(stream.wait_for_pieces(5, 60), "a stream that runs", stream.error)
    scene.sessions.append(stream.session)
    revoked = time.time()
    scene.cli.run("revoke", "identity", "dev", "carl@example.com")
    expect(stream.wait_for_end(10), "the stream to be cut", "it went on for 10 s")
    after_ms = round((stream.ended_at - revoked) * 1000)
    expect(not stream.finished and stream.error, "an error event in the stream",
           "a stream that ended as if it were whole")
    seen(f"{type(stream.error).__name__}: {stream.error.message}")
    say(f"His stream was cut {after_ms} ms after the command began. His token would hold for some "
        "minutes yet:")
    error = refusal(lambda: ask(scene, scene.client(token)))
    scene.saw(error.response.headers)
    expect(error.status_code == 401, "401 for a revoked identity", error)
    seen(f"{error.status_code} {error.body['message']}")
    return {"cut_after_ms": after_ms, "pieces": len(stream.arrivals)}


def nightly(scene):
    say, seen = scene.narrator.say, scene.narrator.seen
    say("The nightly job has a token for a month in its settings. It says who the job is, and what "
        "the job may do is not in it. It infers, as it should every night:")
    identity = ["--user", "nightly@example.com", "--groups", "nightly"]
    token = scene.cli.run("token", *identity, "--ttl", "720h")[0].strip()
    scene.tokens["nightly@example.com"] = token
    answer = scene.client(token).chat.completions.with_raw_response.create(**chat(scene))
    scene.saw(answer.headers)
    seen(answer.parse().choices[0].message.content.strip())
    say("Reading what others were told is denied. A change of the model's adapters is held, and "
        "nobody is there at night:")
    status, _, body = scene.plain("GET", "/llama/slots", token=token)
    expect(status == 403, "403", f"{status} {body}")
    seen(f"{status} {json.loads(body)['error']['message']}")
    status, headers, body = change(scene, token, "the nightly build")
    scene.saw(headers)
    error = json.loads(body)["error"]
    expect((status, error["code"]) == (403, "approval_pending"), "403 approval_pending",
           f"{status} {body}")
    seen(f"{status} {error['code']}: {error['message']}")
    approval = error["penstock"]["approval"]
    say("In the morning Grace looks, and says no:")
    scene.cli.run("deny", approval, "--reason", "not by night", *LEAD)
    say("And the token, which has three weeks to go and was found in a log, is revoked by its hash:")
    scene.cli.run("revoke", "token", text_in=token)
    error = refusal(lambda: ask(scene, scene.client(token)))
    scene.saw(error.response.headers)
    expect(error.status_code == 401, "401 for a revoked token", error)
    seen(f"{error.status_code} {error.body['message']}")
    return {"held": approval}


def config_file(scene):
    say, seen = scene.narrator.say, scene.narrator.seen
    say("Every developer has the same configuration file, with a token that may do all. Ada puts "
        "her own into hers; it says who she is, and not what she may do. She asks for a change:")
    token = scene.token("ada@example.com", "engineers")
    with concurrent.futures.ThreadPoolExecutor() as background:
        held = background.submit(change, scene, token, REASON)
        approval = pending(scene)
        shown, _ = scene.cli.run("approvals", "show", approval, *LEAD)
        seen(shown)
        say("The request waits on its open connection. Ada may not answer her own question, not "
            "as an administrator either:")
        own = ["--as-user", "ada@example.com", "--as-groups", "engineers,ml-leads"]
        _, talk = scene.cli.run("approve", approval, *own, status=3)
        seen(talk.strip())
        expect(not held.done(), "a request that waits", "one that was answered")
        say("Grace, who leads, approves it:")
        approved = time.time()
        scene.cli.run("approve", approval, *LEAD)
        status, headers, body = held.result(ANSWER_SECONDS_MAX)
        after_ms = round((time.time() - approved) * 1000)
    scene.saw(headers)
    expect(status == 200, "the model server's own answer", f"{status} {body}")
    seen(f"{status} {body.strip()[:60]}")
    say(f"It went through {after_ms} ms after the command began: this request, once. The same one "
        "again is a new question, which Grace denies:")
    with concurrent.futures.ThreadPoolExecutor() as background:
        held = background.submit(change, scene, token, REASON)
        second = pending(scene)
        expect(second != approval, "another approval", second)
        scene.cli.run("deny", second, "--reason", "once is enough", *LEAD)
        status, headers, body = held.result(ANSWER_SECONDS_MAX)
    scene.saw(headers)
    error = json.loads(body)["error"]
    expect((status, error["code"]) == (403, "approval_denied"), "403 approval_denied",
           f"{status} {body}")
    seen(f"{status} {error['code']}: {error['message']}")
    return {"approval": approval, "after_ms": after_ms}


def change(scene, token, reason):
    """A request that changes the model server: status, headers, text."""
    return scene.plain("POST", ADAPTERS, body=CHANGE, token=token,
                       headers={"penstock-reason": reason})


def pending(scene):
    """The one approval that waits, once there is one."""
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    while True:
        rows = scene.cli.json("approvals", "list", "--only", "pending", *LEAD)
        if rows:
            expect(len(rows) == 1, "one pending approval", rows)
            return rows[0]["id"]
        if time.monotonic() > deadline:
            raise StepFailed("expected a pending approval, but there was none")
        time.sleep(0.05)


def ask(scene, client):
    return client.chat.completions.create(**chat(scene))


def chat(scene):
    return {
        "model": scene.model,
        "messages": [{"role": "user", "content": "Say hello."}],
        "max_tokens": 12,
    }


def refusal(call):
    try:
        answer = call()
    except openai.APIStatusError as error:
        return error
    raise StepFailed(f"expected a refusal, but saw: {answer}")
