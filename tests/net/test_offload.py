# SPDX-License-Identifier: MIT
"""Offloads change nothing: the same random traffic through tunnels with `offload = yes` and
`offload = no` at either end arrives the same.

Crafted packets arrive byte for byte, once, and in order within their flow.  What may change, and
is therefore not compared as it was sent (crafted.expected, crafted.comparable):

 - the TTL or hop limit, less one for each router outside the tunnel, and an IPv4 header's checksum;
 - the ECN field as RFC 6040 says, where the network between the tunnel's ends marks congestion; what
   cannot carry the mark is dropped;
 - the MSS option of a SYN, with its checksum, lowered to what the tunnel carries;
 - of frames whose checksums were left to be made, a TCP checksum that comes out as zero, which has two
   spellings;
 - behind a receiver with offload, the identification of IPv4 packets that have DF and are no
   fragments, where it does not count up: it has no meaning (RFC 6864 4.1), and the kernel counts
   when it cuts what was merged.

What does not fit into the tunnel is fragmented or answered as crafted.outcome says.  Of the kernel's
own TCP and UDP (with segmentation by the tunnel device) the data is compared.

Traffic comes from a seed, which is printed and a failure tells; SOJOURN_OFFLOAD_SEED repeats it.
SOJOURN_OFFLOAD_ROUNDS (default 1) makes more of it.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import random
from typing import Callable, Iterable, Iterator

import pytest

import crafted as c
import kernel_streams as k
import offload_world as o

ROUNDS = int(os.environ.get("SOJOURN_OFFLOAD_ROUNDS", "1"))
SEED = int(os.environ.get("SOJOURN_OFFLOAD_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
BURSTS, FRAME_BURSTS, LARGE_BURSTS = 100 * ROUNDS, 50 * ROUNDS, 20 * ROUNDS
SETTINGS = list(itertools.product((False, True), repeat=2))  # of terminal and home server
CONNECTIONS = ("udp", "esp", "ike")  # AES-CBC in UDP and native, AES-GCM in UDP
HELD = 0.6  # how often an end is held back, so that it gets many packets at once


def yes_no(setting: tuple[bool, bool]) -> str:
    return "-".join("yes" if on else "no" for on in setting)


@pytest.fixture(params=SETTINGS, ids=yes_no)
def setting(request: pytest.FixtureRequest) -> tuple[bool, bool]:
    print(f"SOJOURN_OFFLOAD_SEED={SEED}")
    return request.param


@pytest.fixture
def tunnel(make_world: Callable[..., o.OffloadWorld]) -> o.OffloadWorld:
    return make_world(o.OffloadWorld)


def text(packet: bytes | None) -> str:
    return "nothing" if packet is None else f"{len(packet)} bytes {packet[:120].hex()}"


def check_same(wanted: list[bytes], came: list[bytes], where: str) -> None:
    """Flow by flow, in order."""
    wanted_flows, came_flows = c.by_flow(wanted), c.by_flow(came)
    for flow in [*wanted_flows, *came_flows]:
        pairs = itertools.zip_longest(wanted_flows.get(flow, []), came_flows.get(flow, []))
        for at, (a, b) in enumerate(pairs):
            if a != b:
                pytest.fail(f"seed {SEED}, {where}: {len(wanted)} packets wanted, {len(came)} came; packet {at} of "
                            f"flow {flow}\n  wanted {text(a)}\n  came   {text(b)}")


def check_answers(wanted: list[c.Answer], came: list[c.Answer], where: str) -> None:
    counts = collections.Counter(wanted), collections.Counter(came)
    lines = [f"  {name} {a[:3]} about {text(a[3])}" for name, more, less in
             (("missing", *counts), ("too many", *counts[::-1])) for a in (more - less).elements()]
    if lines:
        pytest.fail("\n".join([f"seed {SEED}, {where}: of {len(wanted)} ICMP errors", *lines]))


@contextlib.contextmanager
def counted(world: o.OffloadWorld) -> Iterator[dict[str, dict[str, int]]]:
    """What the daemons counted meanwhile."""
    before, meanwhile = {n: world.packets(n) for n in ("mt", "hs")}, {}
    yield meanwhile
    for node, counts in before.items():
        after = world.packets(node)
        meanwhile[node] = {name: after[name] - count for name, count in counts.items()}


class Line:
    """One way through a tunnel, with traffic that is the same for every setting."""

    def __init__(self, world: o.OffloadWorld, way: o.Way, setting: tuple[bool, bool]):
        self.world, self.way = world, way
        self.wire, self.back = o.Wire(world, way), o.Wire(world, "down" if way == "up" else "up")
        self.sender, self.receiver = ("mt", "hs") if way == "up" else ("hs", "mt")
        self.sender_offload, self.receiver_offload = setting if way == "up" else setting[::-1]
        self.carried, self.tun = world.carried(), world.tun_mtu(self.sender)
        self.limit = limit = min(self.carried, self.tun, world.tun_mtu(self.receiver))
        self.rng = random.Random(f"{SEED} {way}")
        near, far = ("in", "x") if way == "up" else ("x", "in")
        ends = list(zip(o.GHOSTS[near], o.GHOSTS[far]))
        self.traffic = [c.Traffic(self.rng, a, b, limit) for a, b in ends]
        self.frames = [c.Frames(self.rng, a, b, limit) for a, b in ends]
        self.traffic_back = [c.Traffic(self.rng, b, a, limit) for a, b in ends]

    def comparable(self, packets: Iterable[bytes]) -> list[bytes]:
        return [c.without_atomic_id(p) for p in packets] if self.receiver_offload else list(packets)

    def hold(self) -> bool:
        return self.rng.random() < HELD

    def burst(self, number: int) -> None:
        packets = c.burst(self.rng, self.traffic)
        wanted = [e for p in packets if (e := c.expected(p, self.carried)) is not None]
        came = self.wire.burst(packets, len(wanted), self.hold(), self.hold())
        check_same(self.comparable(wanted), self.comparable(map(c.comparable, came)), f"{self.way}, burst {number}")

    def frame_burst(self, number: int) -> None:
        """What a stack left to the tunnel device; without offload the kernel has done it before."""
        frames = self.rng.choice(self.frames).frames(200)
        packets = [p for f in frames for p in f.packets]
        wanted = [c.one_zero(e) for p in packets if (e := c.expected(p, self.carried)) is not None]
        passing = len(frames) if self.sender_offload else len(packets)
        came = self.wire.burst(frames, len(wanted), self.hold(), self.hold(), passing)
        check_same(self.comparable(wanted), self.comparable(c.one_zero(c.comparable(p)) for p in came),
                   f"{self.way}, frame burst {number}")

    def large_burst(self, number: int) -> None:
        """What is fragmented, or answered; the answers come before a packet sent back later."""
        sizes = tuple(limit + more for limit in (self.carried, self.tun) for more in (-1, 0, 1))
        packets = [self.rng.choice(self.traffic).large(sizes, o.INSIDE_MTU) for _ in range(40)]
        wanted, answers = [], []
        for p in packets:
            arriving, answered = c.outcome(p, self.tun, self.carried)
            wanted += arriving
            answers += answered
        where = f"{self.way}, large burst {number}"
        came = self.wire.burst(packets, len(wanted))
        check_same(self.comparable(wanted), self.comparable(map(c.comparable, came)), where)
        check_answers(answers, [c.answer(p) for p in self.marker_back(len(answers))], where)

    def marker_back(self, more: int) -> list[bytes]:
        """Sends a packet the other way, and gives the `more` that come besides."""
        marker = self.rng.choice(self.traffic_back).marker()
        came, wanted = self.back.burst([marker], 1 + more), c.expected(marker, self.carried)
        assert wanted in map(c.comparable, came), f"seed {SEED}, {self.way}: no way back"
        return [p for p in came if c.comparable(p) != wanted]

    def finish(self) -> None:
        """Nothing came that was not asked for."""
        assert self.marker_back(0) == []
        marker = self.traffic[0].marker()
        came = self.wire.burst([marker], 1)
        check_same([c.expected(marker, self.carried)], list(map(c.comparable, came)), f"{self.way}, the end")
        assert [end.lost() for end in self.world.ends.values()] == [0, 0], "the test's own captures overflowed"

    def check_offloads(self, counts: dict[str, dict[str, int]], cut: bool, merged: bool) -> None:
        """The traffic was such as is cut, and as is merged, where that is on."""
        sent, read = counts[self.sender]["out_packets"], counts[self.sender]["tun_reads"]
        came, written = counts[self.receiver]["in_packets"], counts[self.receiver]["tun_writes"]
        print(f"{self.way}: {sent} packets from {read} frames; {came} packets in {written} writes")
        assert (read < sent * 0.9) == (self.sender_offload and cut)
        assert (written < came * 0.9) == (self.receiver_offload and merged)


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_crafted(tunnel: o.OffloadWorld, setting: tuple[bool, bool], connection: str) -> None:
    tunnel.wire()
    tunnel.start_tunnel(*setting, connection)
    for way in o.WAYS:
        line = Line(tunnel, way, setting)
        with counted(tunnel) as counts:
            for number in range(BURSTS):
                line.burst(number)
        line.finish()
        line.check_offloads(counts, cut=False, merged=True)


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_frames(tunnel: o.OffloadWorld, setting: tuple[bool, bool], connection: str) -> None:
    """Large packets and unfinished checksums come to the tunnel device as such, or are finished by
    the kernel: with the same result."""
    tunnel.wire()
    tunnel.start_tunnel(*setting, connection)
    for way in o.WAYS:
        line = Line(tunnel, way, setting)
        with counted(tunnel) as counts:
            for number in range(FRAME_BURSTS):
                line.frame_burst(number)
        line.finish()
        line.check_offloads(counts, cut=True, merged=True)


@pytest.mark.parametrize("mtu", [1500, 1300])
def test_large(tunnel: o.OffloadWorld, setting: tuple[bool, bool], mtu: int) -> None:
    """1300: the tunnel carries less than its device's least MTU, so that its ends cut and answer, too."""
    tunnel.wire()
    tunnel.start_tunnel(*setting, mtu=mtu)
    for way in o.WAYS:
        line = Line(tunnel, way, setting)
        for number in range(LARGE_BURSTS):
            line.large_burst(number)
        line.finish()


def test_kernels(tunnel: o.OffloadWorld, setting: tuple[bool, bool]) -> None:
    """What the kernel itself makes of streams and datagrams: the terminal's, and those of networks
    on both sides."""
    rng = random.Random(f"{SEED} kernels")
    tunnel.start_tunnel(*setting)
    lines = [Line(tunnel, way, setting) for way in o.WAYS]
    for _ in range(ROUNDS):
        tunnel.congested(True)
        with counted(tunnel) as tcp:
            k.tcp(tunnel, rng)
        tunnel.congested(False)
        with counted(tunnel) as udp:
            k.udp(tunnel, rng, lines[0].limit)
        for line in lines:
            line.check_offloads(tcp, cut=True, merged=True)
            assert (udp[line.sender]["tun_reads"] < udp[line.sender]["out_packets"] * 0.9) == line.sender_offload
    assert k.congestion_seen(tunnel) > 0
