# SPDX-License-Identifier: MIT
"""Two hosts and no home server: each has a fixed address that the other talks to, and either moves.

        a0 192.0.2.2 --- ca0 core cb0 --- b0 203.0.113.2       fixed addresses: a 10.77.0.1, b 10.77.0.2
     a  a1 192.0.3.2 --- ca1      cb1 --- b1 198.51.100.2  b                    fd77::1      fd77::2
        (2001:db8:a0::2 ...)              (2001:db8:b0::2 ...)

a is a terminal that follows its server; b is a home server of that terminal alone, whose home agent
address is its own fixed one, and which says when it moved.  examples/end-to-end-*.conf is the same.
"""

from __future__ import annotations

from typing import Iterator

import pytest

import sojourn_config as sc
import streams as s
import world as w

FIXED = {"a": {4: "10.77.0.1", 6: "fd77::1"}, "b": {4: "10.77.0.2", 6: "fd77::2"}}
NETS = {"a0": ("192.0.2", "2001:db8:a0:"), "a1": ("192.0.3", "2001:db8:a1:"),
        "b0": ("203.0.113", "2001:db8:b0:"), "b1": ("198.51.100", "2001:db8:b1:")}


class Pair(w.World):
    def __init__(self, tag: str):
        super().__init__(tag)
        self.terminals = []

    def make(self) -> None:
        self.add_namespace("core", forward=True)
        for node in ("a", "b"):
            self.add_namespace(node)
            for interface in (node + "0", node + "1"):
                v4, v6 = NETS[interface]
                self.link(node, interface, "core", "c" + interface)
                self.sh("core", f"""
                    ip link set c{interface} up
                    ip addr add {v4}.1/24 dev c{interface}
                    ip addr add {v6}:1/64 dev c{interface} nodad
                    """)

    def up(self, interface: str) -> None:
        v4, v6 = NETS[interface]
        metric = 100 + int(interface[1])
        self.sh(interface[0], f"""
            ip link set {interface} up
            ip addr replace {v4}.2/24 dev {interface}
            ip addr replace {v6}:2/64 dev {interface} nodad
            ip route replace default via {v4}.1 dev {interface} metric {metric}
            ip -6 route replace default via {v6}:1 dev {interface} metric {metric}
            """)

    def down(self, interface: str) -> None:
        self.sh(interface[0], f"ip link set {interface} down; ip addr flush dev {interface}")

    def move(self, node: str, there: str, back: str) -> int:
        """Breaks before it makes; returns when the new address was there."""
        self.down(back)
        self.up(there)
        return w.monotonic_us()


def keyed(me: str, outer: int, mode: str, encapsulation: str) -> str:
    up, down = sc.key(f"e2e {outer} up", 48), sc.key(f"e2e {outer} down", 48)
    ins, outs = (down, up) if me == "a" else (up, down)
    spi = 0x3000 + outer
    return f"""
    mode = {mode}
    encapsulation = {encapsulation}
    cipher = aes128-cbc
    integrity = hmac-sha-256-128
    spi-in = {spi + (0x100 if me == 'a' else 0):#x}
    spi-out = {spi + (0 if me == 'a' else 0x100):#x}
    key-in = {sc.hex_key(ins)}
    key-out = {sc.hex_key(outs)}"""


def text(world: Pair, me: str, inside: int, outer: int, mode: str, encapsulation: str) -> str:
    registration = f"""registration-spi = 256
registration-key = {sc.hex_key(sc.key('e2e registration', 32))}"""
    common = f"""control = "{world.daemon(me).socket}"
home-agent = "{FIXED['b'][inside]}"
"""
    if me == "a":
        net = NETS["b0"][outer == 6]
        server = f"{net}.2" if outer == 4 else f"{net}:2"
        connections = "\n".join(f"""connection {i} {{
    interface = {i}
    server = "{server}"
    server-moves = yes{keyed(me, outer + 16 * int(i[1]), mode, encapsulation)}
}}""" for i in ("a0", "a1"))
        return f"""role = terminal
{common}home-address = "{FIXED['a'][inside]}"
{registration}
{connections}
"""
    anywhere = "0.0.0.0" if outer == 4 else "::"
    connections = "\n".join(f"connection a{i} {{{keyed(me, outer + 16 * i, mode, encapsulation)}\n}}" for i in (0, 1))
    return f"""role = home-server
{common}listen = "{anywhere}"
announce-moves = yes
terminal a {{
home-address = "{FIXED['a'][inside]}"
{registration}
{connections}
}}
"""


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with Pair("e2e") as world:
        yield world


