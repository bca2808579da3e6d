# SPDX-License-Identifier: MIT
"""What the internet may send: each thing is counted by name, and traffic goes on."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
from typing import Callable

import pytest

import streams as s
import wire
import world as w

INJECT = str(w.HERE / "inject.py")


class Attack:
    """In wifi with streams under way, and real packets caught before the home server."""

    def __init__(self, world: w.World):
        self.world = world
        self.hs = world.daemon("hs")
        self.streams = s.Streams(world)
        self.streams.wait_flow(100)
        path, capture = world.capture("hs", "eth0", "udp dst port 4500")
        self.streams.wait_flow(300)
        world.end(capture)
        self.packets = [p for p in wire.read_capture(path) if p.esp and p.target == w.HOME_SERVER4][:200]
        assert len(self.packets) == 200
        self.start_us = w.monotonic_us()
        self.before = self.hs.drops()

    def send(self, packets: list[bytes], name: str = "core") -> None:
        """From the internet, with the source addresses they have."""
        lines = "".join(p.hex() + "\n" for p in packets)
        done = subprocess.run(self.world.command(name, [sys.executable, INJECT]), input=lines, text=True,
                              capture_output=True)
        assert done.returncode == 0, done.stderr

    def counted(self, *names: str) -> int:
        now = self.hs.drops()
        return sum(now[n] - self.before[n] for n in names)

    def wait_counted(self, count: int, *names: str) -> None:
        w.wait_for(lambda: self.counted(*names) >= count, 5, f"{count} packets are counted as {' or '.join(names)}; "
                   f"now {self.counted(*names)}")

    def unharmed(self) -> None:
        """No packet was lost or came twice meanwhile."""
        end_us = w.monotonic_us()
        self.streams.wait_flow(300)
        for way in s.WAYS:
            measure = self.streams.measure(way, self.start_us, end_us)
            assert measure.lost == 0 and measure.duplicated == 0, f"{way}: {measure}"
        assert self.world.daemon("mt").active() == ["wifi"]


@pytest.fixture
def attack(away: w.World) -> Attack:
    return Attack(away)


def udp_packet(like: wire.Packet, payload: bytes) -> bytes:
    """The outer IP and UDP headers of a real packet around other octets, without UDP checksum."""
    ports = like.payload[:4]
    header = bytearray(like.ip[:20])
    struct.pack_into("!H", header, 2, 20 + 8 + len(payload))
    return bytes(header) + ports + struct.pack("!HH", 8 + len(payload), 0) + payload


def test_replayed(attack: Attack) -> None:
    attack.send([p.ip for p in attack.packets])
    attack.wait_counted(len(attack.packets), "replayed", "too-old")
    attack.unharmed()


def test_truncated(attack: Attack) -> None:
    esp = attack.packets[-1].esp
    made = [udp_packet(attack.packets[-1], esp[:n]) for n in range(2, len(esp))]
    attack.send(made)
    attack.wait_counted(len(made), "runt", "not-authentic", "replayed", "unknown-spi", "ike-closed", "too-old")
    attack.unharmed()


def test_bit_flipped(attack: Attack) -> None:
    source, made = random.Random(1), []
    for p in attack.packets:
        esp = bytearray(p.esp)
        # A high bit of the number too: a forged number must not move the window.
        struct.pack_into("!I", esp, 4, (struct.unpack_from("!I", esp, 4)[0] + 100000) & 0xFFFFFFFF)
        esp[source.randrange(8, len(esp))] ^= 1 << source.randrange(8)
        made.append(udp_packet(p, bytes(esp)))
    attack.send(made)
    attack.wait_counted(len(made), "not-authentic")
    attack.unharmed()


def test_oversized(attack: Attack) -> None:
    spi_up = attack.packets[0].esp[:4]
    code = ("import socket, sys\n"
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            f"for n in (1473, 9000, 60000, 65507):\n"
            f"    s.sendto(bytes.fromhex('{spi_up.hex()}') + b'\\x7f' * (n - 4), ('{w.HOME_SERVER4}', 4500))\n")
    attack.world.run("core", [sys.executable, "-c", code])
    attack.wait_counted(4, "not-authentic", "runt", "too-big", "replayed", "too-old", "bad-inner")
    attack.unharmed()


def test_wrong_spi(attack: Attack) -> None:
    made = [udp_packet(p, struct.pack("!I", 0xDEADBEEF) + p.esp[4:]) for p in attack.packets]
    attack.send(made)
    attack.wait_counted(len(made), "unknown-spi")
    attack.unharmed()


def test_native_where_udp_was_agreed(attack: Attack) -> None:
    made = []
    for p in attack.packets[:50]:
        header = bytearray(p.ip[:20])
        header[9] = 50
        struct.pack_into("!H", header, 2, 20 + len(p.esp))
        made.append(bytes(header) + p.esp)
    attack.send(made)
    # Counted where a socket takes native ESP; refused by the system otherwise.
    attack.unharmed()


def test_inner_source_of_another(attack: Attack) -> None:
    world = attack.world
    tun = world.daemon("mt").status()["tun"]["name"]
    world.sh("mt", f"ip addr add 10.9.9.9/32 dev {tun}")
    world.run("mt", ["ping", "-n", "-c", "20", "-i", "0.01", "-W", "1", "-I", "10.9.9.9", w.HOST_X4], check=False)
    counted = attack.counted("inner-source")
    own = world.daemon("mt").drops()
    assert counted >= 20 or own["bad-frame"] + own["no-binding"] + own["inner-source"] >= 20, \
        f"the server counted {counted}, the terminal {own}"
    attack.unharmed()


# -- registration ------------------------------------------------------------------------------------


def send_request(world: w.World, message: bytes, source: str = w.ALICE.home4) -> None:
    """As a program on the terminal could: through the tunnel to the home agent's port."""
    code = ("import socket\n"
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            f"s.bind(('{source}', 5555))\n"
            f"s.sendto(bytes.fromhex('{message.hex()}'), ('{w.HOME_AGENT4}', 434))\n")
    world.run("mt", [sys.executable, "-c", code])


