"""TLS as Python's `ssl` (OpenSSL) speaks it, told what to do by lines of JSON.

In: `{"op": "connect", "id", "host", "port", "authority", "version", "session_of"}`, `{"op": "get",
"id", "path", "token"}`, `{"op": "close", "id"}`, `{"op": "serve", "chain", "key", "clients"}`. Out: one line of JSON for
each. A served connection answers every request with an empty list.
"""

import json
import socket
import ssl
import sys
import threading

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
PATIENCE_S = 20
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n"
    b'{"object":"list","data":[]}'
)

contexts = {}
connections = {}


def context_of(asked):
    """One context an authority and version: a session belongs to its context."""
    key = (asked["authority"], asked["version"])
    if key not in contexts:
        context = ssl.create_default_context(cafile=asked["authority"])
        context.minimum_version = context.maximum_version = VERSIONS[asked["version"]]
        contexts[key] = context
    return contexts[key]


def connect(asked):
    session = connections[asked["session_of"]].session if asked.get("session_of") else None
    plain = socket.create_connection((asked["host"], asked["port"]), timeout=PATIENCE_S)
    secured = context_of(asked).wrap_socket(plain, server_hostname=asked["host"], session=session)
    connections[asked["id"]] = secured
    return {"version": secured.version(), "reused": secured.session_reused}


def get(asked):
    secured = connections[asked["id"]]
    target, token = asked["path"], asked["token"]
    fields = f"Host: a\r\nAuthorization: Bearer {token}\r\n\r\n"
    secured.sendall(f"GET {target} HTTP/1.1\r\n{fields}".encode())
    answer = read_head(secured)
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = head.lower().split(b"\r\n")
    length = next(int(field[15:]) for field in fields if field[:15] == b"content-length:")
    while len(body) < length:
        body += secured.recv(65536)
    return {"status": int(head[9:12]), "body": body.decode()}


def close(asked):
    connections.pop(asked["id"]).close()
    return {}


def read_head(secured):
    read = b""
    while b"\r\n\r\n" not in read:
        piece = secured.recv(65536)
        if not piece:
            raise ConnectionError("ended")
        read += piece
    return read


def serve(asked):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(asked["chain"], asked["key"])
    if asked.get("clients"):
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(asked["clients"])
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(listener, context), daemon=True).start()
    return {"port": listener.getsockname()[1]}


def accept(listener, context):
    while True:
        plain, _ = listener.accept()
        threading.Thread(target=answer_all, args=(plain, context), daemon=True).start()


def answer_all(plain, context):
    try:
        with context.wrap_socket(plain, server_side=True) as secured:
            while True:
                read_head(secured)
                secured.sendall(ANSWER)
    except OSError:
        pass


OPERATIONS = {"connect": connect, "get": get, "close": close, "serve": serve}

for line in sys.stdin:
    asked = json.loads(line)
    try:
        answer = {"ok": True, **OPERATIONS[asked["op"]](asked)}
    except (OSError, ValueError) as error:
        answer = {"ok": False, "error": str(error)}
    print(json.dumps(answer), flush=True)
