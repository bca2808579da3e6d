# SPDX-License-Identifier: MIT
"""Implied registration by AH, which covers the outer addresses: the newest packet moves the binding
to its source, without a message, a question or a bound; and from nowhere else.
"""

from __future__ import annotations

import ipaddress
import pathlib
import struct
from typing import Callable

import pytest

import streams as s
import test_implied as implied
import wire
import world as w

VICTIM = {4: "198.51.100.200", 6: "2001:db8:bad::200"}
OTHER_HARDWARE = "02:00:00:00:77:77"
PROTO_AH, PROTO_NONE = 51, 59

MakeWorld = Callable[..., w.World]


def start(make_world: MakeWorld, networks: tuple[str, ...], protocol: str = "ah") -> w.World:
    world = make_world(nat=False)
    world.plug_and_wait(networks[0])
    implied.start(world, "active-only", implied.ALLOW, protocol=protocol, networks=networks, **implied.DATA)
    world.wait_active(networks[0])
    w.wait_for(lambda: implied.whys(world) == {"request"}, 5, "both home addresses are registered")
    assert world.ping("x", w.ALICE.home4)  # and nothing is on its way any more
    return world


def place_of(world: w.World, network: str) -> str:
    """Where the home server sends what this connection carries; AH has no port."""
    return world.daemon("hs").connection(network)["care_of"]


def is_at(world: w.World, network: str) -> bool:
    """The home server has the terminal where it is."""
    address = world.address("mt", w.INTERFACES[network], 6 if network == "v6" else 4)
    c = world.daemon("hs").connection(network)
    return address is not None and c["care_of"] is not None and address in c["care_of"] and c["place"] == "proven"


def move(world: w.World, old: str, new: str) -> None:
    """To another network, or to another address in the same one: break before make."""
    if old == new:
        world.sh("mt", f"""
            ip link set dev {w.INTERFACES[old]} down
            ip link set dev {w.INTERFACES[old]} address {OTHER_HARDWARE}
            ip link set dev {w.INTERFACES[old]} up
            """)
        return
    world.unplug(old)
    w.wait_for(lambda: old not in world.daemon("mt").active(), 5, f"the terminal sees that {old} is gone")
    world.plug(new)


def inner_of(packet: wire.Packet) -> tuple[int, bytes]:
    """Next header and payload of an AH packet."""
    return packet.payload[0], packet.payload[(packet.payload[1] + 2) * 4:]


def sent_up(path: pathlib.Path) -> list[wire.Packet]:
    return [p for p in wire.read_capture(path)
            if p.protocol == PROTO_AH and p.target in (w.HOME_SERVER4, w.HOME_SERVER6)]


@pytest.mark.parametrize("protocol", ["ah", "ah-esp"])
@pytest.mark.parametrize("networks", [("wifi", "cell"), ("v6", "v6")], ids=["IPv4", "IPv6"])
def test_move(make_world: MakeWorld, networks: tuple[str, str], protocol: str) -> None:
    old, new = networks
    world = start(make_world, tuple(dict.fromkeys(networks)), protocol)
    hs = world.daemon("hs")
    assert is_at(world, old)
    was, before = place_of(world, old), hs.status()["registration"]
    path, capture = world.capture("hs", "eth0", "proto 51 or ip6 proto 51")
    # There is nothing to send: an empty packet says it.
    moves = len(hs.moves())
    move(world, old, new)
    w.wait_for(lambda: is_at(world, new) and place_of(world, new) != was, 10, "the home server has the new place")
    world.wait_active(new)
    implied.check_by(world, "data")
    assert len(hs.moves()) > moves
    assert hs.status()["registration"]["requests"] == before["requests"]
    assert hs.status()["places"]["begun"] == 0, "nothing was asked"
    streams = s.Streams(world)
    streams.wait_flow(300)
    world.end(capture)
    up = [p for p in sent_up(path) if p.source in place_of(world, new)]
    assert up
    if protocol == "ah":  # which hides nothing
        assert PROTO_NONE in {inner_of(p)[0] for p in up}
        assert not any(wire.is_registration(inner_of(p)[1]) for p in sent_up(path) if inner_of(p)[0] != PROTO_NONE)


def from_elsewhere(packet: wire.Packet) -> bytes:
    ip, at = bytearray(packet.ip), 12 if packet.ip[0] >> 4 == 4 else 8
    victim = ipaddress.ip_address(VICTIM[packet.ip[0] >> 4]).packed
    ip[at:at + len(victim)] = victim
    if at == 12:
        struct.pack_into("!H", ip, 10, 0)
    return bytes(ip)


def record(world: w.World, network: str, seconds: float, arrive: bool) -> list[wire.Packet]:
    """What the terminal sends for a while; it comes to the home server, or it is lost on the way."""
    streams = s.Streams(world, rate=100)
    streams.wait_flow(100)
    world.relays[network].blackhole(not arrive, "up")
    path, capture = world.capture(network, "wan", "proto 51 or ip6 proto 51")
    w.wait_for(lambda: len(sent_up(path)) >= 100 * seconds, 10, "packets are recorded")
    for process in streams.processes:
        process.terminate()
        process.wait()
    world.end(capture)
    return sent_up(path)


@pytest.mark.parametrize("arrive", [True, False], ids=["replayed", "first"])
@pytest.mark.parametrize("network", ["wifi", "v6"])
def test_from_another_address(make_world: MakeWorld, network: str, arrive: bool) -> None:
    """Copies of packets that came, and of such that somebody on the path took out, sent from another
    address: neither moves anything, and nothing is sent there."""
    world = start(make_world, (network,))
    hs = world.daemon("hs")
    packets = record(world, network, 0.3, arrive)
    at_victim, counted = world.capture("hs", "eth0", f"host {VICTIM[6 if network == 'v6' else 4]}")
    place, moves, before = place_of(world, network), len(hs.moves()), hs.drops()
    implied.send(world, [from_elsewhere(p) for p in packets])
    names = ("replayed", "too-old", "not-authentic")
    w.wait_for(lambda: sum(hs.drops()[n] - before[n] for n in names) >= len(packets), 5, "they are counted")
    if not arrive:
        assert hs.drops()["not-authentic"] - before["not-authentic"] >= len(packets)
        world.relays[network].blackhole(False, "up")
    assert place_of(world, network) == place and len(hs.moves()) == moves
    assert hs.status()["places"]["begun"] == 0
    w.wait_for(lambda: world.ping("x", w.ALICE.home4) and world.ping("x", w.ALICE.home6), 10, "all goes on")
    world.wait_active(network)
    assert place_of(world, network) == place and is_at(world, network)
    world.end(counted)
    assert not [p for p in wire.read_capture(at_victim) if p.target in VICTIM.values()]
