# SPDX-License-Identifier: MIT
"""The kernel's own TCP and UDP between namespaces: what one end writes, the other reads.

All connections run at once in one loop.  Each end has a script of writes and knows what the other
end's script says; urgent octets are read in their place in the stream (SO_OOBINLINE).
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import itertools
import random
import select
import socket
import struct
import time

import offload_world as o
import world as w

UDP_SEGMENT, UDP_GRO, UDP_NO_CHECK6_TX, UDP_NO_CHECK6_RX, SO_NO_CHECK = 103, 104, 101, 102, 11
SIOCATMARK = 0x8905
OPT_TIMESTAMPS, OPT_SACK, OPT_ECN = 1, 2, 8
SEGMENTS_MAX = 60
URGENT, RESET = "urgent", "reset"
PATTERNS = ("bulk", "octets", "mixed", URGENT, RESET)
# Not beside the others, whose losses would disturb: a reset is sent only once; and when the room for
# options changes in a loss, the kernel cuts an urgent segment that it sends again without mending
# its urgent pointer.
QUIET = (URGENT, RESET)


def writes(rng: random.Random, pattern: str) -> list[bytes]:
    if pattern == "bulk":
        return [rng.randbytes(rng.randrange(60000, 300000)) for _ in range(8)]
    if pattern == "octets":
        return [rng.randbytes(1) for _ in range(600)]
    most = 2000 if pattern in QUIET else 20000
    return [rng.randbytes(rng.choice((1, 2, 100, 1448, rng.randrange(1, most)))) for _ in range(60)]


class TcpEnd:
    def __init__(self, sock: socket.socket, script: list[bytes], urgent: set[int], peer: list[bytes], name: str):
        self.sock, self.script, self.urgent, self.name = sock, script, urgent, name
        self.wanted = hashlib.sha256(b"".join(peer)).digest()
        self.left = sum(map(len, peer))
        self.digest = hashlib.sha256()
        self.at = self.offset = self.marks = 0
        self.waits_for_all = self.resets = self.to_be_reset = False
        self.written = self.done = False
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)

    def wants(self) -> int:
        may_write = not self.written and not (self.waits_for_all and self.left)
        return select.POLLIN | (select.POLLOUT if may_write else 0)

    def write(self) -> None:
        for _ in range(64):
            if self.at == len(self.script):
                self.written = True
                if not self.resets and not self.to_be_reset:
                    self.sock.shutdown(socket.SHUT_WR)
                return
            piece = memoryview(self.script[self.at])[self.offset:]
            try:
                sent = self.sock.send(piece, socket.MSG_OOB if self.at in self.urgent else 0)
            except BlockingIOError:
                return
            self.offset += sent
            if sent < len(piece):
                return
            self.at, self.offset = self.at + 1, 0

    def read(self) -> None:
        self.note_mark()
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionResetError:
            if not self.to_be_reset or self.left:
                raise w.Failed(f"{self.name}: reset with {self.left} octets missing") from None
            self.done = self.written = True
            return
        self.note_mark()
        self.left -= len(data)
        self.digest.update(data)
        if self.left < 0 or not data and self.left:
            raise w.Failed(f"{self.name}: ended with {self.left} octets missing")
        if not self.left and self.resets:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.close()
            self.done = self.written = True
        elif not data:
            if self.to_be_reset:
                raise w.Failed(f"{self.name}: an end instead of a reset")
            self.done = True

    def note_mark(self) -> None:
        """Whether the next octet is an urgent one; reading stops before it, if it does not begin there."""
        self.marks += struct.unpack("i", fcntl.ioctl(self.sock, SIOCATMARK, bytes(4)))[0] != 0

    def check(self) -> None:
        if self.digest.digest() != self.wanted:
            raise w.Failed(f"{self.name}: other octets came than were written")


@dataclasses.dataclass
class Place:
    """An end's namespace, and its addresses by version."""
    name: str
    v4: str
    v6: str

    def address(self, version: int) -> str:
        return self.v4 if version == 4 else self.v6

    def socket(self, world: o.OffloadWorld, version: int, kind: int) -> socket.socket:
        with o.inside(world.ns(self.name)):
            sock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, kind)
        sock.bind((self.address(version), 0))
        return sock


