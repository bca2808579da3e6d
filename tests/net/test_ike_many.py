# SPDX-License-Identifier: MIT
"""A home server with very many terminals, and one that strangers flood."""

from __future__ import annotations

import json
import pathlib
import subprocess
import time
from typing import Any, Iterator

import pytest

import sojourn_config as c
import streams as s
import world as w

COUNT = 50_000
IN_FLIGHT = 48
MEMORY_KIB = 8  # for each idle terminal with one child SA; the aim is 6 (./run bench ike)
HELD_S = 60     # for the setups of all

TERMINALS = "10.64.0.0/16"
HOMES = "10.128.0.0/15"
INSIDE = "10.127.0.1"
SECRET = "only for tests and benchmarks"

FLOOD_FROM = "198.18.0.0/15"
FLOOD_RATE = 50_000
FLOOD_S = 8


class Fleet(w.World):
    """hs eth0 203.0.113.1 --- 203.0.113.2 eth0 fleet: a network whose every address is a terminal."""

    def make(self) -> None:
        self.add_namespace("hs", forward=True)
        self.add_namespace("fleet")
        self.link("hs", "eth0", "fleet", "eth0")
        self.sh("hs", f"""
            ip addr add {w.HOME_SERVER4}/24 dev eth0
            ip addr add {INSIDE}/32 dev lo
            ip link set eth0 up
            ip route add {TERMINALS} via 203.0.113.2
            """)
        self.sh("fleet", f"""
            ip addr add 203.0.113.2/24 dev eth0
            ip link set eth0 up
            ip route add local {TERMINALS} dev lo
            """)

    def start_server(self) -> w.Daemon:
        hs = self.daemon("hs")
        hs.config.touch(mode=0o600)
        hs.config.write_text(c.many_text(hs, INSIDE, HOMES, SECRET))
        hs.start()
        return hs


class Load:
    """tests/tools/ike_load in a namespace."""

    def __init__(self, world: w.World, name: str, count: int, *more: str):
        self.process = subprocess.Popen(
            world.command(name, [world.tool("ike_load"), "--to", w.HOME_SERVER4, "--from", TERMINALS,
                                 "--count", str(count), "--in-flight", str(IN_FLIGHT), "--secret", SECRET,
                                 "--server-id", c.SERVER_ID, "--id", "t%05u@sojourn.test", *more]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        world.processes.append(self.process)
        assert self.answer()["ready"]

    def answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        assert line, f"ike_load ended with {self.process.wait()}"
        return json.loads(line)

    def ask(self, command: str) -> dict[str, Any]:
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()


def resident_kib(world: w.World, name: str) -> int:
    """Of all processes in a namespace."""
    pids = subprocess.run(["ip", "netns", "pids", world.ns(name)], capture_output=True, text=True, check=True).stdout
    return sum(int(line.split()[1]) for pid in pids.split()
               for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet("many") as world:
        yield world


@pytest.mark.parametrize("kind", ["standard", "sojourn"])
def test_fifty_thousand(fleet: Fleet, kind: str) -> None:
    hs = fleet.start_server()
    load = Load(fleet, "fleet", COUNT, *(["--sojourn"] if kind == "sojourn" else []))
    before = resident_kib(fleet, "hs")
    done = load.ask("up")
    assert done["up"] == COUNT and done["failed"] == 0, f"{done}\n{hs.tail()}"
    each = (resident_kib(fleet, "hs") - before) / COUNT
    print(f"{COUNT} {kind} terminals: {done['seconds']:.1f} s, half of the setups within "
          f"{done['setup']['p50_ms']:.1f} ms, {each:.2f} KiB of memory each")
    assert done["seconds"] < HELD_S and each <= MEMORY_KIB

    # They are all there, and packets find their way to those that are asked and back.
    assert hs.status()["bindings"] == COUNT
    asked = load.ask("probe")
    assert asked["answered"] == asked["asked"] == COUNT, asked
    echo = load.ask(f"echo {INSIDE} 500")
    assert echo["answered"] == echo["asked"] == 500, f"{echo} {hs.drops()}"

    # One that goes takes nobody along, and leaves nothing.
    assert load.ask("down 1000")["answered"] == 1000
    assert load.ask(f"echo {INSIDE} 500")["answered"] == 500
    stats = load.ask("stats")
    assert stats["established"] == COUNT - 1000 and stats["gone"] == 1000, stats
    assert hs.status()["bindings"] == COUNT - 1000
    assert load.ask("down")["answered"] == COUNT - 1000
    status = hs.status()
    assert status["bindings"] == 0 and not any(status["connections"].values()), status


def strangers(hs: w.Daemon) -> int:
    """Requests that came with no IKE SA and were asked for a cookie."""
    return hs.ask("ike")["counters"]["cookies_asked"]


def test_flood_of_strangers(make_world) -> None:
    """Fifty thousand requests for IKE SAs a second, from as many addresses: who is there loses nothing, who
    comes gets in."""
    world = make_world(second_terminal=True)
    hs, mt, mt2 = (world.daemon(n) for n in ("hs", "mt", "mt2"))
    for terminal in world.terminals:
        world.plug_and_wait("wifi", terminal)
    world.options = c.write(world, ike="psk")
    hs.start()
    mt.start()
    world.wait_active("wifi")
    # What is answered to nobody ends here.
    world.sh("core", f"ip route add blackhole {FLOOD_FROM}")
    flows = s.Streams(world)
    flows.wait_flow(300)

    start_us, asked = w.monotonic_us(), strangers(hs)
    flood = world.spawn("core", [world.tool("ike_flood"), "--to", w.HOME_SERVER4, "--from", FLOOD_FROM,
                                 "--rate", str(FLOOD_RATE), "--seconds", str(FLOOD_S)],
                        stdout=subprocess.PIPE)
    w.wait_for(lambda: strangers(hs) - asked > FLOOD_RATE, 5, "the flood is under way")
    began = time.monotonic()
    mt2.start()
    world.wait_active("wifi", w.BOB, timeout=FLOOD_S)
    took = time.monotonic() - began
    assert flood.poll() is None, "the flood was over before the new terminal came"
    assert world.ping("mt2", w.HOST_X4, w.BOB.home4, timeout=2)

    sent = json.loads(flood.communicate(timeout=FLOOD_S + 10)[0])
    end_us = w.monotonic_us()
    flows.wait_flow(300)
    print(f"{sent['sent']} requests of strangers in {sent['seconds']} s, {strangers(hs) - asked} asked for a cookie; "
          f"a new terminal was in after {took * 1000:.0f} ms")
    assert sent["sent"] > FLOOD_RATE * FLOOD_S / 4
    for way in s.WAYS:
        measure = flows.measure(way, start_us, end_us)
        assert measure.lost == 0 and measure.duplicated == 0, f"{way}: {measure} {hs.drops()}"
    assert mt.active() == ["wifi"] and mt2.active() == ["wifi"]
