"""A small WebSocket client in the words of the protocol: send a message, wait for one of a kind."""

import base64
import json
import os
import socket
import struct
import time

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from .weir import PATIENCE


class Client:
    """One connection. Messages that a caller does not wait for are kept for later callers."""

    def __init__(self, server, path="/ws", origin=None, **options):
        # No compression unless a test asks: the bytes on the wire then are the messages.
        options.setdefault("compression", None)
        options.setdefault("max_size", 64 * 1024 * 1024)
        options.setdefault("ping_interval", None)
        self.socket = connect(
            f"ws://127.0.0.1:{server.port}{path}", origin=origin, open_timeout=10 * PATIENCE, close_timeout=2, **options
        )
        self.kept = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, message):
        self.socket.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    def receive(self, timeout_s=10):
        """The next message, kept ones first."""
        if self.kept:
            return self.kept.pop(0)
        return json.loads(self.socket.recv(timeout=timeout_s * PATIENCE))

    def wait(self, accept, timeout_s=10, what="message"):
        """The first message that `accept` takes; the others stay readable in their order."""
        for index, message in enumerate(self.kept):
            if accept(message):
                return self.kept.pop(index)
        deadline = time.monotonic() + timeout_s * PATIENCE
        while True:
            left = deadline - time.monotonic()
            assert left > 0, f"no {what} within {timeout_s} s; kept: {self.kept[-5:]}"
            try:
                message = json.loads(self.socket.recv(timeout=left))
            except TimeoutError:
                continue
            if accept(message):
                return message
            self.kept.append(message)

    def call(self, message, kind, timeout_s=10):
        """Sends and returns the first answer of this type that is no delivery."""
        self.send(message)
        return self.wait(lambda m: m["type"] == kind and not is_delivery(m), timeout_s, kind)

    def subscribe(self, kind, timeout_s=10, **data):
        """Subscribes and returns the confirmation."""
        self.send({"type": "subscribe", "data": {"type": kind, **data}})
        answer = self.wait(
            lambda m: m["type"] == "error" or (m.get("data") or {}).get("status") == "subscribed",
            timeout_s,
            "confirmation",
        )
        assert answer["type"] == "data", answer
        assert answer["data"]["subscription_type"] == kind, answer
        assert answer["subscription_id"], answer
        return answer

    def deliveries(self, subscription, count, timeout_s=15):
        """The next `count` deliveries of one subscription."""
        return [
            self.wait(
                lambda m: is_delivery(m) and m["subscription_id"] == subscription,
                timeout_s,
                f"delivery {i + 1} of {count}",
            )
            for i in range(count)
        ]

    def wait_closed(self, timeout_s=10):
        """Reads to the end of the connection; returns (code, reason) of the close frame."""
        deadline = time.monotonic() + timeout_s * PATIENCE
        while True:
            try:
                self.kept.append(json.loads(self.socket.recv(timeout=max(0.01, deadline - time.monotonic()))))
            except ConnectionClosed as closed:
                frame = closed.rcvd
                return (frame.code, frame.reason) if frame else (1006, "")
            except TimeoutError:
                raise AssertionError(f"connection still open after {timeout_s} s") from None


def is_delivery(message):
    data = message.get("data") or {}
    return message["type"] == "data" and "status" not in data


class RawClient:
    """A socket after the upgrade, for bytes that a well-behaved client cannot send."""

    def __init__(self, server, path="/ws", headers=(), receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(10 * PATIENCE)
        self.socket.connect(("127.0.0.1", server.port))
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            *headers,
        ]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.buffer = b""
        head = self._until(b"\r\n\r\n")
        self.status = int(head.split(b" ", 2)[1])
        self.head = head.decode("latin-1")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _until(self, mark):
        while mark not in self.buffer:
            more = self.socket.recv(65536)
            assert more, f"closed before {mark!r}: {self.buffer[:300]!r}"
            self.buffer += more
        head, self.buffer = self.buffer.split(mark, 1)
        return head

    def _exactly(self, size):
        while len(self.buffer) < size:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError
            self.buffer += more
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def send_frame(self, opcode, payload=b"", fin=True, masked=True, rsv=0, declared_size=None):
        size = len(payload) if declared_size is None else declared_size
        first = (0x80 if fin else 0) | (rsv << 4) | opcode
        mark = 0x80 if masked else 0
        if size < 126:
            head = struct.pack("!BB", first, mark | size)
        elif size < 65536:
            head = struct.pack("!BBH", first, mark | 126, size)
        else:
            head = struct.pack("!BBQ", first, mark | 127, size)
        if masked:
            mask = os.urandom(4)
            head += mask
            payload = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        self.socket.sendall(head + payload)

    def send_json(self, message):
        self.send_frame(1, json.dumps(message).encode())

    def read_frame(self):
        """(opcode, payload) of the next frame; server frames are never masked."""
        first, second = self._exactly(2)
        assert not second & 0x80, "a server frame is masked"
        size = second & 0x7F
        if size == 126:
            size = struct.unpack("!H", self._exactly(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self._exactly(8))[0]
        return first & 0x0F, self._exactly(size)

    def read_close(self):
        """Reads on to the close frame; returns (code, reason), or None when the socket just ended."""
        try:
            while True:
                opcode, payload = self.read_frame()
                if opcode == 8:
                    return (struct.unpack("!H", payload[:2])[0], payload[2:].decode()) if payload else (1005, "")
        except (EOFError, ConnectionError):
            return None
