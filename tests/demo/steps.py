"""The steps of the tour. Each says what it does, checks what it sees, and returns figures."""

import dataclasses
import json
import pathlib
import time
import urllib.error
import urllib.request

import openai

import masks
import processes
import stories
from narration import Narrator, StepFailed, expect, table
from search import search
from streams import BackgroundStream

CONTRACTORS = pathlib.Path(__file__).resolve().parent / "contractors.yaml"
CHAT = "/llama/v1/chat/completions"
QUESTION = "In one sentence: what does a water gate do?"
LOG_SECONDS_MAX = 10


@dataclasses.dataclass
class Scene:
    """Everything that the steps act on."""

    gateway: str
    model_url: str
    model: str
    key: str
    folder: pathlib.Path
    state: pathlib.Path
    policy: pathlib.Path
    cli: processes.Cli
    narrator: Narrator
    tokens: dict = dataclasses.field(default_factory=dict)
    sessions: list = dataclasses.field(default_factory=list)
    stream: BackgroundStream | None = None

    @property
    def access_log(self):
        return self.state / "dataplane" / "access.jsonl"

    def token(self, user, group):
        if user not in self.tokens:
            out, _ = self.cli.run("token", "--user", user, "--groups", group)
            self.tokens[user] = out.strip()
        return self.tokens[user]

    def client(self, token, base=None):
        """The OpenAI client, as anybody uses it: only its base URL and its key are changed."""
        url = f"{base or self.gateway + '/llama'}/v1"
        return openai.OpenAI(base_url=url, api_key=token, max_retries=0, timeout=60)

    def plain(self, method, path, **more):
        return plain(self, method, path, **more)

    def engineer(self):
        return self.client(self.token("ada@example.com", "engineers"))

    def ci(self):
        return self.client(self.token("ci@example.com", "ci"))

    def logged(self, sessions):
        """The access log's lines by session, once these sessions are among them."""
        deadline = time.monotonic() + LOG_SECONDS_MAX
        while True:
            text = self.access_log.read_text() if self.access_log.exists() else ""
            lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
            found = {line["session"]: line for line in lines}
            missing = set(sessions) - found.keys()
            if not missing:
                return found
            if time.monotonic() > deadline:
                raise StepFailed(f"expected every session in the access log, but {missing} lack")
            time.sleep(0.05)

    def saw(self, headers):
        """Keeps a session, to find it again in the access log."""
        session = headers.get("penstock-session")
        expect(session, "an answer with the header penstock-session", dict(headers))
        self.sessions.append(session)
        return session


def take(scene):
    """The whole tour, in order."""
    step = scene.narrator.step
    step("stream", "A streamed answer, through the gate", lambda: streamed(scene))
    step("direct", "The same call, straight at the model", lambda: direct(scene))
    step("no_token", "Without a token, and with a wrong one", lambda: no_token(scene))
    step("denied", "CI may look, and may not infer", lambda: denied(scene))
    step("explain", "Why? Ask", lambda: explain(scene))
    step("slots", "What nobody may do: read other people's prompts", lambda: slots(scene))
    step("masked", "A masked stream, beside what the model said", lambda: masks.beside(scene))
    step("change", "A policy change, while a stream runs", lambda: change(scene))
    step("cut", "The rule under a running stream goes away", lambda: cut(scene))
    stories.tell(scene)
    step("access_log", "The access log of all that", lambda: access_log(scene))
    step("search", "No secret in any file", lambda: search_files(scene))


def streamed(scene):
    say = scene.narrator.say
    say("Ada, an engineer, asks with the OpenAI client. Her key is a token for ten minutes; the "
        "gateway puts the model server's own key in its place.")
    client = scene.engineer()
    started = time.monotonic()
    response = client.chat.completions.with_raw_response.create(
        model=scene.model,
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        temperature=0,
        max_tokens=60,
    )
    scene.saw(response.headers)
    pieces, first = [], None
    for chunk in response.parse():
        text = chunk.choices[0].delta.content if chunk.choices else None
        if text:
            first = first or time.monotonic() - started
            pieces.append(text)
    expect(len(pieces) > 3, "an answer in many pieces", pieces)
    total = time.monotonic() - started
    scene.narrator.seen("".join(pieces).strip())
    say(f"{len(pieces)} pieces, the first after {first * 1000:.0f} ms, all after "
        f"{total * 1000:.0f} ms.")
    return {"pieces": len(pieces), "first_ms": round(first * 1000), "all_ms": round(total * 1000)}


