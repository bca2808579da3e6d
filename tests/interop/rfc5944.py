# SPDX-License-Identifier: MIT
"""Mobile IPv4 registration (RFC 5944) and the Binding Update (RFC 6275), written from the
RFCs alone and not from src/wire: a second opinion about every byte.

Both sides are here, small: a home agent that answers, and a mobile node that asks.
"""
import hashlib
import hmac
import ipaddress
import os
import socket
import struct
import threading
import time

PORT = 434
MH = 135                        # IPv6 next header of RFC 6275
NTP_1970 = 2208988800


class Bad(Exception):
    """A message that is not as the RFC says."""


def authenticator(key, covered):
    return hmac.new(key, covered, hashlib.sha256).digest()[:16]


def identification(now):
    """RFC 5944 5.7.1: an NTP timestamp, so that each is higher than the last."""
    return int((now + NTP_1970) * 2**32)


def seconds_of(ident):
    return (ident >> 32) - NTP_1970


def with_auth(message, spi, key):
    """3.5.1 and 3.5.2: type 32, length, SPI; covers everything up to and with the SPI."""
    message += struct.pack("!BBI", 32, 4 + 16, spi)
    return message + authenticator(key, message)


def extensions(data, start):
    """Yields (type, offset of the extension, its data), in the three shapes of 1.10 to 1.12."""
    at = start
    while at < len(data):
        kind = data[at]
        if kind == 0:                                   # padding, no length
            at += 1
            continue
        if at + 2 > len(data):
            raise Bad("an extension without a length")
        if kind in (36, 38):                            # long form
            if at + 4 > len(data):
                raise Bad("a long extension without a length")
            size, head = struct.unpack_from("!H", data, at + 2)[0], 4
        else:
            size, head = data[at + 1], 2
        if at + head + size > len(data):
            raise Bad(f"extension {kind} is longer than the message")
        yield kind, at, data[at + head:at + head + size]
        at += head + size


def check_auth(data, start, spi, key):
    """The MN-HA extension must be there, come from this key, and cover all before itself."""
    for kind, at, body in extensions(data, start):
        if kind != 32:
            continue
        if len(body) != 20 or struct.unpack_from("!I", body)[0] != spi:
            raise Bad("authentication extension of another length or SPI")
        if not hmac.compare_digest(authenticator(key, data[:at + 6]), body[4:]):
            raise Bad("wrong authenticator")
        return at
    raise Bad("no authentication extension")


def build_request(home, agent, care_of, lifetime, ident, flags=0x22, extra=b"", spi=256,
                  key=b""):
    fixed = struct.pack("!BBH4s4s4sQ", 1, flags, lifetime, socket.inet_aton(home),
                        socket.inet_aton(agent), socket.inet_aton(care_of), ident)
    return with_auth(fixed + extra, spi, key)


def parse_request(data):
    if len(data) < 24 or data[0] != 1:
        raise Bad("not a Registration Request")
    _, flags, lifetime, home, agent, care_of, ident = struct.unpack_from("!BBH4s4s4sQ", data)
    return {"flags": flags, "lifetime": lifetime, "home": socket.inet_ntoa(home),
            "agent": socket.inet_ntoa(agent), "care_of": socket.inet_ntoa(care_of),
            "ident": ident}


def build_reply(code, lifetime, home, agent, ident, spi, key):
    fixed = struct.pack("!BBH4s4sQ", 3, code, lifetime, socket.inet_aton(home),
                        socket.inet_aton(agent), ident)
    return with_auth(fixed, spi, key)


def parse_reply(data):
    if len(data) < 20 or data[0] != 3:
        raise Bad("not a Registration Reply")
    _, code, lifetime, home, agent, ident = struct.unpack_from("!BBH4s4sQ", data)
    return {"code": code, "lifetime": lifetime, "home": socket.inet_ntoa(home),
            "agent": socket.inet_ntoa(agent), "ident": ident}


class HomeAgent(threading.Thread):
    """Answers on UDP 434 of one address.  skew_s: how far its clock is from the true one, so
    that the first request is denied with code 133 (5.7.1)."""

    def __init__(self, address, homes, spi, key, skew_s=0):
        super().__init__(daemon=True)
        self.key, self.spi, self.homes, self.skew_s = key, spi, homes, skew_s
        self.address = address
        self.seen = []          # one dictionary for each request
        self.last = 0
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((address, PORT))

    def answer(self, data, source):
        request = parse_request(data)
        code = 0
        try:
            at = check_auth(data, 24, self.spi, self.key)
            kinds = [kind for kind, off, _ in extensions(data, 24) if off < at]
            request["extensions"] = kinds
        except Bad as e:
            request["fault"] = str(e)
            return request, 131
        if any(kind < 128 and kind not in (32, 33, 34, 38) for kind in kinds):
            request["fault"] = f"unknown extension 0-127 among {kinds}"
            return request, None
        if 38 in kinds:         # RFC 3115: a critical vendor extension we do not know
            code = 141
        elif request["agent"] != self.address:
            code = 136
        elif request["home"] not in self.homes or source != request["home"]:
            code = 129
        elif (abs(seconds_of(request["ident"]) - (time.time() + self.skew_s)) > 7
              or request["ident"] <= self.last):
            code = 133
        return request, code

    def run(self):
        while True:
            data, (source, port) = self.sock.recvfrom(2048)
            try:
                request, code = self.answer(data, source)
            except Bad as e:
                self.seen.append({"fault": str(e)})
                continue
            request["code"] = code
            self.seen.append(request)
            if code is None:
                continue
            ident = request["ident"]
            if code == 0:
                self.last = ident
            elif code == 133:   # our time above, theirs below, so that they can tell which
                now = int(time.time() + self.skew_s) + NTP_1970
                ident = now << 32 | ident & 0xffffffff
            self.sock.sendto(build_reply(code, min(request["lifetime"], 600), request["home"],
                                         request["agent"], ident, self.spi, self.key),
                             (source, port))


