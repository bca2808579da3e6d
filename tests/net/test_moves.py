# SPDX-License-Identifier: MIT
"""Moves: what they lose, how long they are silent, what they do when something goes wrong.

Silence is measured from when the terminal's system had the new address, by the arrival times of
1,000 packets/s each way.
"""

from __future__ import annotations

import re
import signal
from typing import Callable

import pytest

import streams as s
import world as w

# UDP payload of an encapsulated registration: larger than a probe, smaller than DHCP and streams.
REGISTRATION = (100, 200)
INITIAL_RTO_MS = 120  # the default of initial-rto


def settle(streams: s.Streams) -> None:
    """Long enough that everything under way has come, on the slowest path."""
    streams.wait_flow(300)


def no_loss(streams: s.Streams, start_us: int, end_us: int) -> None:
    for way in s.WAYS:
        measure = streams.measure(way, start_us, end_us)
        assert measure.lost == 0, f"{way}: {measure}, missing {streams.missing(way, start_us, end_us)[:20]}"
        assert measure.duplicated == 0, f"{way}: {measure}"


def silence_ms(streams: s.Streams, way: s.Way, since_us: int) -> float:
    arrived_us = streams.first_arrival(way, since_us) if way == "down" else streams.first_after(way, since_us)
    assert arrived_us is not None, f"nothing came {way}"
    return (arrived_us - since_us) / 1000


def moves_since(world: w.World, before: int) -> list[dict]:
    return [m for m in world.daemon("mt").moves() if m["id"] > before]


# -- make before break -------------------------------------------------------------------------------


def test_switch_loses_nothing(away: w.World) -> None:
    away.plug_and_wait("cell")
    away.wait_ready("cell")
    streams = s.Streams(away)
    streams.wait_flow(100)
    before = away.daemon("mt").last_move_id()
    start_us = w.monotonic_us()
    away.daemon("mt").cli("switch", "cell")
    away.wait_active("cell")
    settle(streams)
    away.daemon("mt").cli("switch", "auto")
    away.wait_active("wifi")
    settle(streams)
    end_us = w.monotonic_us()
    settle(streams)
    no_loss(streams, start_us, end_us)
    moves = moves_since(away, before)
    assert [(m["kind"], m["to"]) for m in moves] == [("make-before-break", "cell"), ("make-before-break", "wifi")]
    assert all(m["done"] and m["signalling_packets"] == 2 for m in moves)


@pytest.mark.parametrize("first", ["cell", "v6"])
def test_better_network_appears(world: w.World, first: str) -> None:
    world.plug_and_wait(first)
    world.start_sojourn()
    world.wait_active(first)
    streams = s.Streams(world)
    streams.wait_flow(100)
    start_us = world.plug("wifi")
    world.wait_active("wifi")
    settle(streams)
    end_us = w.monotonic_us()
    settle(streams)
    no_loss(streams, start_us, end_us)


def test_same_private_address_in_two_networks(make_world: Callable[..., w.World]) -> None:
    world = make_world(same_address=True)
    world.plug_and_wait("wifi")
    world.start_sojourn()
    world.wait_active("wifi")
    world.plug_and_wait("cell")
    world.wait_ready("cell")
    assert world.address("mt", "wlan0") == world.address("mt", "wwan0") == "192.168.1.7"
    streams = s.Streams(world)
    streams.wait_flow(100)
    start_us = w.monotonic_us()
    world.daemon("mt").cli("switch", "cell")
    world.wait_active("cell")
    settle(streams)
    end_us = w.monotonic_us()
    settle(streams)
    no_loss(streams, start_us, end_us)


def test_packets_leave_by_the_interface_of_their_address(away: w.World) -> None:
    away.plug_and_wait("cell")
    away.wait_ready("cell")
    streams = s.Streams(away)
    away.daemon("mt").cli("switch", "cell")
    away.wait_active("cell")
    streams.wait_flow(100)
    path, capture = away.capture("mt", "wlan0", "udp port 4500 and greater 400")
    streams.wait_flow(500)
    away.end(capture)
    assert path.stat().st_size == 24, "data went out by wlan0 while cell was active"