def direct(scene):
    scene.narrator.say("The model server wants its own key, and Ada does not have it: her token is "
                       "of no use past the gate.")
    client = scene.client(scene.token("ada@example.com", "engineers"), base=scene.model_url)
    error = refused(lambda: client.chat.completions.create(**chat(scene)))
    scene.narrator.seen(f"{error.status_code} {error.body['message']}")
    expect(error.status_code == 401, "401 from the model server", error)
    return {"status": error.status_code}


def no_token(scene):
    status, headers, body = plain(scene, "POST", CHAT, body=chat(scene))
    expect(status == 401, "401 without a token", f"{status} {body}")
    expect(headers.get("www-authenticate", "").startswith("Bearer"),
           "the header WWW-Authenticate: Bearer", dict(headers))
    scene.narrator.seen(f"{status} {json.loads(body)['error']['message']}")
    client = scene.client("not-a-token")
    error = refused(lambda: client.chat.completions.create(**chat(scene)))
    scene.saw(error.response.headers)
    expect(error.status_code == 401, "401 with a wrong token", error)
    scene.narrator.seen(f"{error.status_code} {error.body['message']}")
    return {"without": status, "wrong": error.status_code}


def denied(scene):
    client = scene.ci()
    models = client.models.with_raw_response.list()
    scene.saw(models.headers)
    names = [model.id for model in models.parse().data]
    scene.narrator.say(f"CI lists the models: {', '.join(names)}. Then it tries to chat:")
    error = refused(lambda: client.chat.completions.create(**chat(scene)))
    scene.saw(error.response.headers)
    scene.narrator.seen(f"{error.status_code} {error.body['message']}")
    expect(error.status_code == 403, "403", error)
    expect(error.code == "denied", "the code `denied`", error.code)
    expect("ci@example.com" in error.body["message"] and "infer.chat" in error.body["message"],
           "a message that names who and what", error.body["message"])
    return {"status": error.status_code, "message": error.body["message"]}


def explain(scene):
    body = json.dumps(chat(scene))
    who = ["--user", "ci@example.com", "--groups", "ci"]
    scene.narrator.say(f"penstock explain {' '.join(who)} POST {CHAT} --body -")
    # Exit status 3: it would be denied.
    out, _ = scene.cli.run("explain", *who, "POST", CHAT, "--body", "-", status=3, text_in=body)
    scene.narrator.seen(out)
    expect("deny" in out and "infer.chat" in out, "a denial of infer.chat", out)
    return {"text": out}


def slots(scene):
    scene.narrator.say("llama.cpp's /slots shows what is being generated for others. A deny rule "
                       "holds against every allow rule, for engineers too:")
    token = scene.token("ada@example.com", "engineers")
    status, headers, body = plain(scene, "GET", "/llama/slots", token=token)
    scene.saw(headers)
    expect(status == 403, "403", f"{status} {body}")
    error = json.loads(body)["error"]
    scene.narrator.seen(f"{status} {error['message']}")
    rule = error["penstock"]["rule"]
    expect(rule == "nobody-reads-predictions", "the deny rule's name", rule)
    return {"status": status, "rule": rule}


