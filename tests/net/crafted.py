# SPDX-License-Identifier: MIT
"""Odd inner traffic from a seed, and what may become of it on its way through a tunnel.

A burst is some threads of packets, mixed; the packets of a thread keep their order.  A thread is a
train of one flow (what a receiver may merge, with neighbours that differ in one thing), fragments,
or single packets of an odd kind.  Written from the RFCs, without a line of what is tested.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
import socket
import struct
from typing import Callable, Iterable

ICMP, TCP, UDP, ICMP6, UDPLITE = 1, 6, 17, 58, 136
HOP_BY_HOP, ROUTING, FRAGMENT, AH, NONE, DESTINATION = 0, 43, 44, 51, 59, 60
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR, AE = 1, 2, 4, 8, 16, 32, 64, 128, 256
DF, MF = 2, 1
ECN = CE = 3
# What the network between the tunnel's ends does to packets of these classes (RFC 6040 4.2).
DSCP_CONGESTED = 0x15  # marks CE on what can carry it
DSCP_BROKEN = 0x16     # marks CE on everything: what cannot carry it is lost
MARKER_PORT = 9
HOPS = 2  # a router before the tunnel and one behind it


# -- packets -------------------------------------------------------------------------------------

def checksum(data: bytes) -> int:
    """RFC 1071: what makes the sum of data that is not all zero right; never 0xffff."""
    if len(data) % 2:
        data += b"\0"
    return (0xffff - int.from_bytes(data, "big") % 0xffff) % 0xffff


def address(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def pseudo_sum(source: bytes, target: bytes, proto: int, data: bytes) -> int:
    return checksum(source + target + struct.pack("!II", len(data), proto) + data)


@dataclasses.dataclass
class Ip:
    """A header, of the version that the addresses are of."""
    source: bytes
    target: bytes
    tos: int = 0
    ttl: int = 64
    ident: int = 0        # IPv4
    flags: int = DF       # IPv4: reserved, DF, MF
    offset: int = 0       # IPv4: in 8 bytes
    options: bytes = b""  # IPv4
    label: int = 0        # IPv6
    extensions: tuple[tuple[int, bytes], ...] = ()  # IPv6: kind, header without its first byte

    @property
    def version(self) -> int:
        return 4 if len(self.source) == 4 else 6

    def packet(self, proto: int, payload: bytes) -> bytes:
        if self.version == 4:
            head = struct.pack("!BBHHHBBH", 0x45 + len(self.options) // 4, self.tos,
                               20 + len(self.options) + len(payload), self.ident,
                               self.flags << 13 | self.offset, self.ttl, proto, 0)
            head += self.source + self.target + self.options
            return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload
        for kind, rest in reversed(self.extensions):
            payload, proto = bytes([proto]) + rest + payload, kind
        return struct.pack("!IHBB", 6 << 28 | self.tos << 20 | self.label, len(payload), proto,
                           self.ttl) + self.source + self.target + payload

    def sum(self, proto: int, data: bytes) -> int:
        return pseudo_sum(self.source, self.target, proto, data)

    def but(self, **changes) -> Ip:
        return dataclasses.replace(self, **changes)


@dataclasses.dataclass
class Udp:
    sport: int
    dport: int
    length: int | None = None  # what the header says
    check: int | None = None   # the checksum itself
    spoil: int = 0             # into the checksum

    check_at = 6

    def data(self, ip: Ip, payload: bytes) -> bytes:
        head = struct.pack("!HHH", self.sport, self.dport, 8 + len(payload) if self.length is None else self.length)
        check = self.check
        if check is None:
            check = (ip.sum(UDP, head + b"\0\0" + payload) or 0xffff) ^ self.spoil
        return head + struct.pack("!H", check) + payload

    def packet(self, ip: Ip, payload: bytes) -> bytes:
        return ip.packet(UDP, self.data(ip, payload))


@dataclasses.dataclass
class Tcp:
    sport: int
    dport: int
    seq: int = 0
    ack: int = 0
    flags: int = ACK
    window: int = 1000
    urgent: int = 0
    options: bytes = b""
    check: int | None = None   # the checksum itself
    spoil: int = 0             # into the checksum

    check_at = 16

    def data(self, ip: Ip, payload: bytes) -> bytes:
        words = 5 + len(self.options) // 4
        head = struct.pack("!HHIIBBH", self.sport, self.dport, self.seq & 0xffffffff, self.ack & 0xffffffff,
                           words << 4 | self.flags >> 8, self.flags & 0xff, self.window)
        rest = struct.pack("!H", self.urgent) + self.options + payload
        check = ip.sum(TCP, head + b"\0\0" + rest) ^ self.spoil if self.check is None else self.check
        return head + struct.pack("!H", check) + rest

    def packet(self, ip: Ip, payload: bytes) -> bytes:
        return ip.packet(TCP, self.data(ip, payload))


def summing_to_zero(ip: Ip, l4: Tcp | Udp, payload: bytes) -> bytes:
    """The payload with another last word, so that the checksum comes out as zero; even length."""
    proto = TCP if isinstance(l4, Tcp) else UDP
    plain = dataclasses.replace(l4, check=0).data(ip, payload[:-2] + b"\0\0")
    return payload[:-2] + struct.pack("!H", ip.sum(proto, plain))


# -- what a packet is ----------------------------------------------------------------------------

@dataclasses.dataclass
class View:
    packet: bytes
    version: int
    proto: int
    fragment: bool
    l4: int  # offset of the upper layer

    @property
    def ends(self) -> tuple:
        source, length = (12, 4) if self.version == 4 else (8, 16)
        return self.version, self.packet[source:source + 2 * length], self.proto

    @property
    def ports(self) -> bytes | None:
        """Of a flow that a receiver can tell from others; None: belongs to all of them."""
        if self.fragment or self.proto not in (TCP, UDP) or len(self.packet) < self.l4 + 4:
            return None
        return self.packet[self.l4:self.l4 + 4]

    @property
    def tos(self) -> int:
        return self.packet[1] if self.version == 4 else struct.unpack_from("!H", self.packet)[0] >> 4 & 0xff

    @property
    def ttl(self) -> int:
        return self.packet[8 if self.version == 4 else 7]


def view(packet: bytes) -> View:
    if packet[0] >> 4 == 4:
        field, = struct.unpack_from("!H", packet, 6)
        return View(packet, 4, packet[9], field & 0x3fff != 0, (packet[0] & 15) * 4)
    proto, at, fragment = packet[6], 40, False
    while len(packet) >= at + 8:
        if proto in (HOP_BY_HOP, ROUTING, DESTINATION):
            proto, at = packet[at], at + 8 + packet[at + 1] * 8
        elif proto == AH:
            proto, at = packet[at], at + 8 + packet[at + 1] * 4
        elif proto == FRAGMENT:
            field, = struct.unpack_from("!H", packet, at + 2)
            fragment = fragment or field & 0xfff9 != 0
            proto, at = packet[at], at + 8
            if field & 0xfff8:
                break
        else:
            break
    return View(packet, 6, proto, fragment, at)


def rewritten(v: View, tos: int, ttl: int) -> bytes:
    """The same packet with these, and the IPv4 header's checksum left out (see comparable)."""
    if v.version == 4:
        return v.packet[:1] + bytes([tos]) + v.packet[2:8] + bytes([ttl, v.packet[9], 0, 0]) + v.packet[12:]
    first, = struct.unpack_from("!I", v.packet)
    return struct.pack("!I", first & ~(0xff << 20) | tos << 20) + v.packet[4:7] + bytes([ttl]) + v.packet[8:]