def denied(world: w.World) -> dict[str, int]:
    return world.daemon("hs").status()["registration"]["denied_by_code"]


def denials(world: w.World, codes: tuple[int, ...]) -> int:
    """The keys of denied_by_code begin with the code's number."""
    return sum(n for text, n in denied(world).items() if int(text.split()[0].rstrip(":")) in codes)


@pytest.mark.parametrize("spi, codes", [
    (256, (129, 131)),  # alice's own association, bob's home address
    (257, (129, 131)),  # bob's association, without his key
], ids=["own-key", "other-spi"])
def test_registration_for_another_terminal(make_world: Callable[..., w.World], spi: int,
                                           codes: tuple[int, ...]) -> None:
    world = make_world(second_terminal=True)
    world.plug_and_wait("wifi")
    world.plug_and_wait("wifi", w.BOB)
    world.start_sojourn()
    world.wait_active("wifi", w.ALICE)
    world.wait_active("wifi", w.BOB)
    before = denials(world, codes)
    send_request(world, wire.registration_request(w.ALICE, wire.identification_now(), home=w.BOB.home4, spi=spi))
    w.wait_for(lambda: denials(world, codes) > before, 5, f"denied with one of {codes}; {denied(world)}")
    world.wait_active("wifi", w.BOB)
    assert world.ping("x", w.BOB.home4)


@pytest.mark.parametrize("shift_s", [-86400, 86400], ids=["old", "future"])
def test_stale_identification(away: w.World, shift_s: int) -> None:
    before = denials(away, (133,))
    send_request(away, wire.registration_request(w.ALICE, wire.identification_now(shift_s)))
    w.wait_for(lambda: denials(away, (133,)) > before, 5, f"denied with 133; {denied(away)}")
    away.wait_active("wifi")
    assert away.ping("x", w.ALICE.home4)


def test_forged_authenticator(away: w.World) -> None:
    before = denials(away, (131,))
    send_request(away, wire.registration_request(w.ALICE, wire.identification_now(), key=b"wrong" * 6, lifetime_s=0))
    w.wait_for(lambda: denials(away, (131,)) > before, 5, f"denied with 131; {denied(away)}")
    away.wait_active("wifi")


def test_unknown_critical_extension(away: w.World) -> None:
    silent = away.daemon("hs").status()["registration"]["silent"]
    message = wire.registration_request(w.ALICE, wire.identification_now(), before_auth=bytes([100, 2, 0, 0]))
    send_request(away, message)
    w.wait_for(lambda: away.daemon("hs").status()["registration"]["silent"] > silent, 5, "it is dropped in silence")
    away.wait_active("wifi")


# -- floods ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [
    ["--port", "4500"],
    ["--port", "4500", "--spi", "0x1001", "--min", "60", "--max", "1400"],
    ["--port", "500"],
    ["--port", "434"],
    ["--proto", "50", "--spi", "0x1001", "--min", "20"],
], ids=["garbage", "right-spi", "ike", "registration", "native"])
def test_flood(attack: Attack, arguments: list[str]) -> None:
    world, streams = attack.world, attack.streams
    flood = world.run("core", [world.tool("flood"), "--to", w.HOME_SERVER4, "--rate", "100000", "--seconds", "3",
                               *arguments])
    sent = json.loads(flood.stdout)["sent"]
    assert sent > 50000, "the machine could not flood"
    end_us = w.monotonic_us()
    for way in s.WAYS:
        streams.follow()
        measure = streams.measure(way, attack.start_us, end_us)
        assert measure.longest_gap_ms < 500, f"{way}: traffic stopped: {measure}"
        assert measure.lost < measure.sent / 2, f"{way}: {measure}"
    if "4500" in arguments:
        attack.wait_counted(1000, "runt", "unknown-spi", "ike-closed", "not-authentic", "wrong-form", "too-old",
                            "replayed")
    # And as if nothing had been, afterwards.
    streams.wait_flow(300)
    attack.start_us = w.monotonic_us()
    streams.wait_flow(500)
    attack.unharmed()
