# SPDX-License-Identifier: MIT
"""Two Sojourns with IKEv2: connections that make themselves, before they are needed.

The wire is watched on the home server's side: what counts is which messages went over it, and
what came before the first packet of data.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import signal
import socket
import struct
from typing import Any, Callable, Iterator

import pytest

import streams as s
import wire
import world as w

IKE_PORT, NATT_PORT = 500, 4500
SA_INIT, AUTH, CREATE_CHILD, INFORMATIONAL = 34, 35, 36, 37
START_MARGIN_MS, SILENCE_MARGIN_MS = 50, 20


# -- what went over the wire -------------------------------------------------------------------------


@dataclasses.dataclass
class Seen:
    time_us: int
    exchange: int      # of an IKE message; 0: ESP
    response: bool
    spi: int           # of ESP
    length: int        # of the UDP datagram, also where the capture has less of it
    peer: str          # the terminal's address and port, as the home server sees it
    up: bool


def seen(path: pathlib.Path) -> Iterator[Seen]:
    """IKE messages and ESP packets in UDP, at the home server."""
    for packet in wire.read_capture(path):
        if packet.protocol != socket.IPPROTO_UDP or len(packet.payload) < 12:
            continue
        source, target, length = struct.unpack_from("!HHH", packet.payload)
        data = packet.payload[8:]
        up = packet.target in (w.HOME_SERVER4, w.HOME_SERVER6)
        peer = f"{packet.source if up else packet.target}:{source if up else target}"
        if NATT_PORT in (source, target) and data[:4] != bytes(4):
            if len(data) > 1:
                yield Seen(packet.time_us, 0, False, struct.unpack_from("!I", data)[0], length, peer, up)
            continue
        ike = data[4:] if NATT_PORT in (source, target) else data
        if len(ike) >= 28:
            yield Seen(packet.time_us, ike[18], bool(ike[19] & 0x20), 0, length, peer, up)


@dataclasses.dataclass
class Watch:
    world: w.World
    path: pathlib.Path
    process: Any

    def end(self) -> list[Seen]:
        self.world.end(self.process)
        return list(seen(self.path))


def watch(world: w.World) -> Watch:
    return Watch(world, *world.capture("hs", "eth0", "udp", snap=256))


def requests(all_seen: list[Seen]) -> list[int]:
    return [p.exchange for p in all_seen if p.exchange and not p.response]


# -- worlds ------------------------------------------------------------------------------------------


def sas(world: w.World, node: str = "mt") -> list[dict[str, Any]]:
    return world.daemon(node).ask("ike")["ike"]


def spares(world: w.World) -> list[dict[str, Any]]:
    return [c for c in world.daemon("mt").ask("connections")["connections"]
            if c["state"] == "forming" and c["care_of"] is None]


def wait_spares(world: w.World, count: int) -> None:
    w.wait_for(lambda: len(spares(world)) == count, 10, f"{count} spare connections are there")


def started(world: w.World, networks: tuple[str, ...] = ("wifi",), **options: Any) -> w.World:
    for network in networks:
        world.plug_and_wait(network)
    world.start_sojourn(**({"ike": "psk"} | options))
    world.wait_active(networks[0])
    return world


def no_loss(streams: s.Streams, start_us: int, end_us: int) -> None:
    for way in s.WAYS:
        measure = streams.measure(way, start_us, end_us)
        assert measure.lost == 0, f"{way}: {measure}, missing {streams.missing(way, start_us, end_us)[:20]}"
        assert measure.duplicated == 0, f"{way}: {measure}"


def silence_ms(streams: s.Streams, way: s.Way, since_us: int) -> float:
    arrived_us = streams.first_arrival(way, since_us) if way == "down" else streams.first_after(way, since_us)
    assert arrived_us is not None, f"nothing came {way}"
    return (arrived_us - since_us) / 1000


# -- the start ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["psk", "cert"])
@pytest.mark.parametrize("networks", [("cell",), ("wifi", "cell", "v6"), ("v6",)], ids="+".join)
def test_start_takes_two_round_trips(world: w.World, how: str, networks: tuple[str, ...]) -> None:
    for network in networks:
        world.plug_and_wait(network)
    watching = watch(world)
    import sojourn_config
    world.options = sojourn_config.write(world, ike=how)
    world.daemon("hs").start()
    # Data waits from the first moment on.
    streams = s.Streams(world, down=False)
    start_us = w.monotonic_us()
    world.daemon("mt").start()
    world.wait_active(networks[0])
    streams.wait_flow(10, ways=("up",))
    everything = watching.end()
    first_us = min(p.time_us for p in everything if p.exchange and p.up)
    data_us = next(p.time_us for p in everything if not p.exchange and p.up)
    before = [(p.exchange, p.response) for p in everything if p.exchange and p.time_us < data_us and p.exchange
              in (SA_INIT, AUTH)]
    assert before == [(SA_INIT, False), (SA_INIT, True), (AUTH, False), (AUTH, True)]
    rtt_ms = w.RTT_MS[networks[0]]
    # Both came here half a round trip after they left the terminal.
    took_ms = (data_us - first_us) / 1000
    assert took_ms <= 2 * rtt_ms + START_MARGIN_MS, f"{took_ms:.1f} ms"
    # It is registered by its setup: no request was sent.
    move = world.daemon("mt").moves()[0]
    assert move["kind"] == "start" and move["signalling_packets"] == 0, move
    assert world.daemon("hs").ask("bindings")["bindings"][0]["why"] == "setup"
    assert first_us >= start_us


def test_connections_are_there_before_they_are_needed(world: w.World) -> None:
    started(world, ("wifi", "cell", "v6"))
    world.wait_ready("cell")
    world.wait_ready("v6")
    wait_spares(world, 2)
    (sa,) = sas(world)
    assert sa["sojourn"] and sa["state"] == "established" and len(sa["children"]) == 5
    (server,) = sas(world, "hs")
    assert server["remote_id"] == "alice@sojourn.test" and not server["initiator"]
    assert {c["spi_in"] for c in sa["children"]} == {c["spi_out"] for c in server["children"]}
    # No two have the same keys, numbers or SPIs; all are of one authentication.
    assert len({c["spi_in"] for c in sa["children"]}) == 5


def test_first_network_is_dead(world: w.World) -> None:
    """A way that leads nowhere costs a quarter of a second, not seconds."""
    world.plug_and_wait("wifi")
    world.plug_and_wait("cell")
    world.relays["wifi"].blackhole(True)
    world.start_sojourn(ike="psk")
    world.wait_active("cell", timeout=5)
    move = world.daemon("mt").moves()[0]
    assert move["to"] == "cell"
    # Seen to be dead, not only late: wifi is made when it answers again.
    world.relays["wifi"].blackhole(False)
    world.wait_active("wifi", timeout=15)


# -- moves -------------------------------------------------------------------------------------------


def moved(world: w.World, streams: s.Streams, network: str, since_us: int, everything: list[Seen]) -> None:
    """Data went first: no IKE message came from the new place before it."""
    rtt_ms = w.RTT_MS[network]
    assert silence_ms(streams, "up", since_us) <= rtt_ms / 2 + SILENCE_MARGIN_MS
    assert silence_ms(streams, "down", since_us) <= rtt_ms + SILENCE_MARGIN_MS
    here = [p for p in everything if p.up and p.time_us >= since_us]
    assert here and not here[0].exchange, "the first packet from the new place is ESP"
    data_us = next(p.time_us for p in here if not p.exchange and p.length > 400)
    assert not [p for p in here if p.exchange and p.time_us < data_us], "no key exchange before data"


def unplugged(world: w.World, network: str = "wifi") -> None:
    world.unplug(network)
    w.wait_for(lambda: network not in world.daemon("mt").active(), 5, f"the terminal sees that {network} is gone")


@pytest.mark.parametrize("network", ["cell", "v6"])
def test_move_to_a_network_never_seen(world: w.World, network: str) -> None:
    started(world)
    wait_spares(world, 2)
    streams = s.Streams(world)
    streams.wait_flow(100)
    unplugged(world)
    watching = watch(world)
    usable_us = world.plug_and_wait(network)
    world.wait_active(network)
    streams.wait_flow(300)
    moved(world, streams, network, usable_us, watching.end())
    # The spare that was taken is replaced.
    wait_spares(world, 2)
    assert world.daemon("mt").moves()[-1]["signalling_packets"] == 2


@pytest.mark.parametrize("network", ["cell", "v6"])
def test_move_to_a_known_network(world: w.World, network: str) -> None:
    started(world, ("wifi", network))
    world.wait_ready(network)
    wait_spares(world, 2)
    world.unplug(network)
    w.wait_for(lambda: world.daemon("mt").connection(network)["state"] == "stale", 5, f"{network} is gone")
    spi = world.daemon("mt").connection(network)["spi_out"]
    streams = s.Streams(world)
    streams.wait_flow(100)
    unplugged(world)
    watching = watch(world)
    usable_us = world.plug_and_wait(network)
    world.wait_active(network)
    streams.wait_flow(300)
    moved(world, streams, network, usable_us, watching.end())
    assert world.daemon("mt").connection(network)["spi_out"] == spi
    assert len(spares(world)) == 2


def test_make_before_break_loses_nothing(world: w.World) -> None:
    started(world, ("wifi", "cell"))
    world.wait_ready("cell")
    streams = s.Streams(world)
    streams.wait_flow(100)
    start_us = w.monotonic_us()
    for name in ("cell", "auto"):
        world.daemon("mt").cli("switch", name)
        world.wait_active("wifi" if name == "auto" else name)
        streams.wait_flow(300)
    end_us = w.monotonic_us()
    streams.wait_flow(300)
    no_loss(streams, start_us, end_us)


def test_without_a_spare_one_is_made(world: w.World) -> None:
    started(world, spares=0)
    unplugged(world)
    usable_us = world.plug_and_wait("cell")
    watching = watch(world)
    world.wait_active("cell")
    assert requests(watching.end()).count(SA_INIT) == 0, "no new authentication"
    streams = s.Streams(world)
    streams.wait_flow(100)
    assert world.daemon("hs").ask("bindings")["bindings"][0]["why"] == "setup"
    assert usable_us


def test_the_ike_sa_follows_the_binding(world: w.World) -> None:
    started(world, ("wifi", "cell"))
    world.wait_ready("cell")
    world.daemon("mt").cli("switch", "cell")
    world.wait_active("cell")
    place = world.daemon("mt").connection("cell")["care_of"]
    w.wait_for(lambda: sas(world)[0]["local"] == place, 5, "the terminal's IKE SA is on cell")
    theirs = world.daemon("hs").ask("bindings")["bindings"][0]["connections"][0]
    there = world.daemon("hs").connection(theirs, "alice")["care_of"]
    w.wait_for(lambda: sas(world, "hs")[0]["remote"] == there, 5, "the home server's IKE SA is on cell")
    # From the server's side, over cell.
    assert world.daemon("hs").run("rekey", "alice", "ike").returncode == 0
    w.wait_for(lambda: world.daemon("hs").ask("ike")["counters"]["ike_rekeys"] == 1, 5, "the IKE SA is rekeyed")


def test_coming_home_and_leaving(world: w.World) -> None:
    started(world)
    wait_spares(world, 2)
    streams = s.Streams(world)
    streams.wait_flow(100)
    world.plug_and_wait("home")
    world.wait_home()
    streams.wait_flow(100)
    world.unplug("home")
    world.wait_active("wifi")
    streams.wait_flow(100)
    assert len(sas(world)) == 1


# -- rekeying ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("node", ["mt", "hs"])
@pytest.mark.parametrize("what", ["ike", "child", None], ids=["ike", "child", "both"])
def test_rekeying_loses_nothing(world: w.World, node: str, what: str | None) -> None:
    started(world, ("wifi", "cell"))
    world.wait_ready("cell")
    wait_spares(world, 2)
    streams = s.Streams(world)
    streams.wait_flow(100)
    daemon = world.daemon(node)
    name = sas(world, node)[0]["peer"]
    old = {c["spi_in"] for sa in sas(world) for c in sa["children"]}
    start_us = w.monotonic_us()
    assert daemon.run("rekey", name, *([what] if what else [])).returncode == 0
    counters = lambda: daemon.ask("ike")["counters"]  # noqa: E731
    if what != "child":
        w.wait_for(lambda: counters()["ike_rekeys"] >= 1, 5, "the IKE SA is rekeyed")
    if what != "ike":
        w.wait_for(lambda: counters()["child_rekeys"] >= 4, 5, "every child SA is rekeyed")
        w.wait_for(lambda: not old & {c["spi_in"] for sa in sas(world) for c in sa["children"]}, 5, "the old ones end")
    streams.wait_flow(300)
    end_us = w.monotonic_us()
    streams.wait_flow(300)
    no_loss(streams, start_us, end_us)
    assert len(sas(world)) == 1 and len(sas(world)[0]["children"]) == 4
    # Moves go on with the fresh keys.
    world.daemon("mt").cli("switch", "cell")
    world.wait_active("cell")
    streams.wait_flow(100)


@pytest.mark.parametrize("lines", [("rekey-packets = 500",), ("rekey-bytes = 200000",), ("rekey-child = 5",)],
                         ids=["packets", "bytes", "time"])
def test_rekeying_by_itself(world: w.World, lines: tuple[str, ...]) -> None:
    started(world, spares=0, ike_lines=lines)
    streams = s.Streams(world)
    streams.wait_flow(100)
    start_us = w.monotonic_us()
    w.wait_for(lambda: world.daemon("mt").ask("ike")["counters"]["child_rekeys"] >= 3, 20, "it was rekeyed three times")
    end_us = w.monotonic_us()
    streams.wait_flow(300)
    no_loss(streams, start_us, end_us)
    assert len(world.daemon("mt").ask("connections")["connections"]) == 1


# -- ends and restarts -------------------------------------------------------------------------------


@pytest.mark.parametrize("node", ["hs", "mt"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_restarted(world: w.World, node: str, how: signal.Signals) -> None:
    started(world)
    wait_spares(world, 2)
    streams = s.Streams(world)
    streams.wait_flow(100)
    world.daemon(node).stop(how)
    world.daemon(node).start()
    restart_us = w.monotonic_us()
    world.wait_active("wifi", timeout=20)
    streams.wait_flow(100)
    assert max(silence_ms(streams, way, restart_us) for way in s.WAYS) < 5000
    w.wait_for(lambda: len(sas(world, "hs")) == 1 and len(sas(world)) == 1, 10, "one IKE SA is left")
    wait_spares(world, 2)
    w.wait_for(lambda: len(world.daemon("hs").ask("connections")["connections"]) == 3, 10,
               "nothing of the old ones is left on the home server")


def test_stopped_terminal_leaves_nothing(world: w.World) -> None:
    world.plug_and_wait("wifi")
    world.start_sojourn(ike="cert", fleet=True)
    w.wait_for(lambda: world.daemon("mt").active() == ["wifi"], 10, "the terminal is up")
    world.daemon("mt").stop()
    hs = world.daemon("hs")
    w.wait_for(lambda: not sas(world, "hs") and not hs.ask("connections")["connections"] and
               not any(b["connections"] for b in hs.ask("bindings")["bindings"]), 5, "the home server forgot it")


def test_down_and_up(world: w.World) -> None:
    started(world)
    mt, hs = world.daemon("mt"), world.daemon("hs")
    mt.cli("down")
    w.wait_for(lambda: not sas(world) and not sas(world, "hs"), 5, "both know that it is down")
    assert mt.status()["ike"]["state"] == "down"
    mt.cli("up")
    world.wait_active("wifi")
    hs.cli("down", "alice")
    world.wait_active("wifi")  # the terminal wants to be up


def test_offline_for_a_while(world: w.World) -> None:
    """Without any network nothing ends; the first one that is there takes a spare."""
    started(world)
    wait_spares(world, 2)
    before = sas(world)[0]["spi_i"]
    unplugged(world)
    streams = s.Streams(world)
    w.wait_for(lambda: len(world.daemon("mt").ask("connections")["connections"]) == 3, 5, "the connections stay")
    usable_us = world.plug_and_wait("v6")
    world.wait_active("v6")
    streams.wait_flow(100)
    assert silence_ms(streams, "up", usable_us) <= w.RTT_MS["v6"] / 2 + SILENCE_MARGIN_MS
    assert sas(world)[0]["spi_i"] == before


# -- who may ----------------------------------------------------------------------------------------


def test_fleet(make_world: Callable[..., w.World]) -> None:
    """One entry with a pattern and a pool; the same terminal gets the same address."""
    world = make_world(second_terminal=True)
    world.plug_and_wait("wifi")
    world.plug_and_wait("wifi", w.BOB)
    world.start_sojourn(ike="cert", fleet=True)
    mt, mt2 = world.daemon("mt"), world.daemon("mt2")
    for daemon in (mt, mt2):
        w.wait_for(lambda: daemon.active() == ["wifi"], 10, f"{daemon.node} is up")
    homes = {d.node: d.status()["home_addresses"] for d in (mt, mt2)}
    assert all(len(h) == 2 and h[0].startswith("10.1.0.") and h[1].startswith("fd00:1::f00:") for h in homes.values())
    assert homes["mt"] != homes["mt2"]
    # Beside the control socket: here one directory for all nodes.
    assert w.HOST_X4 in (pathlib.Path(mt.socket).parent / "resolv.conf").read_text()
    for node in ("mt", "mt2"):
        for home, target in zip(homes[node], (w.HOST_X4, w.HOST_X6)):
            assert world.ping(node, target, home, count=3), f"{node}: {home} to {target}"
    mt.stop()
    mt2.stop()
    for daemon in (mt2, mt):  # in another order
        daemon.start()
        w.wait_for(lambda: daemon.active() == ["wifi"], 10, f"{daemon.node} is up again")
    assert {d.node: d.status()["home_addresses"] for d in (mt, mt2)} == homes


@pytest.mark.skipif(not pathlib.Path("/etc/hosts").exists(), reason="no /etc/hosts to put another one over")
def test_server_by_name(world: w.World) -> None:
    with world.hosts("mt", f"{w.HOME_SERVER6} vpn.sojourn.test\n{w.HOME_SERVER4} vpn.sojourn.test\n"):
        started(world, by_name=True)
        unplugged(world)
        world.plug_and_wait("v6")
        world.wait_active("v6")


@pytest.mark.parametrize("case, said", [
    ("secret", "AUTHENTICATION_FAILED"),
    ("stranger", "AUTHENTICATION_FAILED"),
    ("server-id", "AUTHENTICATION_FAILED"),
])
def test_refused(world: w.World, case: str, said: str) -> None:
    import sojourn_config
    world.plug_and_wait("wifi")
    world.options = sojourn_config.write(world, ike="psk")
    path = world.daemon("mt").config
    text = path.read_text()
    text = re.sub(r'secret = "0x..', 'secret = "0xff', text) if case == "secret" else \
        text.replace("alice@sojourn.test", "mallory@sojourn.test") if case == "stranger" else \
        text.replace('server-id = "vpn.sojourn.test"', 'server-id = "other.sojourn.test"')
    assert text != path.read_text()
    path.write_text(text)
    for node in ("hs", "mt"):
        world.daemon(node).start()
    trouble = w.wait_for(lambda: world.daemon("mt").status()["ike"]["trouble"], 10, "the terminal says why")
    assert said in trouble
    assert not sas(world, "hs") and not world.daemon("hs").ask("connections")["connections"]


def test_configured_keys_beside_ike(world: w.World) -> None:
    """One mover chooses among both kinds, and the server believes its requests on either."""
    started(world, ("wifi", "cell"), keyed=("cell",))
    terminal = world.daemon("mt")
    wait_spares(world, 2)
    assert [c["connection"] for c in sas(world)[0]["children"] if "spare" not in c["connection"]] == ["wifi"]
    world.unplug("wifi")
    world.wait_active("cell")
    assert terminal.status()["registrations"][0]["registered"]
    world.plug_and_wait("wifi")
    world.wait_active("wifi")
    # Only what was asked over cell before the setup over wifi, and came after it.
    assert set(world.daemon("hs").status()["registration"]["denied_by_code"]) <= {"133"}


def test_keys_are_kept(world: w.World) -> None:
    started(world)
    refused = world.daemon("mt").run("keys", "--wireshark")
    assert refused.returncode == 1 and "wireshark-keys" in refused.stderr


def test_keys_are_for_root(world: w.World) -> None:
    started(world, server_lines=("control-mode = 0666",), server_ike_lines=("wireshark-keys = yes",))
    hs = world.daemon("hs")
    assert hs.ask("keys", "--wireshark")["keys"]
    command = [str(world.build / "sojourn"), "-s", hs.socket]
    nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
    assert world.run("hs", [*nobody, *command, "status"]).returncode == 0
    refused = world.run("hs", [*nobody, *command, "keys", "--wireshark"], check=False)
    assert refused.returncode == 1 and "root" in refused.stderr and not refused.stdout


def test_reload(world: w.World) -> None:
    """Certificates and secrets in files, spares and order: taken by a reload, nothing is disturbed."""
    started(world, ("wifi", "cell"), ike="cert")
    world.wait_ready("cell")
    wait_spares(world, 2)
    streams = s.Streams(world)
    streams.wait_flow(100)
    start_us = w.monotonic_us()
    before = sas(world)[0]["spi_i"]
    path = world.daemon("mt").config
    path.write_text(path.read_text().replace("spares = 2", "spares = 3"))
    world.daemon("mt").cli("reload")
    wait_spares(world, 3)
    world.daemon("hs").cli("reload")
    streams.wait_flow(300)
    end_us = w.monotonic_us()
    streams.wait_flow(300)
    no_loss(streams, start_us, end_us)
    assert sas(world)[0]["spi_i"] == before
