"""Asks a gateway for a text of the scripted model server."""

import http.client
import json
import time
import urllib.parse

from failures import Unavailable
from masks_upstream import question

CHAT = "/v1/chat/completions"
PATIENCE_S = 120


class Refused(Exception):
    """A gateway answered with something other than the text."""


def ask(side, number, stream, gap_ms=0):
    """The text that arrives, and the seconds to its first character and to its end."""
    url = urllib.parse.urlsplit(side.url)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=PATIENCE_S)
    headers = {"content-type": "application/json", "authorization": f"Bearer {side.token}"}
    body = json.dumps(question(number, stream, gap_ms))
    began = time.monotonic()
    try:
        connection.request("POST", url.path + CHAT, body, headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise Refused(f"{answer.status} {answer.read(300).decode(errors='replace')}")
        if not stream:
            return json.load(answer)["choices"][0]["message"]["content"] or "", None, None
        return streamed(answer, began)
    finally:
        connection.close()


def streamed(answer, began):
    text, first = [], None
    for line in answer:
        data = line.strip().removeprefix(b"data: ")
        if not data or data == line.strip():
            continue
        if data == b"[DONE]":
            return "".join(text), first, time.monotonic() - began
        event = json.loads(data)
        if "error" in event:
            raise Refused(str(event["error"])[:300])
        for choice in event["choices"]:
            content = (choice.get("delta") or {}).get("content")
            if content:
                first = first or time.monotonic() - began
                text.append(content)
    raise Refused("the stream has no end")


def ready(side):
    """Some listen before they answer."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask(side, 0, stream=False)
        except (Refused, ConnectionError, http.client.HTTPException) as reason:
            if time.monotonic() > end:
                raise Unavailable(f"it does not answer: {reason}") from reason
            time.sleep(0.2)