def start(world: Pair, *form) -> None:
    world.up("a0")
    world.up("b0")
    for node in ("b", "a"):
        path = world.daemon(node).config
        path.touch(mode=0o600)
        path.write_text(text(world, node, *form))
        world.daemon(node).start()
    w.wait_for(lambda: world.daemon("a").active() == ["a0"], 10, "a registered")


class Ends(s.Streams):
    """Streams between the fixed addresses; up is from a."""

    def __init__(self, world: Pair, inside: int):
        self.world = world
        ends = {n: f"[{FIXED[n][6]}]:7000" if inside == 6 else f"{FIXED[n][4]}:7000" for n in "ab"}
        self.terminal_log, self.host_log = s.Log(world.dir / "stream-a"), s.Log(world.dir / "stream-b")
        self.processes = [
            world.spawn(me, [world.tool("stream"), "--bind", ends[me], "--peer", ends[other], "--rate", "500",
                             "--size", "400", "--log", str(log.path)], log=world.dir / f"stream-{me}.err")
            for me, other, log in (("b", "a", self.host_log), ("a", "b", self.terminal_log))]


@pytest.mark.parametrize("inside,outer,encapsulation", [(4, 4, "udp"), (6, 6, "esp"), (4, 6, "udp")])
def test_either_moves(pair: Pair, inside: int, outer: int, encapsulation: str) -> None:
    """One TCP transfer and two streams, while a moves, then b, then a again, then b again."""
    start(pair, inside, outer, "beet", encapsulation)
    assert pair.ping("b", FIXED["a"][inside]), "b reaches a, from its own fixed address"
    url, digest = pair.serve(8, "b", FIXED["b"][inside])
    download = w.Download(pair, "a", FIXED["a"][inside], url, 600_000)
    streams = Ends(pair, inside)
    streams.wait_flow(100)
    for node, there, back in (("a", "a1", "a0"), ("b", "b1", "b0"), ("a", "a0", "a1"), ("b", "b0", "b1")):
        moved_us = pair.move(node, there, back)
        streams.wait_flow(100, timeout=20, since_us=moved_us)
        for way in s.WAYS:
            after_us = streams.first_after(way, moved_us)
            assert after_us and after_us - moved_us < 1_500_000, \
                f"{node} to {there}, {way}: {(after_us or 0) - moved_us} us"
    download.finish(60)
    assert download.sha256 == digest and download.connections == 1


def test_quiet_server_is_found(pair: Pair) -> None:
    """b has nothing to say when it moves: it says where it is all the same."""
    start(pair, 4, 4, "beet", "udp")
    pair.move("b", "b1", "b0")
    w.wait_for(lambda: pair.daemon("a").connection("a0")["server"].startswith("198.51.100.2"), 5,
               "a learns where b is")
    assert pair.ping("a", FIXED["b"][4], FIXED["a"][4])


def test_nobody_else_moves_it(pair: Pair) -> None:
    """What is not authentic, or came before, does not say where b is."""
    start(pair, 4, 4, "beet", "udp")
    assert pair.ping("a", FIXED["b"][4], FIXED["a"][4], count=3)
    capture, tcpdump = pair.capture("core", "cb0", "udp port 4500 and src 203.0.113.2")
    assert pair.ping("a", FIXED["b"][4], FIXED["a"][4], count=3)
    pair.end(tcpdump)
    data = capture.read_bytes()
    size = int.from_bytes(data[32:36], "little")
    old = data[40 + 14 + 28:40 + size]
    changed = old[:-1] + bytes([old[-1] ^ 1])
    later = old[:4] + (int.from_bytes(old[4:8], "big") + 1000).to_bytes(4, "big") + old[8:]
    for payload in (old, changed, later):
        pair.run("core", ["python3", "-c", "import socket,sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
                          "s.bind(('192.0.2.1', 4500)); s.sendto(bytes.fromhex(sys.argv[1]), ('192.0.2.2', 4500))",
                          payload.hex()])
    drops = pair.daemon("a").drops()
    assert drops["replayed"] >= 2 and drops["not-authentic"] >= 1, drops
    assert pair.daemon("a").connection("a0")["server"] == "203.0.113.2:4500"
    assert pair.ping("a", FIXED["b"][4], FIXED["a"][4])