# -- break before make -------------------------------------------------------------------------------


def broken(world: w.World, network: str, **streams_options: bool) -> tuple[s.Streams, int, Callable[[], int]]:
    """In wifi with streams; pulls the cable; gives what plugs the other network in."""
    streams = s.Streams(world, **streams_options)
    ways = tuple(way for way in s.WAYS if streams_options.get(way, True))
    streams.wait_flow(100, ways=ways)
    start_us = world.unplug("wifi")
    w.wait_for(lambda: "wifi" not in world.daemon("mt").active(), 5, "the terminal sees that wifi is gone")
    return streams, start_us, lambda: world.plug_and_wait(network)


@pytest.mark.parametrize("network", ["cell", "v6"])
@pytest.mark.parametrize("talks", [True, False], ids=["talking", "quiet"])
def test_break_before_make_is_short(away: w.World, network: str, talks: bool) -> None:
    streams, _, plug = broken(away, network, up=talks)
    usable_us = plug()
    away.wait_active(network)
    streams.wait_flow(300, ways=s.WAYS if talks else ("down",))
    assert silence_ms(streams, "down", usable_us) <= w.RTT_MS[network] + 20
    if talks:
        assert silence_ms(streams, "up", usable_us) <= w.RTT_MS[network] / 2 + 20


def first_request_lost(world: w.World, network: str) -> float:
    """The downlink's silence, while the terminal itself has nothing to send."""
    streams, _, plug = broken(world, network, up=False)
    world.relays[network].drop_match("up", *REGISTRATION, 1)
    usable_us = plug()
    world.wait_active(network)
    streams.wait_flow(300, ways=("down",))
    assert world.relays[network].stats()["up"]["matched"] == 1
    return silence_ms(streams, "down", usable_us)


@pytest.mark.parametrize("network", ["cell", "v6"])
def test_first_request_lost_in_a_known_network(away: w.World, network: str) -> None:
    away.plug_and_wait(network)
    away.wait_ready(network)
    assert away.daemon("mt").connection(network)["rtt_ms"] >= w.RTT_MS[network]
    away.unplug(network)
    w.wait_for(lambda: away.daemon("mt").connection(network)["state"] != "ready", 5, f"{network} is gone")
    assert first_request_lost(away, network) <= 3 * w.RTT_MS[network] + 50


@pytest.mark.parametrize("network", ["cell", "v6"])
def test_first_request_lost_in_a_new_network(away: w.World, network: str) -> None:
    # No round trip was measured there: the first retransmission comes after initial-rto.
    assert first_request_lost(away, network) <= INITIAL_RTO_MS + w.RTT_MS[network] + 50


def test_reply_lost(away: w.World) -> None:
    streams, _, plug = broken(away, "cell", up=False)
    away.relays["cell"].drop_match("down", *REGISTRATION, 1)
    usable_us = plug()
    away.wait_active("cell")
    streams.wait_flow(300, ways=("down",))
    assert away.relays["cell"].stats()["down"]["matched"] == 1
    # The binding was there with the request; the reply is for the terminal's peace of mind.
    assert silence_ms(streams, "down", usable_us) <= w.RTT_MS["cell"] + 20
    w.wait_for(lambda: all(r["registered"] for r in away.daemon("mt").status()["registrations"]), 5,
               "the terminal knows that it is registered")


def test_reply_delayed(away: w.World) -> None:
    streams, _, plug = broken(away, "cell")
    before = away.daemon("mt").last_move_id()
    away.relays["cell"].hold_match("down", *REGISTRATION, 1, 700)
    plug()
    away.wait_active("cell")
    streams.wait_flow(1500)  # the late one has come by then
    away.wait_active("cell")
    assert away.relays["cell"].stats()["down"]["matched"] == 1
    assert [m["to"] for m in moves_since(away, before)] == ["cell"]


