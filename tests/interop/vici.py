# SPDX-License-Identifier: MIT
"""A client of strongSwan's control protocol, VICI (strongSwan's README of the vici plugin).

A packet on the UNIX socket is its length (32 bits), a type and, for commands and events, a name
with an 8-bit length; then a message of nested sections, lists and key/value pairs.  Everything is
text here.  Sections become dict, lists list.
"""
import contextlib
import socket
import struct
import threading
import time

REQUEST, RESPONSE, UNKNOWN, REGISTER, UNREGISTER, CONFIRM, EVENT_UNKNOWN, EVENT = range(8)
SECTION, SECTION_END, PAIR, LIST, ITEM, LIST_END = range(1, 7)


class Refused(Exception):
    """charon says success = no; the text is its reason."""


def name8(text):
    return struct.pack("!B", len(text)) + text.encode()


def value16(value):
    data = str(value).encode()
    return struct.pack("!H", len(data)) + data


def encode(message):
    out = b""
    for key, value in message.items():
        if isinstance(value, dict):
            out += bytes([SECTION]) + name8(key) + encode(value) + bytes([SECTION_END])
        elif isinstance(value, (list, tuple)):
            out += bytes([LIST]) + name8(key)
            out += b"".join(bytes([ITEM]) + value16(v) for v in value) + bytes([LIST_END])
        else:
            out += bytes([PAIR]) + name8(key) + value16(value)
    return out


def decode(data):
    at = 0

    def take(size_len):
        nonlocal at
        size = int.from_bytes(data[at:at + size_len], "big")
        at += size_len + size
        return data[at - size:at].decode(errors="replace")

    stack = [{}]
    while at < len(data):
        kind = data[at]
        at += 1
        if kind == SECTION:
            inner = {}
            stack[-1][take(1)] = inner
            stack.append(inner)
        elif kind == LIST:
            inner = []
            stack[-1][take(1)] = inner
            stack.append(inner)
        elif kind == PAIR:
            key = take(1)
            stack[-1][key] = take(2)
        elif kind == ITEM:
            stack[-1].append(take(2))
        elif kind in (SECTION_END, LIST_END):
            stack.pop()
        else:
            raise ValueError(f"element {kind} at {at}")
    return stack[0]


class Connection:
    """To a UNIX socket's path, or (address, port)."""

    def __init__(self, where):
        if isinstance(where, tuple):
            self.sock = socket.socket(socket.AF_INET)
            self.sock.connect(where)
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(str(where))

    def close(self):
        # Wakes a reader, which close() alone would not.
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def send(self, kind, name="", message=None):
        data = bytes([kind]) + name8(name) + encode(message or {})
        self.sock.sendall(struct.pack("!I", len(data)) + data)

    def receive(self):
        def exactly(size):
            data = b""
            while len(data) < size:
                piece = self.sock.recv(size - len(data))
                if not piece:
                    raise EOFError("charon closed its socket")
                data += piece
            return data

        data = exactly(struct.unpack("!I", exactly(4))[0])
        if data[0] != EVENT:
            return data[0], "", data[1:]
        end = 2 + data[1]
        return EVENT, data[2:end].decode(), data[end:]

    def register(self, event, on=True):
        self.send(REGISTER if on else UNREGISTER, event)
        while True:
            kind, _, _ = self.receive()
            if kind == CONFIRM:
                return
            if kind == EVENT_UNKNOWN:
                raise ValueError(f"charon knows no event {event}")

    def call(self, command, message=None, stream=""):
        """The response, or the list of events that came before it when `stream` names them."""
        seen = []
        if stream:
            self.register(stream)
        self.send(REQUEST, command, message)
        while True:
            kind, name, data = self.receive()
            if kind == EVENT and name == stream:
                seen.append(decode(data))
            elif kind == RESPONSE:
                break
            elif kind == UNKNOWN:
                raise ValueError(f"charon knows no command {command}")
        if stream:
            self.register(stream, on=False)
            return seen
        answer = decode(data)
        if answer.get("success", "yes") != "yes":
            raise Refused(answer.get("errmsg", str(answer)))
        return answer


class Events(threading.Thread):
    """Events of these kinds, as they come: a list of (name, message) that only grows."""

    def __init__(self, connection, names):
        super().__init__(daemon=True)
        self.connection = connection
        for name in names:
            self.connection.register(name)
        self.seen = []
        self.ended = False
        self.changed = threading.Condition()
        self.start()

    def run(self):
        while True:
            try:
                kind, name, data = self.connection.receive()
            except (EOFError, OSError):
                break
            if kind == EVENT:
                with self.changed:
                    self.seen.append((name, decode(data)))
                    self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, name, fits=lambda message: True, since=0, seconds=10):
        """The first event that fits, of those numbered from `since`."""
        end = time.monotonic() + seconds
        at = since
        with self.changed:
            while True:
                for at in range(at, len(self.seen)):
                    if self.seen[at][0] == name and fits(self.seen[at][1]):
                        return self.seen[at][1]
                at = len(self.seen)
                left = end - time.monotonic()
                if self.ended or left <= 0:
                    raise AssertionError(f"charon told no {name} within {seconds} s; "
                                         f"it told {[n for n, _ in self.seen[since:]]}")
                self.changed.wait(left)

    def close(self):
        self.connection.close()
        self.join(5)
