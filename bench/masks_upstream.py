"""A model server on loopback that says a given text in given pieces, in OpenAI's form.

A request names the text by its number in the last message; `gap_ms` of the request is the pause
between two pieces. A torn stream goes out in random cuts of its bytes, also within a character, and
half of its events say letters beyond ASCII as they are, half as escapes.
"""

import http.server
import json
import random
import threading
import time

from masks_text import PIECE_CHARACTERS_MAX, pieces

MODEL = "scripted"
# Most bytes that are written at once of a torn stream: about half an event.
TORN_BYTES_MAX = 120


class Upstream:
    """Runs in threads of this process until `end`. `cuts_in_characters` counts those so far."""

    def __init__(self, texts, seed, longest=PIECE_CHARACTERS_MAX, torn=False):
        self.cuts_in_characters, self.lock = 0, threading.Lock()
        count = self.count

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Each piece goes out by itself.
            disable_nagle_algorithm = True

            def do_POST(self):
                length = int(self.headers["content-length"])
                request = json.loads(self.rfile.read(length))
                number, gap_ms = asked(request)
                text = texts[number].text
                if request.get("stream"):
                    cuts = pieces(text, seed + number, longest)
                    if torn:
                        self.torn(cuts, random.Random(f"{seed} {number}"))
                    else:
                        self.stream(cuts, gap_ms / 1000)
                else:
                    self.whole(text)

            def whole(self, text):
                message = {"role": "assistant", "content": text}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                body = json.dumps(shaped("chat.completion", choice)).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def stream(self, cuts, gap_s):
                self.begin()
                for number, event in enumerate(events(cuts)):
                    if 0 < number < len(cuts):
                        time.sleep(gap_s)
                    self.chunk(event)
                self.chunk(b"")

            def torn(self, cuts, choose):
                self.begin()
                data = b"".join(events(cuts, lambda: choose.random() < 0.5))
                # Where a byte goes on with a character, every second time; and anywhere.
                within = [
                    at for at, byte in enumerate(data) if is_within(byte) and choose.random() < 0.5
                ]
                ends = {*within, len(data)}
                at = 0
                while at < len(data):
                    at += choose.randint(1, TORN_BYTES_MAX)
                    ends.add(min(at, len(data)))
                at = 0
                for end in sorted(ends):
                    self.chunk(data[at:end])
                    at = end
                self.chunk(b"")
                count(len(within))

            def begin(self):
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()

            def chunk(self, data):
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def count(self, cuts):
        with self.lock:
            self.cuts_in_characters += cuts

    def end(self):
        self.server.shutdown()
        self.server.server_close()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A gateway that drops its connection is none of ours to tell."""


def is_within(byte):
    """Whether a byte of UTF-8 goes on with a character."""
    return byte & 0xC0 == 0x80


def events(cuts, is_escaped=lambda: True):
    """The events of a stream that says these pieces."""
    for number, cut in enumerate(cuts):
        delta = {"content": cut} if number else {"role": "assistant", "content": cut}
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        yield event(choice, is_escaped())
    yield event({"index": 0, "delta": {}, "finish_reason": "stop"}, True)
    yield b"data: [DONE]\n\n"


def event(choice, is_escaped):
    body = json.dumps(shaped("chat.completion.chunk", choice), ensure_ascii=is_escaped)
    return f"data: {body}\n\n".encode()


def question(number, stream, gap_ms):
    """A request for a text."""
    content = f"text {number} gap {gap_ms}"
    messages = [{"role": "user", "content": content}]
    return {"model": MODEL, "stream": stream, "messages": messages}


def asked(request):
    _, number, _, gap_ms = request["messages"][-1]["content"].split()
    return int(number), float(gap_ms)


def shaped(kind, choice):
    return {"id": "c1", "object": kind, "created": 1, "model": MODEL, "choices": [choice]}