NEAR, FAR = Place("in", *o.NEAR["in"]), Place("x", *o.NEAR["x"])
TERMINAL = Place("mt", w.ALICE.home4, w.ALICE.home6)
PAIRS = ((NEAR, FAR), (FAR, NEAR), (TERMINAL, FAR), (FAR, TERMINAL))  # who connects, whereto


def set_tcp(world: o.OffloadWorld, timestamps: bool, sack: bool) -> None:
    for name in ("in", "x", "mt"):
        world.sh(name, f"""
            echo {int(timestamps)} >/proc/sys/net/ipv4/tcp_timestamps
            echo {int(sack)} >/proc/sys/net/ipv4/tcp_sack
            echo 1 >/proc/sys/net/ipv4/tcp_ecn
            """)


def connect(world: o.OffloadWorld, rng: random.Random, pattern: str, version: int, pair: tuple[Place, Place],
            options: int) -> list[TcpEnd]:
    client, server = pair
    name = f"TCP {pattern} IPv{version} {client.name} to {server.name} options {options:#x}"
    listener = server.socket(world, version, socket.SOCK_STREAM)
    listener.listen(1)
    a = client.socket(world, version, socket.SOCK_STREAM)
    if rng.random() < 0.3:
        a.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, rng.randrange(100, 1400))
    a.settimeout(5)
    a.connect(listener.getsockname())
    b, _ = listener.accept()
    listener.close()
    for s in (a, b):
        agreed = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5]
        if agreed & (OPT_TIMESTAMPS | OPT_SACK | OPT_ECN) != options:
            raise w.Failed(f"{name}: the connection has {agreed:#x}")
    up, down = writes(rng, pattern), [b"all of it"] if pattern == RESET else writes(rng, pattern)
    urgent: tuple[set[int], set[int]] = (set(), set())
    if pattern == URGENT:
        for script, places in zip((up, down), urgent):
            for at in range(3, len(script), 5):
                script[at] = rng.randbytes(1)
                places.add(at)
    ends = [TcpEnd(a, up, urgent[0], down, name), TcpEnd(b, down, urgent[1], up, name + ", backwards")]
    if pattern == RESET:  # once everything was read and said so
        ends[0].resets = ends[1].waits_for_all = ends[1].to_be_reset = True
    return ends


def run(ends: list[TcpEnd], timeout: float) -> None:
    poll, by_fd, stop = select.poll(), {}, time.monotonic() + timeout
    for end in ends:
        by_fd[end.sock.fileno()] = end
        poll.register(end.sock.fileno(), end.wants())
    while by_fd:
        if time.monotonic() > stop:
            raise w.Failed("not finished in time: " + "; ".join(f"{e.name}, {e.left} octets missing"
                                                                for e in by_fd.values()))
        for fd, events in poll.poll(100):
            end = by_fd[fd]
            if events & (select.POLLIN | select.POLLERR | select.POLLHUP):
                end.read()
            if events & select.POLLOUT and not end.written:
                end.write()
            if end.done and end.written:
                poll.unregister(fd)
                del by_fd[fd]
            else:
                wants = end.wants()
                poll.modify(fd, wants & ~select.POLLIN if end.done else wants)
    for end in ends:
        end.check()
        end.sock.close()


def tcp(world: o.OffloadWorld, rng: random.Random) -> int:
    """Every pattern with timestamps and SACK on and off, ECN always; returns how many octets."""
    ends: list[TcpEnd] = []
    quiet: list[TcpEnd] = []
    for timestamps, sack in itertools.product((False, True), repeat=2):
        set_tcp(world, timestamps, sack)
        options = OPT_ECN | timestamps * OPT_TIMESTAMPS | sack * OPT_SACK
        for version in (4, 6):
            pairs = list(PAIRS) + [rng.choice(PAIRS)]
            rng.shuffle(pairs)
            for pattern, pair in zip(PATTERNS, pairs):
                (quiet if pattern in QUIET else ends).extend(connect(world, rng, pattern, version, pair, options))
    run(ends, 20)
    run(quiet, 10)
    for end in quiet:
        if URGENT in end.name and not end.marks:
            raise w.Failed(f"{end.name}: no urgent octet was told of")
    return sum(len(p) for e in ends + quiet for p in e.script)


