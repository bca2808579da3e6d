# SPDX-License-Identifier: MIT
"""N-casting: several connections active at once, each packet on all of them, none delivered twice."""

from __future__ import annotations

import socket
import statistics
from typing import Any, Callable

import pytest

import streams as s
import world as w

BOTH = {"wifi", "cell"}


def start(world: w.World, limit: int = 2, how: str = "both", lines: tuple[str, ...] = (),
          entry: tuple[str, ...] = (), **options: Any) -> w.World:
    world.plug_and_wait("wifi")
    world.plug_and_wait("cell")
    world.start_sojourn(terminal_lines=(f"n-cast = {how}", *lines), entry_lines=(f"connections-max = {limit}", *entry),
                        **options)
    return world


def bound(world: w.World, node: str) -> list[list[str]]:
    """By interface: with IKEv2 the names are each node's own, and the home server's are the terminal's."""
    return [b["connections"] for b in world.daemon(node).ask("bindings")["bindings"]]


def wait_bound(world: w.World, names: set[str], timeout: float = 15) -> None:
    w.wait_for(lambda: all(set(c) == names for node in ("mt", "hs") for c in bound(world, node)), timeout,
               f"{names} are active on both nodes")


def delays_ms(streams: s.Streams, way: s.Way) -> list[float]:
    sender, receiver = streams.ends(way)
    return [(at - sender.sent_us[number]) / 1000 for at, number in receiver.arrivals if number < len(sender.sent_us)]


# -- loss --------------------------------------------------------------------------------------------


def test_two_lossy_paths(world: w.World) -> None:
    """5 % are lost on each of two paths, independently: 0.25 % on both.  Of 240,000 packets that is 600,
    and more than 720 (0.3 %) by chance once in a million times; of the 60,000 of a short run 150,
    and more than 240 (0.4 %) as seldom."""
    packets, most = (120_000, 0.003) if w.ALL else (30_000, 0.004)
    start(world)
    wait_bound(world, BOTH)
    for network, one_way_ms in (("wifi", 10), ("cell", 100)):
        world.relays[network].delay(one_way_ms)
        world.relays[network].loss(5)
    streams = s.Streams(world, rate=2000, size=100)
    streams.wait_flow(500)
    start_us = w.monotonic_us()
    streams.wait_flow(packets, timeout=120)
    end_us = w.monotonic_us()
    streams.wait_flow(1000)
    streams.stop()
    measures = [streams.measure(way, start_us, end_us) for way in s.WAYS]
    sent, lost = sum(m.sent for m in measures), sum(m.lost for m in measures)
    assert sent >= packets * 1.8
    assert lost / sent <= most, measures
    assert lost, "no loss at all: the relays lose nothing"
    assert all(m.duplicated == 0 for m in measures), measures
    for way in s.WAYS:
        median_ms = statistics.median(delays_ms(streams, way))
        assert 10 <= median_ms <= 20, f"{way}: {median_ms} ms"
    for node in ("mt", "hs"):
        assert set(bound(world, node)[0]) == BOTH, "a path that loses packets is not one that is gone"
        assert world.daemon(node).ask("counters")["packets"]["duplicates"] > packets * 0.8


# -- a cut -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", ["wifi", "cell"])
@pytest.mark.parametrize("policy", ["lenient", "strict"])
@pytest.mark.parametrize("ike", ["", "psk"], ids=["configured", "ike"])
def test_a_cut_loses_nothing(world: w.World, ike: str, policy: str, cut: str) -> None:
    start(world, ike=ike, policy=policy, home6=True)
    wait_bound(world, BOTH)
    streams = s.Streams(world)
    streams.wait_flow(300)
    before = world.daemon("mt").last_move_id()
    start_us = world.unplug(cut)
    wait_bound(world, BOTH - {cut})
    streams.wait_flow(300)
    world.plug_and_wait(cut)
    wait_bound(world, BOTH)
    streams.wait_flow(300)
    end_us = w.monotonic_us()
    streams.wait_flow(300)
    for way in s.WAYS:
        measure = streams.measure(way, start_us, end_us)
        assert measure.lost == 0, f"{way}: {measure}, missing {streams.missing(way, start_us, end_us)[:20]}"
        assert measure.duplicated == 0, f"{way}: {measure}"
    kinds = [m["kind"] for m in world.daemon("mt").moves() if m["id"] > before]
    assert kinds == (["break-before-make", "make-before-break"] if cut == "wifi" else ["remove", "add"])
    # The home server had both all the time: one went, one came.
    assert {"remove", "add"} <= {m["kind"] for m in world.daemon("hs").moves()}


def test_silence_loses_nothing(world: w.World) -> None:
    """A path that carries nothing any more, and no link says so."""
    start(world)
    wait_bound(world, BOTH)
    streams = s.Streams(world)
    streams.wait_flow(300)
    start_us = w.monotonic_us()
    world.relays["wifi"].blackhole(True)
    wait_bound(world, {"cell"}, timeout=20)
    streams.wait_flow(300)
    end_us = w.monotonic_us()
    streams.wait_flow(300)
    for way in s.WAYS:
        measure = streams.measure(way, start_us, end_us)
        assert measure.lost == 0 and measure.duplicated == 0, f"{way}: {measure}"