def test_black_hole_without_a_link_event(away: w.World) -> None:
    away.plug_and_wait("cell")
    away.wait_ready("cell")
    streams = s.Streams(away)
    streams.wait_flow(100)
    start_us = w.monotonic_us()
    away.relays["wifi"].blackhole(True)
    away.wait_active("cell", timeout=10)
    settle(streams)
    for way in s.WAYS:
        assert streams.longest_gap_ms(way, start_us, w.monotonic_us()) < 5000


# -- NAT ---------------------------------------------------------------------------------------------


def test_nat_changes_its_mind(away: w.World) -> None:
    streams = s.Streams(away)
    streams.wait_flow(200)
    server = away.daemon("hs")
    old = server.connection("wifi")["care_of"]
    start_us = w.monotonic_us()
    away.flush_nat("wifi")
    w.wait_for(lambda: server.connection("wifi")["care_of"] != old, 5, "the home server follows the NAT's new port")
    settle(streams)
    for way in s.WAYS:
        assert streams.longest_gap_ms(way, start_us, w.monotonic_us()) < 100
    assert away.daemon("mt").active() == ["wifi"]


def test_two_terminals_behind_one_nat(make_world: Callable[..., w.World]) -> None:
    world = make_world(second_terminal=True)
    world.plug_and_wait("wifi")
    world.plug_and_wait("wifi", w.BOB)
    world.start_sojourn()
    world.wait_active("wifi", w.ALICE)
    world.wait_active("wifi", w.BOB)
    ends = [world.daemon("hs").connection("wifi", name)["care_of"] for name in ("alice", "bob")]
    assert ends[0] != ends[1] and ends[0].rsplit(":", 1)[0] == ends[1].rsplit(":", 1)[0]
    alice, bob = s.Streams(world, w.ALICE), s.Streams(world, w.BOB)
    alice.wait_flow(100)
    bob.wait_flow(100)
    world.plug_and_wait("cell")
    world.wait_ready("cell")
    start_us = w.monotonic_us()
    world.daemon("mt").cli("switch", "cell")  # one moves, the other must not notice
    world.wait_active("cell", w.ALICE)
    settle(alice)
    end_us = w.monotonic_us()
    settle(alice)
    settle(bob)
    no_loss(alice, start_us, end_us)
    no_loss(bob, start_us, end_us)
    assert world.daemon("mt2").active() == ["wifi"]


# -- restarts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("node", ["hs", "mt"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_restarted(away: w.World, node: str, how: signal.Signals) -> None:
    streams = s.Streams(away)
    streams.wait_flow(100)
    away.daemon(node).stop(how)
    away.daemon(node).start()
    start_us = w.monotonic_us()
    away.wait_active("wifi", timeout=15)
    streams.wait_flow(300, timeout=15)
    for way in s.WAYS:
        assert silence_ms(streams, way, start_us) < 5000


# -- policy, reload ----------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["strict", "lenient"])
def test_packets_of_the_connection_before(world: w.World, policy: str) -> None:
    """The last packets sent over cell come 45 ms after the registration over wifi."""
    world.plug_and_wait("wifi")
    world.plug_and_wait("cell")
    world.start_sojourn(policy=policy)
    world.wait_active("wifi")
    world.wait_ready("cell")
    streams = s.Streams(world)
    world.daemon("mt").cli("switch", "cell")
    world.wait_active("cell")
    settle(streams)
    before = world.daemon("hs").drops()["not-active"]
    start_us = w.monotonic_us()
    world.daemon("mt").cli("switch", "auto")
    world.wait_active("wifi")
    settle(streams)
    end_us = w.monotonic_us()
    settle(streams)
    dropped = world.daemon("hs").drops()["not-active"] - before
    up, down = streams.measure("up", start_us, end_us), streams.measure("down", start_us, end_us)
    assert down.lost == 0
    if policy == "lenient":
        assert dropped == 0 and up.lost == 0
    else:
        assert dropped > 0 and up.lost <= dropped