def congestion_seen(world: o.OffloadWorld) -> int:
    """How many packets with a congestion mark the kernels' stacks received."""
    total = 0
    for name in ("in", "x", "mt"):
        names, values = (line.split() for line in world.run(name, ["cat", "/proc/net/netstat"]).stdout.splitlines()
                         if line.startswith("IpExt"))
        total += int(dict(zip(names, values))["InCEPkts"])
        for line in world.run(name, ["cat", "/proc/net/snmp6"]).stdout.splitlines():
            total += int(line.split()[1]) if line.startswith("Ip6InCEPkts") else 0
    return total


# -- UDP -------------------------------------------------------------------------------------------

def datagrams(sock: socket.socket, count: int) -> list[bytes]:
    """Those that came, cut as the kernel says."""
    found: list[bytes] = []
    while len(found) < count:
        try:
            data, control, _, _ = sock.recvmsg(1 << 16, 64)
        except TimeoutError:
            break
        size = 0
        for level, kind, value in control:
            if (level, kind) == (socket.IPPROTO_UDP, UDP_GRO):
                size, = struct.unpack("i", value[:4])
        size = size or len(data) or 1
        found += [data[i:i + size] for i in range(0, len(data) or 1, size)]
    return found


def send(sock: socket.socket, packets: list[bytes], segment: bool) -> None:
    if not segment:
        for p in packets:
            sock.send(p)
        return
    size = struct.pack("H", len(packets[0]))
    sock.sendmsg([b"".join(packets)], [(socket.IPPROTO_UDP, UDP_SEGMENT, size)])


def udp_flow(world: o.OffloadWorld, rng: random.Random, version: int, pair: tuple[Place, Place], segment: bool,
             gro: bool, largest: int) -> int:
    """Some rounds of datagrams, as single ones or by UDP_SEGMENT, to a receiver with UDP_GRO or
    without: each comes once, in order.  Returns how many."""
    a, b = (place.socket(world, version, socket.SOCK_DGRAM) for place in pair)
    name = f"UDP IPv{version} {pair[0].name} to {pair[1].name} segment={segment} gro={gro}"
    total = 0
    with a, b:
        a.connect(b.getsockname())
        b.settimeout(2)
        if gro:
            b.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        if not segment and rng.random() < 0.3:  # no checksums
            if version == 4:
                a.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
            else:
                a.setsockopt(socket.IPPROTO_UDP, UDP_NO_CHECK6_TX, 1)
                b.setsockopt(socket.IPPROTO_UDP, UDP_NO_CHECK6_RX, 1)
        if version == 4:  # IP_MTU_DISCOVER: with DF and without
            a.setsockopt(socket.IPPROTO_IP, 10, rng.choice((0, 2)))
        for _ in range(4):
            size = rng.choice((1, 64, 1000, largest, rng.randrange(1, largest + 1)))
            count = min(rng.randrange(1, SEGMENTS_MAX), 60000 // size)
            packets = [rng.randbytes(size) for _ in range(count)] + [rng.randbytes(rng.randrange(1, size + 1))]
            send(a, packets, segment)
            came = datagrams(b, len(packets))
            if came != packets:
                raise w.Failed(f"{name}: {len(packets)} of {size} octets were sent, {len(came)} came, "
                               f"of {sorted(set(map(len, came)))}")
            total += len(packets)
        b.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            raise w.Failed(f"{name}: {len(b.recv(1 << 16))} octets too many")
    return total


def udp(world: o.OffloadWorld, rng: random.Random, mtu: int) -> int:
    return sum(udp_flow(world, rng, version, pair, segment, gro, mtu - (28 if version == 4 else 48))
               for version in (4, 6) for pair in PAIRS for segment in (False, True) for gro in (False, True))