def change(scene):
    say = scene.narrator.say
    scene.stream = BackgroundStream(scene.engineer(), scene.model)
    expect(scene.stream.wait_for_pieces(5, 60), "a stream that runs", scene.stream.error)
    scene.sessions.append(scene.stream.session)
    say("A long answer to Ada is running. Meanwhile contractors get the right to look:")
    before = time.time()
    out, talk = scene.cli.run("apply", "-f", str(CONTRACTORS), "--wait")
    waited_ms = (time.time() - before) * 1000
    scene.narrator.seen((out + talk.splitlines()[-1]).strip())
    version, published_ms = newest_version(scene)
    nodes = scene.cli.json("nodes", "list")
    cores = [core["version"] for node in nodes for core in node["cores"]]
    expect(cores and all(core >= version for core in cores),
           f"version {version} on every core", nodes)
    expect(scene.stream.wait_for_pieces(5, 60), "the stream to go on", scene.stream.error)
    enforced = [node["enforced_at_ms"] for node in nodes if node.get("enforced_at_ms")]
    figures = {"version": version, "cores": len(cores), "apply_wait_ms": round(waited_ms)}
    if enforced:
        figures["enforced_ms"] = max(enforced) - published_ms
        say(f"All {len(cores)} cores enforced version {version} {figures['enforced_ms']} ms after "
            "it was published.")
    else:
        say(f"All {len(cores)} cores enforced version {version} within {waited_ms:.0f} ms, the "
            "command included.")
    say("The running stream, which it does not concern, went on.")
    return figures


def cut(scene):
    say = scene.narrator.say
    say("Now the rule that allows engineers to infer is deleted, under the same running stream:")
    scene.cli.run("delete", "rule", "engineers-infer")
    stream = scene.stream
    expect(stream.wait_for_end(10), "the stream to be cut", "it went on for 10 s")
    _, published_ms = newest_version(scene)
    expect(not stream.finished and stream.error, "an error event in the stream",
           "a stream that ended as if it were whole")
    after_ms = round(stream.ended_at * 1000) - published_ms
    scene.narrator.seen(f"{type(stream.error).__name__}: {stream.error.message}")
    say(f"The client saw that {after_ms} ms after the rule was gone, after "
        f"{len(stream.arrivals)} pieces. The next request:")
    error = refused(lambda: scene.engineer().chat.completions.create(**chat(scene)))
    scene.saw(error.response.headers)
    scene.narrator.seen(f"{error.status_code} {error.body['message']}")
    expect(error.status_code in (403, 404), "a refusal", error)
    scene.cli.run("apply", "-f", str(scene.policy), "--wait")
    say("The rule is put back.")
    return {"after_ms": after_ms, "pieces": len(stream.arrivals), "message": stream.error.message}


def access_log(scene):
    found = scene.logged(scene.sessions)
    head = ("user", "request", "operation", "decision", "rule", "status", "reason", "ms", "bytes")
    rows = [head, *(row(line) for line in found.values())]
    scene.narrator.seen(table(rows))
    scene.narrator.say(f"One JSON line an exchange, in {scene.access_log}")
    return {"lines": len(found)}


def row(line):
    connection = f"/{line['connection']}" if line.get("connection") else ""
    return (
        line.get("user", "-").removesuffix("@example.com"),
        f"{line['method']} {connection}{line['path']}",
        ",".join(line["operations"]) or "-",
        line["decision"],
        line["rule"] or "-",
        line["status"],
        line["reason"],
        line["duration_us"] // 1000,
        line["bytes_down"],
    )


def search_files(scene):
    wanted = {"the model's key": scene.key}
    for user, token in scene.tokens.items():
        wanted[f"a token of {user}"] = token
        wanted[f"the signature of a token of {user}"] = token.rsplit(".", 1)[1]
    files, count = search(scene.folder, wanted)
    expect(files > 5, "several files", files)
    scene.narrator.say(f"Read all {files} files that the tour wrote, {count:,} bytes: neither the "
                       "model's key nor a caller's token stands in one of them.")
    return {"files": files, "bytes": count}


def chat(scene):
    return {
        "model": scene.model,
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": 20,
    }


def refused(call):
    """The error of a call that must be refused."""
    try:
        answer = call()
    except openai.APIStatusError as error:
        return error
    except openai.APIError as error:
        raise StepFailed(f"expected a refusal, but saw: {error!r}") from None
    raise StepFailed(f"expected a refusal, but saw: {answer}")


def plain(scene, method, path, body=None, token=None, headers=()):
    """A request without the OpenAI client: status, headers, text."""
    headers = {"content-type": "application/json", **dict(headers)}
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(scene.gateway + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def newest_version(scene):
    """Number and time (milliseconds since the Unix epoch) of the version in force."""
    newest = max(scene.cli.json("versions", "list"), key=lambda version: version["version"])
    return newest["version"], newest["at_ms"]