def test_reload_keeps_what_did_not_change(away: w.World) -> None:
    import sojourn_config
    away.plug_and_wait("cell")
    away.wait_ready("cell")
    streams = s.Streams(away)
    streams.wait_flow(100)
    start_us = w.monotonic_us()
    packets = away.daemon("mt").connection("wifi")["tx"]["packets"]
    away.options = sojourn_config.write(away, generation={"cell": 1})
    for node in ("hs", "mt"):
        away.daemon(node).cli("reload")
    away.wait_ready("cell")  # with its new keys: it was proven again
    settle(streams)
    end_us = w.monotonic_us()
    settle(streams)
    no_loss(streams, start_us, end_us)
    assert away.daemon("mt").connection("wifi")["tx"]["packets"] > packets
    away.daemon("mt").cli("switch", "cell")
    away.wait_active("cell")
    settle(streams)


def test_reload_takes_routes(away: w.World) -> None:
    mt = away.daemon("mt")
    text = mt.config.read_text()

    def through_tunnel(prefix: str) -> bool:
        return "sojourn0" in away.run("mt", ["ip", "route", "get", prefix]).stdout

    assert not through_tunnel("192.0.2.1")
    mt.config.write_text(text.replace('routes = { "10.1.0.0/24"', 'routes = { "192.0.2.0/24", "10.1.0.0/24"'))
    mt.cli("reload")
    w.wait_for(lambda: through_tunnel("192.0.2.1"), 5, "the new route leads into the tunnel")
    mt.config.write_text(text)
    mt.cli("reload")
    w.wait_for(lambda: not through_tunnel("192.0.2.1"), 5, "the route is gone again")
    assert through_tunnel("10.1.0.2")


def test_reload_takes_keys_from_files(away: w.World) -> None:
    """The process that uses them can open no file: it is handed what is in them."""
    mt = away.daemon("mt")
    text = mt.config.read_text()
    key = re.search(r'registration-key = "?(\w+)"?', text)
    file = mt.config.with_name("registration.key")
    file.write_text(key.group(1) + "\n")
    file.chmod(0o644)
    mt.config.write_text(text.replace(key.group(0), f'registration-key-file = "{file}"'))
    done = mt.run("reload")
    assert done.returncode != 0 and "can be read by others" in done.stderr + done.stdout
    file.chmod(0o600)
    mt.cli("reload")
    assert away.ping("mt", w.HOST_X4, source=w.ALICE.home4)
    file.write_text("00" * 32 + "\n")  # another key is what a reload cannot take: it was read
    done = mt.run("reload")
    assert done.returncode != 0 and "00000000" not in done.stderr + done.stdout
    mt.config.write_text(text)
    mt.cli("reload")


def test_reload_refuses_nonsense(away: w.World) -> None:
    mt = away.daemon("mt")
    text = mt.config.read_text()
    mt.config.write_text(text + 'no-such-key = "1"\n')
    done = mt.run("reload")
    assert done.returncode != 0 and f"{mt.config}:" in done.stderr + done.stdout
    assert away.ping("mt", w.HOST_X4, source=w.ALICE.home4)
    mt.config.write_text(text)
    mt.cli("reload")


# -- home --------------------------------------------------------------------------------------------


@pytest.fixture
def both_families(world: w.World) -> w.World:
    world.plug_and_wait("wifi")
    world.start_sojourn(home6=True)
    world.wait_active("wifi")
    return world


def neighbour(world: w.World, family: int) -> str:
    """Link address host X has for the terminal's home address."""
    address = w.ALICE.home4 if family == 4 else w.ALICE.home6
    words = world.run("x", ["ip", f"-{family}", "neigh", "show", address]).stdout.split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else ""


def test_home_and_away_again(both_families: w.World) -> None:
    world = both_families
    targets = ((4, w.ALICE.home4), (6, w.ALICE.home6))
    for _, address in targets:
        w.wait_for(lambda: world.ping("x", address), 5, f"{address} answers while away")
    server = {family: neighbour(world, family) for family, _ in targets}
    assert all(server.values())
    for _ in range(2):
        world.plug("home")
        world.wait_home()
        for family, address in targets:
            w.wait_for(lambda: world.ping("x", address), 5, f"{address} answers at home")
            assert neighbour(world, family) == w.hardware_address(w.ALICE, "home")
        assert world.run("hs", ["ip", "neigh", "show", "proxy"]).stdout.strip() == ""
        world.unplug("home")
        world.wait_active("wifi")
        for family, address in targets:
            w.wait_for(lambda: world.ping("x", address), 5, f"{address} answers while away again")
            assert neighbour(world, family) == server[family]


