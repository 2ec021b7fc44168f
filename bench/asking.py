"""Single requests on connections that stay open, for the rows that hold them."""

import socket
import time

from failures import Unavailable

PATIENCE_S = 30


def connect(url):
    host, port = url.removeprefix("http://").split("/")[0].rsplit(":", 1)
    connection = socket.create_connection((host, int(port)), PATIENCE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ask(connection, url, token):
    """One request on a connection that stays open; its status."""
    authority, path = url.removeprefix("http://").split("/", 1)
    head = f"GET /{path} HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {token}\r\n\r\n"
    connection.sendall(head.encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += received(connection, 65536)
    head, body = answer.split(b"\r\n\r\n", 1)
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    missing = int(fields[b"content-length"]) - len(body)
    while missing > 0:
        missing -= len(received(connection, missing))
    return int(head.split()[1])


def received(connection, most):
    read = connection.recv(most)
    if not read:
        raise Unavailable("a proxy closed a connection in the middle of an answer")
    return read


class Kept:
    """Connections that are asked one after the other; one that was closed is opened anew."""

    def __init__(self, url, token, count):
        self.url, self.token = url, token
        self.connections = [connect(url) for _ in range(count)]

    def statuses(self):
        return [self.status(index) for index in range(len(self.connections))]

    def status(self, index):
        try:
            return ask(self.connections[index], self.url, self.token)
        except (Unavailable, ConnectionError):
            self.connections[index].close()
            self.connections[index] = connect(self.url)
            return ask(self.connections[index], self.url, self.token)

    def until_all(self, status):
        end = time.monotonic() + PATIENCE_S
        while set(self.statuses()) != {status}:
            if time.monotonic() > end:
                raise Unavailable(f"no {status} on every connection within {PATIENCE_S} s")

    def close(self):
        for connection in self.connections:
            connection.close()