def clamped(packet: bytes, l4: int, mtu: int) -> bytes:
    """RFC 9293 3.7.1: a SYN's MSS lowered to what fits, its checksum changed by as much."""
    room = mtu - (40 if packet[0] >> 4 == 4 else 60)
    end = l4 + (packet[l4 + 12] >> 4) * 4
    at = l4 + 20
    out = bytearray(packet)
    if end > len(packet):  # no header to change anything in
        return packet
    while at < end and packet[at] != 0:
        if packet[at] == 1:
            at += 1
            continue
        if at + 1 >= end or packet[at + 1] < 2 or at + packet[at + 1] > end:
            break
        if packet[at] == 2 and packet[at + 1] == 4 and int.from_bytes(packet[at + 2:at + 4], "big") > room:
            shift = 1 if (at + 2 - l4) % 2 == 0 else 256
            delta = (int.from_bytes(out[at + 2:at + 4], "big") - room) * shift
            struct.pack_into("!H", out, at + 2, room)
            struct.pack_into("!H", out, l4 + 16, (int.from_bytes(out[l4 + 16:l4 + 18], "big") + delta) % 0xffff)
        at += packet[at + 1]
    return bytes(out)


def expected(packet: bytes, mtu: int) -> bytes | None:
    """What arrives of it, as comparable() gives it; None: nothing.  This is all that may change:
    TTL by the routers, ECN by RFC 6040 where the network marked congestion, MSS of a SYN."""
    v = view(packet)
    tos, ecn = v.tos, v.tos & ECN
    if v.tos >> 2 == DSCP_CONGESTED and ecn:
        tos |= CE
    elif v.tos >> 2 == DSCP_BROKEN:
        if not ecn:
            return None
        tos |= CE
    if is_syn(v):
        packet = clamped(packet, v.l4, mtu)
    return comparable(rewritten(view(packet), tos, v.ttl - HOPS))


def is_syn(v: View) -> bool:
    return (v.proto == TCP and not v.fragment and len(v.packet) >= v.l4 + 20 and v.packet[v.l4 + 13] & SYN != 0
            and v.packet[v.l4 + 12] >> 4 >= 5)