def test_nat_of_the_second_path(world: w.World) -> None:
    """Its copies come second, and are followed all the same."""
    start(world)
    wait_bound(world, BOTH)
    streams = s.Streams(world)
    streams.wait_flow(300)
    server = world.daemon("hs")
    old = server.connection("cell")["care_of"]
    world.flush_nat("cell")
    w.wait_for(lambda: server.connection("cell")["care_of"] != old, 5, "the home server follows the NAT's new port")
    streams.wait_flow(300)
    assert set(bound(world, "hs")[0]) == BOTH


# -- what is n-cast ----------------------------------------------------------------------------------


def sent_on(world: w.World, node: str) -> dict[str, int]:
    return {c["name"]: c["tx"]["packets"] for c in world.daemon(node).ask("connections")["connections"]}


def send(world: w.World, tos: int, count: int) -> None:
    world.run("mt", ["ping", "-n", "-q", "-Q", hex(tos), "-c", str(count), "-i", "0.01", "-W", "2", "-I",
                     w.ALICE.home4, w.HOST_X4])


def test_classes(world: w.World) -> None:
    """Pings of class EF and their answers take both paths, others the best one."""
    start(world, lines=("n-cast-class = { ef, af41 }", "probe-spare = 60000"), entry=("n-cast-class = { ef, af41 }",))
    wait_bound(world, BOTH)
    for tos, both in ((46 << 2, True), (0, False)):
        before = {node: sent_on(world, node) for node in ("mt", "hs")}
        send(world, tos, 100)
        for node in ("mt", "hs"):
            after = sent_on(world, node)
            assert after["wifi"] - before[node]["wifi"] >= 100
            assert (after["cell"] - before[node]["cell"] >= 100) == both, f"{node}: {before[node]}, {after}"
    assert world.daemon("mt").ask("counters")["packets"]["duplicates"] >= 90


@pytest.mark.parametrize("how", ["down", "up"])
def test_one_way(world: w.World, how: str) -> None:
    start(world, how=how, lines=("probe-spare = 60000",))
    if how == "down":
        wait_bound(world, BOTH)
    else:
        w.wait_for(lambda: world.daemon("mt").connection("cell")["state"] == "active", 10, "cell sends too")
        assert all(c == ["wifi"] for c in bound(world, "hs"))
    before = {node: sent_on(world, node)["cell"] for node in ("mt", "hs")}
    send(world, 0, 100)
    grown = {node: sent_on(world, node)["cell"] - before[node] for node in ("mt", "hs")}
    assert (grown["mt"] >= 100) == (how == "up"), grown
    assert (grown["hs"] >= 100) == (how == "down"), grown


def test_on_and_off(world: w.World) -> None:
    start(world, how="no")
    world.wait_active("wifi")
    mt = world.daemon("mt")
    w.wait_for(lambda: mt.connection("cell")["state"] == "ready", 10, "cell is ready")
    streams = s.Streams(world)
    streams.wait_flow(200)
    start_us = w.monotonic_us()
    mt.cli("n-cast", "on")
    wait_bound(world, BOTH)
    assert mt.status()["n_cast"] == "both"
    streams.wait_flow(300)
    mt.cli("n-cast", "off")
    world.wait_active("wifi")
    streams.wait_flow(300)
    end_us = w.monotonic_us()
    streams.wait_flow(300)
    for way in s.WAYS:
        measure = streams.measure(way, start_us, end_us)
        assert measure.lost == 0 and measure.duplicated == 0, f"{way}: {measure}"
    assert "wifi+cell" in mt.cli("moves")
    assert mt.run("n-cast", "perhaps").returncode == 1


@pytest.mark.parametrize("home6", [False, True], ids=["IPv4", "IPv6 too"])
def test_where_it_is_not_allowed(world: w.World, home6: bool) -> None:
    start(world, limit=1, home6=home6)
    mt = world.daemon("mt")
    w.wait_for(lambda: "not n-cast connection=cell" in mt.log.read_text(), 10, "the home server refuses")
    world.wait_active("wifi")
    assert all(r["registered"] for r in mt.status()["registrations"])
    assert mt.status()["registrations"][0]["code"] in (0, 1)


def test_past_the_limit(world: w.World) -> None:
    start(world)
    wait_bound(world, BOTH)
    world.plug_and_wait("v6")
    mt = world.daemon("mt")
    w.wait_for(lambda: "not n-cast connection=v6 reason=\"past the server's limit\"" in mt.log.read_text(), 10,
               "the home server takes no third one")
    wait_bound(world, BOTH)
    # There is room again.
    world.unplug("cell")
    wait_bound(world, {"wifi", "v6"})
