"""Unary gRPC calls at an even pace, open loop: what a call takes is counted from the moment it was due.

On plain sockets, some ten microseconds a call, in a process of its own. h2load sends at once what falls into
10 ms, and then measures the queue that it made. It runs before everybody else on its core where it is let
(`SCHED_FIFO`), and without a garbage collector. Prints JSON: also how late it was itself, for what is late
there is no fault of the server's.

    python -m benchmarks.paced PORT METHOD RATE SECONDS BODY_IN_HEX
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import statistics
import struct
import sys
import time
from contextlib import suppress

CONNECTIONS = 8
WARM_UP_SECONDS = 1.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Spell a frame, https://www.rfc-editor.org/rfc/rfc9113#section-4.1."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def text(value: str) -> bytes:
    """Spell a string for a header, short and plain."""
    return bytes((len(value),)) + value.encode()


def headers(method: str) -> bytes:
    """Spell the headers of a call without any table, https://www.rfc-editor.org/rfc/rfc7541#section-6.2.2."""
    known = b"\x83\x86\x04" + text(method) + b"\x01" + text("localhost") + b"\x0f\x10"
    return known + text("application/grpc") + b"\x00" + text("te") + text("trailers")


class Connection:
    """One connection and the calls on it that were not answered yet, by the moment at which each was due."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(
            PREFACE
            + frame(SETTINGS, 0, 0, b"")
            + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1 - 65535))
        )
        self._read = b""
        self._next = 1
        self.due: dict[int, float] = {}
        self.took: list[float] = []
        self.answered: set[int] = set()
        self.failed = 0

    def call(self, due: float, head: bytes, body: bytes) -> None:
        """Send a call."""
        stream, self._next = self._next, self._next + 2
        self.due[stream] = due
        self.socket.sendall(frame(HEADERS, END_HEADERS, stream, head) + frame(DATA, END_STREAM, stream, body))

    def read(self) -> None:
        """Take what has come. Raises ConnectionError where the server ends the connection."""
        came = self.socket.recv(1 << 16)
        now = time.perf_counter()
        if not came:
            raise ConnectionError("the server hung up")
        data, at = self._read + came, 0
        while len(data) >= at + 9:
            length = int.from_bytes(data[at : at + 3])
            if len(data) < at + 9 + length:
                break
            self._take(data[at + 3], data[at + 4], data[at + 5 : at + 9], data[at + 9 : at + 9 + length], now)
            at += 9 + length
        self._read = data[at:]

    def _take(self, kind: int, flags: int, number: bytes, payload: bytes, now: float) -> None:
        stream = int.from_bytes(number)
        if kind in (SETTINGS, PING) and not flags & ACK:
            self.socket.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind == GOAWAY:
            raise ConnectionError("the server goes away")
        elif kind == DATA:
            self.answered.add(stream)
        elif stream not in self.due:
            pass  # a stream that was answered before its end was read is reset as well
        elif kind == RST_STREAM or (kind == HEADERS and flags & END_STREAM):
            # An answer without a body is an error, whatever its trailers say.
            self.took.append(now - self.due.pop(stream))
            self.failed += stream not in self.answered
            self.answered.discard(stream)


def run(port: int, method: str, rate: float, seconds: float, message: bytes) -> dict[str, float]:
    """Call at the rate; give how long calls took, and how late the generator itself was at worst."""
    connections = {each.socket: each for each in (Connection(port) for _ in range(CONNECTIONS))}
    order = list(connections.values())
    head, body = headers(method), struct.pack(">?I", False, len(message)) + message
    warm, total = int(rate * WARM_UP_SECONDS), int(rate * (seconds + WARM_UP_SECONDS))
    began, late, warmed = time.perf_counter(), list[float](), False
    for number in range(total):
        due = began + number / rate
        while (wait := due - time.perf_counter()) > 0:
            for ready in select.select(connections, (), (), wait)[0]:
                connections[ready].read()
        if number >= warm and not warmed:
            warmed = True
            for each in order:
                each.took.clear()
        if warmed:
            late.append(-wait)
        order[number % CONNECTIONS].call(due, head, body)
    until = time.perf_counter() + 5
    while any(each.due for each in order) and time.perf_counter() < until:
        for ready in select.select(connections, (), (), 0.1)[0]:
            connections[ready].read()
    took = [each for connection in order for each in connection.took]
    cut = statistics.quantiles(took, n=100)
    return {
        "calls": len(took),
        "failed": sum(each.failed for each in order) + sum(len(each.due) for each in order),
        "p50_ms": cut[49] * 1000,
        "p99_ms": cut[98] * 1000,
        "generator_late_ms": max(late) * 1000,
        "generator_late_p99_ms": statistics.quantiles(late, n=100)[98] * 1000,
    }


def come_first() -> None:
    """Have nothing of this process or of others get in between, as far as that is allowed."""
    gc.collect()
    gc.freeze()
    gc.disable()
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


if __name__ == "__main__":
    come_first()
    port_, method_, rate_, seconds_, body_ = sys.argv[1:]
    print(json.dumps(run(int(port_), method_, float(rate_), float(seconds_), bytes.fromhex(body_))))