def comparable(packet: bytes) -> bytes:
    """Without an IPv4 header's checksum, which every router makes anew and the next one verifies,
    and with one spelling of a SYN's checksum, which mending may change."""
    if packet[0] >> 4 == 4:
        packet = packet[:10] + b"\0\0" + packet[12:]
    return one_zero(packet) if is_syn(view(packet)) else packet


def one_zero(packet: bytes) -> bytes:
    """A TCP checksum that comes out as zero may be written 0 or 0xffff; whoever makes it chooses."""
    v = view(packet)
    if v.proto == TCP and not v.fragment and packet[v.l4 + 16:v.l4 + 18] == b"\xff\xff":
        return packet[:v.l4 + 16] + b"\0\0" + packet[v.l4 + 18:]
    return packet


def without_atomic_id(packet: bytes) -> bytes:
    """RFC 6864 4.1: the identification of an IPv4 packet that has DF and is no fragment means
    nothing, and whoever cuts a merged packet counts it up."""
    if packet[0] >> 4 == 4 and packet[6] & 0x40 and not view(packet).fragment:
        return packet[:4] + b"\0\0" + packet[6:]
    return packet


# -- what is too large, or has no hop left ---------------------------------------------------------

def pieces(packet: bytes, mtu: int) -> list[bytes]:
    """RFC 791 3.2, of a packet without options; it may be a fragment itself."""
    if len(packet) <= mtu:
        return [packet]
    field, = struct.unpack_from("!H", packet, 6)
    data, room, out = packet[20:], (mtu - 20) & ~7, []
    for at in range(0, len(data), room):
        if len(data) - at <= mtu - 20:  # the last one need not be a multiple of eight
            part, more = data[at:], field & 0x2000
        else:
            part, more = data[at:at + room], 0x2000
        head = packet[:2] + struct.pack("!HHH", 20 + len(part), struct.unpack_from("!H", packet, 4)[0],
                                        field & 0xc000 | more | (field & 0x1fff) + at // 8) + packet[8:20]
        head = head[:10] + b"\0\0" + head[12:]
        out.append(head[:10] + struct.pack("!H", checksum(head)) + head[12:] + part)
        if at + len(part) == len(data):
            break
    return out


Answer = tuple[int, int, int, bytes]  # ICMP type, code, MTU, and the beginning of what it is about


def quoted(packet: bytes) -> bytes:
    """Without what changes on the way to whoever complains."""
    return rewritten(view(packet), 0, 0)[:28 if packet[0] >> 4 == 4 else 48]


def answer(packet: bytes) -> Answer:
    v = view(packet)
    kind, code = packet[v.l4:v.l4 + 2]
    mtu, = struct.unpack_from("!I", packet, v.l4 + 4)
    return kind, code, mtu, quoted(packet[v.l4 + 8:])


def outcome(packet: bytes, tun: int, carried: int) -> tuple[list[bytes], list[Answer]]:
    """What arrives, as comparable() gives it, and what is answered to the sender.  The router before
    the tunnel knows the tunnel device's MTU, the tunnel's end what the connection carries; each router
    takes a hop."""
    v, parts = view(packet), [packet]

    def answers(kind: int, code: int, about: bytes, mtu: int = 0) -> list[Answer]:
        """Not about errors, nor about the rest of a fragmented packet (RFC 1812 4.3.2.7, RFC 4443 2.4 (e))."""
        rest = v.version == 4 and struct.unpack_from("!H", about, 6)[0] & 0x1fff
        return [] if v.proto in (ICMP, ICMP6) or rest else [(kind, code, mtu, quoted(about))]

    exceeded = 11 if v.version == 4 else 3
    if v.ttl == 1:
        return [], answers(exceeded, 0, packet)
    for mtu in (tun, carried):
        if v.version == 6 and mtu < 1280:
            continue
        if max(map(len, parts)) > mtu and (v.version == 6 or packet[6] & 0x40):
            return [], answers(*((3, 4) if v.version == 4 else (2, 0)), packet, mtu)
        parts = [f for p in parts for f in pieces(p, mtu)]
    if v.ttl == HOPS:
        return [], [a for p in parts for a in answers(exceeded, 0, p)]
    return [comparable(rewritten(view(p), v.tos, v.ttl - HOPS)) for p in parts], []


# -- traffic -------------------------------------------------------------------------------------

TIMESTAMPS = b"\1\1\x08\x0a" + bytes(range(8))
TCP_OPTIONS = (b"", b"", TIMESTAMPS, TIMESTAMPS, TIMESTAMPS + b"\1\1\5\x0a" + bytes(8), b"\1" * 40,
               b"\xfd\x04\xbe\xef")
IP4_OPTIONS = (
    b"\1\1\1\0",                                   # padding
    b"\x94\x04\0\0",                               # router alert
    b"\x82\x0b" + bytes(9) + b"\0",                # security, copied into fragments
    b"\x88\x04\x12\x34",                           # stream identifier
    b"\x1e\x06\1\2\3\4\0\0", b"\x9e\x04\1\2",      # experimental, not copied and copied (RFC 4727)
    b"\1" * 39 + b"\0",
)
IP6_EXTENSIONS = (
    (HOP_BY_HOP, b"\0\1\4\0\0\0\0"),               # padding
    (HOP_BY_HOP, b"\0\5\2\0\0\1\0"),               # router alert
    (HOP_BY_HOP, b"\1\x1e\x0c" + bytes(12)),       # experimental, to be skipped
    (DESTINATION, b"\0\x3e\4\1\2\3\4"),            # changeable on the way
    (DESTINATION, b"\2\1\x14" + bytes(20)),
    (ROUTING, b"\2\4\0" + bytes(20)),              # no segments left
    (ROUTING, b"\2\0\1" + bytes(4) + address("2001:db8::77")),
    (FRAGMENT, b"\0\0\0\1\2\3\4"),                 # atomic (RFC 6946)
    (AH, b"\4\0\0\0\0\1\1" + bytes(16)),
)
ODD_PROTOCOLS = {4: (0, 2, 4, 41, 46, 47, 50, 51, 58, 59, 89, 103, 132, 253, 254, 255),
                 6: (2, 4, 41, 46, 47, 50, 59, 89, 103, 132, 253, 254, 255)}
TOS = (0, 0, 1, 2, 3, 0xb8, 0xba, 0x2a, 0xfc) + tuple(DSCP_CONGESTED << 2 | e for e in range(4)) + \
    tuple(DSCP_BROKEN << 2 | e for e in range(4))


class Traffic:
    """Of one IP version in one direction.  No packet is larger than mtu."""

    def __init__(self, rng: random.Random, source: str, target: str, mtu: int):
        self.rng, self.mtu = rng, mtu
        self.source, self.target = address(source), address(target)
        self.version = 6 if ":" in source else 4
        self.next_port = rng.randrange(1024, 20000)
        self.next_ident = rng.randrange(1 << 16)

    def port(self) -> int:
        self.next_port += 1
        return self.next_port

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def ip(self, **more) -> Ip:
        rng = self.rng
        self.next_ident = (self.next_ident + 1) & 0xffff
        given = {
            "tos": rng.choice(TOS) if self.chance(0.4) else 0,
            "ttl": rng.choice((64, 64, 255, 128, HOPS + 1, rng.randrange(HOPS + 1, 256))),
            "ident": rng.choice((0, self.next_ident, rng.randrange(1 << 16))),
            "flags": rng.choice((0, DF, DF, 4, 4 | DF)),
            "label": rng.choice((0, rng.randrange(1 << 20))),
        }
        return Ip(self.source, self.target, **{**given, **more})

    def data(self) -> bytes:
        """Of any length that leaves room for the largest TCP header behind a plain IP header."""
        room = self.mtu - (20 if self.version == 4 else 40) - 60
        return self.rng.randbytes(self.rng.choice((0, 1, 2, 7, 8, room, room - 1, self.rng.randrange(room + 1))))

    # Trains

    def tcp_train(self) -> list[bytes]:
        rng = self.rng
        ip = self.ip(ident=rng.choice((0, rng.randrange(1 << 16), 0xfff8)))
        tcp = Tcp(self.port(), 80, rng.choice((rng.randrange(1 << 32), 0xffffff00)), rng.randrange(1 << 32),
                  options=rng.choice(TCP_OPTIONS))
        room = self.mtu - len(tcp.packet(ip, b""))
        size = min(room, rng.choice((1, 2, 3, 100, 536, 999, 1200, room, room)))
        counting, rate = self.chance(0.7), rng.choice((0, 0.05, 0.1, 0.3))
        out: list[bytes] = []
        for _ in range(rng.choice((2, 3, 10, 20, 50)) if size < 900 else rng.randrange(2, 46)):
            payload, shift = rng.randbytes(size), size
            if self.chance(rate):
                now_ip, now, payload, shift = self.tcp_change(ip, tcp, payload, out)
                if self.chance(0.3):  # and stays so
                    ip = now_ip.but(extensions=(), options=b"")
                    tcp = dataclasses.replace(tcp, flags=now.flags & (PSH | ACK | AE), ack=now.ack, window=now.window,
                                              urgent=now.urgent, options=now.options)
                    size = min(size, self.mtu - len(tcp.packet(ip, b"")))
            else:
                now_ip, now = ip, tcp
            out.append(now.packet(now_ip, payload))
            tcp.seq += shift
            if counting:
                ip = ip.but(ident=(ip.ident + 1) & 0xffff)
        if self.chance(0.5):
            tcp.flags |= PSH
            out.append(tcp.packet(ip, rng.randbytes(rng.randrange(1, size + 1))))
        return out

    def tcp_change(self, ip: Ip, tcp: Tcp, payload: bytes, out: list[bytes]) -> tuple[Ip, Tcp, bytes, int]:
        """A segment that is not quite like its neighbours, and how far the numbers go on.  May put
        one before it."""
        rng, now, shift = self.rng, dataclasses.replace(tcp), len(payload)
        room = self.mtu - len(tcp.packet(ip, b""))
        kind = rng.choice((0, 0, 0, *range(23)))
        if kind == 0:
            now.flags |= rng.choice((PSH, FIN, SYN, RST, URG, ECE, CWR, AE, PSH | FIN, ECE | CWR))
        elif kind == 1:
            now.flags = rng.choice((0, PSH, FIN, SYN, SYN | ACK, RST, URG | ACK | PSH))
        elif kind == 2:
            payload = b""
            shift = 0
        elif kind == 3:
            payload = payload[:rng.randrange(1, len(payload) + 1)]
            shift = len(payload)
        elif kind == 4:
            payload = rng.randbytes(min(room, len(payload) + rng.randrange(1, 9)))
            shift = len(payload)
        elif kind == 5:
            now.seq += rng.choice((1, -1, len(payload), 1 << 31))
        elif kind == 6:
            out.append(now.packet(ip, payload))  # the same twice
        elif kind == 7:
            now.ack += rng.choice((1, -1, 1 << 30))
        elif kind == 8:
            now.window ^= 1 << rng.randrange(16)
        elif kind == 9:
            now.urgent = rng.randrange(1 << 16)
            now.flags |= rng.choice((0, URG))
        elif kind == 10 and tcp.options:
            at = rng.randrange(len(tcp.options))
            now.options = tcp.options[:at] + bytes([tcp.options[at] ^ 1 << rng.randrange(8)]) + tcp.options[at + 1:]
        elif kind == 11:
            now.options = rng.choice([o for o in TCP_OPTIONS if len(o) <= len(tcp.options)])
        elif kind == 12:
            ip = ip.but(tos=rng.choice(TOS))
        elif kind == 13:
            ip = ip.but(ttl=rng.randrange(HOPS + 1, 256))
        elif kind == 14:
            ip = ip.but(ident=rng.randrange(1 << 16), label=ip.label ^ 1 << rng.randrange(20))
        elif kind == 15:
            ip = ip.but(flags=ip.flags ^ rng.choice((DF, 4)))
        else:
            return self.tcp_spoilt(ip, now, payload, out)
        return ip, now, payload, shift

    def tcp_spoilt(self, ip: Ip, now: Tcp, payload: bytes, out: list[bytes]) -> tuple[Ip, Tcp, bytes, int]:
        """Its checksum, its headers, or what comes before it."""
        rng, kind = self.rng, self.rng.randrange(6)
        if kind == 0:
            now.spoil = rng.choice((1, 0x100, 0xffff, rng.randrange(1, 1 << 16)))
        elif kind == 1:
            now.spoil = 0x0101
        elif kind == 2 and len(payload) >= 2:
            payload = summing_to_zero(ip, now, payload[:len(payload) & ~1])
            now.check = rng.choice((0, 0xffff))
        elif kind == 3:
            ip, payload = self.with_headers(ip, payload)
        elif kind == 4:
            out.append(self.first_fragment(ip, TCP, now.data(ip, payload)))
        else:  # of other data
            now.check = ip.sum(TCP, dataclasses.replace(now, check=0).data(ip, payload + b"x"))
        return ip, now, payload, len(payload)

    def udp_train(self) -> list[bytes]:
        rng = self.rng
        ip, udp = self.ip(ident=rng.choice((0, rng.randrange(1 << 16), 0xfff8))), Udp(self.port(), 5000)
        room = self.mtu - len(udp.packet(ip, b""))
        size = min(room, rng.choice((1, 2, 3, 64, 100, 536, 999, 1200, room, room)))
        counting, rate = self.chance(0.7), rng.choice((0, 0.05, 0.1, 0.3))
        out: list[bytes] = []
        for _ in range(rng.choice((2, 3, 10, 20, 50)) if size < 900 else rng.randrange(2, 46)):
            if self.chance(rate):
                out += self.udp_change(ip, udp, rng.randbytes(size), room)
            else:
                out.append(udp.packet(ip, rng.randbytes(size)))
            if counting:
                ip = ip.but(ident=(ip.ident + 1) & 0xffff)
        if self.chance(0.5):
            out.append(udp.packet(ip, rng.randbytes(rng.randrange(size + 1))))
        if self.chance(0.3):  # no checksums at all
            out = [udp_without_checksum(p) for p in out]
        return out

    def udp_change(self, ip: Ip, udp: Udp, payload: bytes, room: int) -> list[bytes]:
        rng, now = self.rng, dataclasses.replace(udp)
        kind = rng.randrange(12)
        if kind == 0:
            payload = payload[:rng.randrange(len(payload))]
        elif kind == 1:
            payload = rng.randbytes(min(room, len(payload) + rng.randrange(1, 9)))
        elif kind == 2:
            now.check = 0
        elif kind == 3:
            now.spoil = rng.choice((1, 0x100, 0x0101, rng.randrange(1, 1 << 16)))
        elif kind == 4:
            now.length = rng.choice((0, 7, 8, 7 + len(payload), 9 + len(payload), 0xffff))
        elif kind == 5:  # shorter than the IP payload, and the checksum right for that
            end = rng.randrange(len(payload) + 1)
            now.length = 8 + end
            now.check = ip.sum(UDP, dataclasses.replace(now, check=0).data(ip, payload[:end])) or 0xffff
        elif kind == 6:
            ip = ip.but(tos=rng.choice(TOS))
        elif kind == 7:
            ip = ip.but(ttl=rng.randrange(HOPS + 1, 256))
        elif kind == 8:
            ip = ip.but(ident=rng.randrange(1 << 16), flags=ip.flags ^ rng.choice((0, DF, 4)),
                        label=ip.label ^ 1 << rng.randrange(20))
        elif kind == 9 and len(payload) >= 2:
            payload = summing_to_zero(ip, now, payload[:len(payload) & ~1])
            now.check = rng.choice((0, 0xffff))
        elif kind == 10:
            ip, payload = self.with_headers(ip, payload)
        elif kind == 11:
            return [self.first_fragment(ip, UDP, now.data(ip, payload)), now.packet(ip, payload)]
        return [now.packet(ip, payload)]

    # Single packets

    def with_headers(self, ip: Ip, payload: bytes) -> tuple[Ip, bytes]:
        """The same with IPv4 options or IPv6 extension headers, and less payload where need be."""
        if self.version == 4:
            changed = ip.but(options=self.rng.choice(IP4_OPTIONS))
            return changed, payload[:max(0, len(payload) - len(changed.options))]
        chosen = self.rng.sample(IP6_EXTENSIONS, self.rng.randrange(1, 4))
        chosen.sort(key=lambda e: (HOP_BY_HOP, DESTINATION, ROUTING, FRAGMENT, AH).index(e[0]))
        kinds = [kind for kind, _ in chosen]
        chosen = [e for i, e in enumerate(chosen) if e[0] not in kinds[:i]]
        return ip.but(extensions=tuple(chosen)), payload[:max(0, len(payload) - sum(len(r) + 1 for _, r in chosen))]

    def headers(self) -> list[bytes]:
        out = []
        for _ in range(self.rng.randrange(1, 6)):
            ip, payload = self.with_headers(self.ip(), self.data())
            out.append(self.rng.choice((Tcp(self.port(), 80), Udp(self.port(), 53))).packet(ip, payload))
        return out

    def tcp_flags(self) -> list[bytes]:
        """Every combination, in time, with and without payload; SYNs with options."""
        rng, out = self.rng, []
        for _ in range(rng.randrange(4, 20)):
            options = rng.choice(TCP_OPTIONS)
            flags = rng.randrange(512)
            if flags & SYN:
                mss = struct.pack("!H", rng.choice((536, 1220, 1460, 8960, rng.randrange(1 << 16))))
                options = rng.choice((b"", b"\2\4" + mss + b"\1\3\3\7", b"\1\2\4" + mss + b"\1\1\0", b"\2\4" + mss))
            tcp = Tcp(self.port(), rng.choice((80, 443)), rng.randrange(1 << 32), rng.randrange(1 << 32), flags,
                      rng.randrange(1 << 16), rng.choice((0, 1, rng.randrange(1 << 16))), options,
                      spoil=rng.choice((0, 0, 0, 0x8001)))
            out.append(tcp.packet(self.ip(), self.data()))
        return out

    def broken_tcp(self) -> list[bytes]:
        """Cut short, or with a data offset that cannot be."""
        out = []
        for _ in range(self.rng.randrange(1, 4)):
            ip = self.ip()
            data = bytearray(Tcp(self.port(), 80, flags=self.rng.choice((ACK, SYN))).data(ip, self.rng.randbytes(8)))
            if self.chance(0.5):
                data = data[:self.rng.randrange(len(data))]
            else:
                data[12] = self.rng.choice((0, 0x40, 0x80, 0xf0))
            out.append(ip.packet(TCP, bytes(data)))
        return out

    def protocols(self) -> list[bytes]:
        out = []
        for _ in range(self.rng.randrange(1, 6)):
            ip, data = self.ip(), self.data()
            kind = self.rng.randrange(3)
            if kind == 0:
                out.append(ip.packet(self.rng.choice(ODD_PROTOCOLS[self.version]), data))
            elif kind == 1:
                out.append(ip.packet(UDPLITE, struct.pack("!HHHH", self.port(), 7, self.rng.choice((0, 8, 12)), 0xbeef)
                                     + data))
            else:
                body = struct.pack("!BBHHH", 8 if self.version == 4 else 128, 0, 0, self.port(), 1) + data
                check = checksum(body) if self.version == 4 else ip.sum(ICMP6, body)
                out.append(ip.packet(ICMP if self.version == 4 else ICMP6,
                                     body[:2] + struct.pack("!H", check ^ self.rng.choice((0, 0, 1))) + body[4:]))
        return out

    def first_fragment(self, ip: Ip, proto: int, data: bytes) -> bytes:
        """As much of it as goes into one packet; the rest is nobody's."""
        if self.version == 4:
            return ip.but(flags=MF).packet(proto, data[:len(data) & ~7 or 8])
        header = FRAGMENT, struct.pack("!BHI", 0, MF, self.rng.randrange(1 << 32))
        return ip.but(extensions=(header,)).packet(proto, data[:(len(data) - 8) & ~7])

    def fragments(self) -> list[bytes]:
        """All of a datagram, in some order; perhaps not all."""
        rng = self.rng
        ip = self.ip(ident=rng.randrange(1 << 16))
        payload = rng.randbytes(rng.randrange(20, 6000))
        proto, data = rng.choice(((UDP, Udp(self.port(), 9000).data(ip, payload)),
                                  (TCP, Tcp(self.port(), 80).data(ip, payload)),
                                  (ICMP if self.version == 4 else ICMP6, payload), (253, payload)))
        room = self.mtu - (20 if self.version == 4 else 48)
        size = rng.choice((8, 64, 512, room)) & ~7
        if len(data) > 40 * size:
            data = data[:40 * size]
        out, ident = [], rng.randrange(1 << 32)
        for at in range(0, len(data), size):
            more = MF if at + size < len(data) else 0
            if self.version == 4:
                now = ip.but(flags=more | ip.flags & 4, offset=at // 8)
            else:
                now = ip.but(extensions=((FRAGMENT, struct.pack("!BHI", 0, at | more, ident)),))
            out.append(now.packet(proto, data[at:at + size]))
        how = rng.randrange(4)
        if how == 1:
            out.reverse()
        elif how == 2:
            rng.shuffle(out)
        elif how == 3:
            out = rng.sample(out, rng.randrange(1, len(out) + 1))
        return out

    def large(self, sizes: tuple[int, ...], most: int) -> bytes:
        """Perhaps larger than what the tunnel takes, or with no hop left."""
        rng = self.rng
        ip = self.ip(tos=0, ttl=rng.choice((1, 2, 3, 64, 64, 64, 64)), flags=rng.choice((0, 0, DF, MF)))
        if self.version == 4 and ip.flags == MF:
            ip = ip.but(offset=rng.choice((0, 0, rng.randrange(2000))))
        length = rng.choice((*sizes, *sizes, rng.randrange(200, most)))
        payload = rng.randbytes(length - len(Udp(1, 1).packet(ip, b"")))
        if ip.version == 4 and ip.flags == MF:
            payload = payload[:len(payload) & ~7]
        kind = rng.randrange(4)
        if kind == 0:
            return ip.packet(253, payload + bytes(8))
        if kind == 1:  # about an error nobody complains
            body = struct.pack("!BBHI", *((3, 1) if self.version == 4 else (1, 4)), 0, 0) + payload
            return ip.packet(ICMP if self.version == 4 else ICMP6, body)
        if kind == 2:
            return Tcp(self.port(), 80).packet(ip, payload[12:])
        return Udp(self.port(), 5000).packet(ip, payload)

    KINDS = ("tcp_train",) * 5 + ("udp_train",) * 5 + ("fragments", "headers", "tcp_flags", "broken_tcp", "protocols")

    def thread(self) -> list[bytes]:
        return getattr(self, self.rng.choice(self.KINDS))()

    def marker(self) -> bytes:
        """Ends a burst."""
        return Udp(self.port(), MARKER_PORT).packet(Ip(self.source, self.target), b"end of burst")


def udp_without_checksum(packet: bytes) -> bytes:
    v = view(packet)
    if v.proto != UDP or v.fragment:
        return packet
    return packet[:v.l4 + 6] + b"\0\0" + packet[v.l4 + 8:]


def mixed(rng: random.Random, threads: Iterable[list[bytes]]) -> list[bytes]:
    """The threads through each other, in shorter or longer pieces."""
    left, out, piece = [list(t) for t in threads if t], [], rng.choice((1, 3, 20, 100))
    while left:
        at = rng.randrange(len(left))
        count = rng.randrange(1, piece + 1)
        out += left[at][:count]
        left[at] = left[at][count:]
        if not left[at]:
            del left[at]
    return out


def burst(rng: random.Random, traffics: list[Traffic], most: int = 200) -> list[bytes]:
    threads: list[list[bytes]] = []
    while sum(map(len, threads)) < most - 60 and len(threads) < 12:
        threads.append(rng.choice(traffics).thread())
    return mixed(rng, threads)[:most] + [rng.choice(traffics).marker()]


# -- frames that somebody must finish ------------------------------------------------------------

NEEDS_CSUM = 1
GSO_TCP4, GSO_TCP6, GSO_UDP, GSO_ECN = 1, 4, 5, 0x80


@dataclasses.dataclass
class Frame:
    """An IP packet behind a virtio header (virtio 1.2, 5.1.6), and the packets it stands for."""
    data: bytes
    packets: list[bytes]

    @classmethod
    def plain(cls, packet: bytes) -> Frame:
        return cls(bytes(10) + packet, [packet])

    @classmethod
    def of(cls, ip: Ip, l4: Tcp | Udp, payload: bytes, size: int) -> Frame:
        """Cut by size as the sender's stack would have done; size 0: only the checksum is left to do."""
        proto = TCP if isinstance(l4, Tcp) else UDP
        whole = l4.data(ip, payload)
        sum_so_far = ~checksum(ip.source + ip.target + struct.pack("!II", len(whole), proto)) & 0xffff
        whole = dataclasses.replace(l4, check=sum_so_far).data(ip, payload)
        packet = ip.packet(proto, whole)
        start = len(packet) - len(whole)
        kind = 0
        if size:
            kind = GSO_UDP if proto == UDP else GSO_TCP4 if ip.version == 4 else GSO_TCP6
            if proto == TCP and l4.flags & CWR:
                kind |= GSO_ECN
        header = struct.pack("<BBHHHH", NEEDS_CSUM, kind, len(packet) - len(payload), size, start, l4.check_at)
        parts = [payload[i:i + size] for i in range(0, len(payload), size)] if size else [payload]
        packets = []
        for i, part in enumerate(parts):
            now = l4
            if isinstance(l4, Tcp):
                flags = l4.flags & (~0 if i == 0 else ~CWR) & (~0 if i + 1 == len(parts) else ~(FIN | PSH))
                now = dataclasses.replace(l4, seq=l4.seq + i * size, flags=flags)
            packets.append(now.packet(ip.but(ident=(ip.ident + i) & 0xffff), part))
        return cls(header + packet, packets)


class Frames(Traffic):
    """What a stack hands over with the work left to the device."""

    def frame(self) -> Frame:
        rng = self.rng
        ip = self.ip(ident=rng.choice((0, rng.randrange(1 << 16), 0xfff8)))
        if self.chance(0.2):
            ip, _ = self.with_headers(ip, b"")
            ip = ip.but(extensions=tuple(e for e in ip.extensions if e[0] in (HOP_BY_HOP, ROUTING, DESTINATION)))
        l4: Tcp | Udp = Udp(self.port(), 5000)
        if self.chance(0.6):
            l4 = Tcp(self.port(), 80, rng.choice((rng.randrange(1 << 32), 0xffffff00)), rng.randrange(1 << 32),
                     rng.choice((ACK, ACK | PSH, rng.randrange(256) & ~SYN | ACK)), rng.randrange(1 << 16),
                     rng.choice((0, rng.randrange(1 << 16))), rng.choice(TCP_OPTIONS))
        room = self.mtu - len(l4.packet(ip, b""))
        if ip.extensions:  # a router takes the first of them for the TCP header when it looks at the MTU
            room -= 60
        size = rng.choice((1, 7, 100, room, room, rng.randrange(1, room + 1)))
        if self.chance(0.2):
            return Frame.of(ip, l4, rng.randbytes(rng.randrange(room + 1)), 0)
        most = min(60 * size, 65000 - (self.mtu - room))
        payload = rng.randbytes(rng.randrange(size + 1, max(size + 2, most)))
        if isinstance(l4, Udp) and size % 2 == 0 and self.chance(0.3):  # 0 would mean no checksum
            payload = summing_to_zero(ip, l4, payload[:size]) + payload[size:]
        return Frame.of(ip, l4, payload, size)

    def frames(self, most: int) -> list[Frame]:
        out: list[Frame] = []
        while sum(len(f.packets) for f in out) < most - 60:
            out += [self.frame()] if self.chance(0.7) else map(Frame.plain, self.thread()[:20])
        return out + [Frame.plain(self.marker())]


# -- comparing -----------------------------------------------------------------------------------

def by_flow(packets: list[bytes]) -> dict[tuple, list[bytes]]:
    """The packets of every flow in order.  What names no ports is part of every flow of its ends."""
    flows: dict[tuple, list[bytes]] = {}
    for ends, group in itertools.groupby(sorted((view(p) for p in packets), key=lambda v: v.ends), lambda v: v.ends):
        views = list(group)
        for ports in {v.ports for v in views}:
            flows[*ends, ports] = [v.packet for v in views if v.ports in (ports, None)]
    return flows
