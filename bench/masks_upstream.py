"""A model server on loopback that says a given text in given pieces, in OpenAI's form.

A request names the text by its number in the last message; `gap_ms` of the request is the pause
between two pieces.
"""

import http.server
import json
import threading
import time

from masks_text import pieces

MODEL = "scripted"


class Upstream:
    """Runs in threads of this process until `end`."""

    def __init__(self, texts, seed):
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
                    self.stream(pieces(text, seed + number), gap_ms / 1000)
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
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for number, cut in enumerate(cuts):
                    if number:
                        time.sleep(gap_s)
                    delta = {"content": cut} if number else {"role": "assistant", "content": cut}
                    self.event({"index": 0, "delta": delta, "finish_reason": None})
                self.event({"index": 0, "delta": {}, "finish_reason": "stop"})
                self.chunk(b"data: [DONE]\n\n")
                self.chunk(b"")

            def event(self, choice):
                body = json.dumps(shaped("chat.completion.chunk", choice))
                self.chunk(f"data: {body}\n\n".encode())

            def chunk(self, data):
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def end(self):
        self.server.shutdown()
        self.server.server_close()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A gateway that drops its connection is none of ours to tell."""


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