def test_coming_home_loses_nothing(away: w.World) -> None:
    streams = s.Streams(away)
    streams.wait_flow(100)
    for _ in range(3):
        start_us = w.monotonic_us()
        away.plug("home")
        away.wait_home()
        settle(streams)
        end_us = w.monotonic_us()
        settle(streams)
        no_loss(streams, start_us, end_us)
        away.unplug("home")
        away.wait_active("wifi")
        settle(streams)


@pytest.mark.parametrize("network", ["cell", "v6"])
def test_ipv6_home_address(both_families: w.World, network: str) -> None:
    world = both_families
    streams = s.Streams(world, ipv6=True)
    streams.wait_flow(100)
    world.plug_and_wait(network)
    world.wait_ready(network)
    start_us = w.monotonic_us()
    world.daemon("mt").cli("switch", network)
    world.wait_active(network)
    settle(streams)
    end_us = w.monotonic_us()
    settle(streams)
    no_loss(streams, start_us, end_us)


# -- nothing is silently lost ------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["wifi", "v6"])
def test_large_packets_and_tcp(world: w.World, network: str) -> None:
    world.plug_and_wait(network)
    world.start_sojourn()
    world.wait_active(network)
    url, sha256 = world.serve(8)
    download = world.download(url, None)
    download.finish(60)
    assert download.sha256 == sha256
    # Larger than the tunnel: either told so, or carried in fragments; never swallowed.
    for node, target in (("mt", w.HOST_X4), ("x", w.ALICE.home4)):
        forced = world.run(node, ["ping", "-n", "-c", "2", "-W", "1", "-M", "do", "-s", "1472", target], check=False)
        said = forced.stdout + forced.stderr
        assert forced.returncode == 0 or "too long" in said or "needed" in said, said
        assert world.ping(node, target, size=4000)


# -- what a configuration can ask for besides ---------------------------------------------------------


def start_edited(world: w.World, edits: dict[str, tuple[str, str]]) -> None:
    """Both nodes, after replacing in each node's configuration the first text by the second, once."""
    import sojourn_config
    world.options = sojourn_config.write(world)
    for node in ("hs", "mt"):
        config = world.daemon(node).config
        old, new = edits.get(node, ("", ""))
        assert old in config.read_text()
        config.write_text(config.read_text().replace(old, new, 1))
        world.daemon(node).start()


def test_prefix_behind_the_terminal(world: w.World) -> None:
    behind = ("home-address", 'prefix = "10.9.0.0/24"\nhome-address')
    world.plug_and_wait("wifi")
    start_edited(world, {"hs": behind, "mt": behind})
    world.wait_active("wifi")
    world.sh("mt", "ip addr add 10.9.0.1/24 dev lo")
    world.sh("x", f"ip route replace 10.9.0.0/24 via {w.HOME_AGENT4}")
    assert world.ping("mt", w.HOST_X4, source="10.9.0.1")
    assert world.ping("x", "10.9.0.1")
    world.plug_and_wait("cell")
    world.wait_ready("cell")
    world.daemon("mt").cli("switch", "cell")
    world.wait_active("cell")
    assert world.ping("x", "10.9.0.1"), "the prefix follows the home address"


@pytest.mark.parametrize("lifetime", ["lifetime-packets = 500", "lifetime-bytes = 200000", "lifetime-time = 10"])
def test_lifetime_ends_a_connection_not_the_traffic(world: w.World, lifetime: str) -> None:
    world.plug_and_wait("wifi")
    world.plug_and_wait("cell")
    start_edited(world, {"mt": ('interface = "wlan0"', f'interface = "wlan0"\n    {lifetime}')})
    streams = s.Streams(world)
    world.wait_active("cell", timeout=20)
    assert world.daemon("mt").connection("wifi")["state"] == "expired"
    streams.wait_flow(300)