def register(home, agent, care_of, spi, key, lifetime=600, ident=None, extra=b"", tries=4,
             wrong_key=False, source=None, claimed=None, to=None):
    """A mobile node: asks, and returns the checked reply, or None when there was none.  It can
    lie: ask from another address, or name another home agent than it asks.  Without a tunnel
    (transport mode) source and to are the addresses that it sees."""
    ident = identification(time.time()) if ident is None else ident
    message = build_request(home, claimed or agent, care_of, lifetime, ident, extra=extra,
                            spi=spi, key=os.urandom(32) if wrong_key else key)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((source or home, 0))
    sock.settimeout(1)
    with sock:
        for _ in range(tries):
            sock.sendto(message, (to or agent, PORT))
            try:
                data, sender = sock.recvfrom(2048)
            except socket.timeout:
                continue
            reply = parse_reply(data)
            check_auth(data, 20, spi, key)
            if sender != (to or agent, PORT):
                raise Bad(f"the reply came from {sender}")
            if (reply["home"], reply["agent"]) != (home, agent):
                raise Bad(f"a reply about others: {reply}")
            if reply["ident"] & 0xffffffff != ident & 0xffffffff:
                raise Bad("the low half of the identification is not the request's")
            if reply["code"] != 133 and reply["ident"] != ident:
                raise Bad("the identification is not the request's")
            return reply
    return None


# --- RFC 6275.  The kernel fills in a raw Mobility Header socket's checksum.

def build_update(sequence, lifetime_4s, flags=0xc000, options=b""):
    body = struct.pack("!HHH", sequence, flags, lifetime_4s) + options
    while (6 + len(body)) % 8:                  # Pad1 or PadN
        gap = 8 - (6 + len(body)) % 8
        body += b"\0" if gap == 1 else bytes([1, gap - 2]) + bytes(gap - 2)
    return struct.pack("!BBBBH", 59, (6 + len(body)) // 8 - 1, 5, 0, 0) + body


def parse_mobility(data, kind):
    if len(data) < 8 or data[0] != 59 or (data[1] + 1) * 8 != len(data) or data[2] != kind:
        raise Bad("not a sound Mobility Header message of this type")
    at = 12
    while at < len(data):
        if data[at] == 0:
            at += 1
        elif at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
            raise Bad("an option is longer than the message")
        else:
            at += 2 + data[at + 1]
    return data


class HomeAgent6(threading.Thread):
    def __init__(self, address, homes):
        super().__init__(daemon=True)
        self.seen, self.homes = [], homes
        self.sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, MH)
        self.sock.bind((address, 0))

    def run(self):
        while True:
            data, source = self.sock.recvfrom(2048)
            try:
                parse_mobility(data, 5)
                sequence, flags, lifetime = struct.unpack_from("!HHH", data, 6)
            except Bad as e:
                self.seen.append({"fault": str(e)})
                continue
            status = 0 if source[0] in self.homes else 129
            self.seen.append({"home": source[0], "sequence": sequence, "flags": flags,
                              "lifetime": lifetime, "code": status})
            if flags & 0x8000:
                body = struct.pack("!BBHH", status, 0, sequence, min(lifetime, 150)) + b"\x01\x02\0\0"
                self.sock.sendto(struct.pack("!BBBBH", 59, 1, 6, 0, 0) + body, source)


def update(home, agent, sequence, lifetime_4s=150, tries=4):
    """A mobile node's Binding Update; returns the acknowledgement's fields or None."""
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, MH) as sock:
        sock.bind((home, 0))
        sock.settimeout(1)
        for _ in range(tries):
            sock.sendto(build_update(sequence, lifetime_4s), (agent, 0))
            try:
                data, source = sock.recvfrom(2048)
            except socket.timeout:
                continue
            parse_mobility(data, 6)
            status, _, answered, granted = struct.unpack_from("!BBHH", data, 6)
            if ipaddress.ip_address(source[0]) != ipaddress.ip_address(agent):
                raise Bad(f"the acknowledgement came from {source[0]}")
            return {"status": status, "sequence": answered, "lifetime": granted}
    return None
