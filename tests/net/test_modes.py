# SPDX-License-Identifier: MIT
"""Transport and BEET mode between a terminal and its home server: what goes between the two fixed
addresses never notices a move, and the wire has no inner IP header.
"""

from __future__ import annotations

import pytest

import streams as s
import world as w

# mode, family inside, encapsulation, networks it moves between
FORMS = [
    ("beet", 4, "udp", ("wifi", "cell", "v6")),
    ("beet", 6, "udp", ("wifi", "v6", "cell")),
    ("beet", 6, "esp", ("v6",)),
    ("transport", 4, "udp", ("wifi", "cell")),
    ("transport", 6, "udp", ("v6",)),
    ("transport", 6, "esp", ("v6",)),
]


def name_of(form: tuple) -> str:
    return f"{form[0]}-inside{form[1]}-{form[2]}"


def drops(world: w.World) -> dict[str, dict[str, int]]:
    """What neither side has any business to drop."""
    harmless = {"no-binding", "dummy", "replayed"}
    return {node: {k: v for k, v in world.daemon(node).drops().items() if v and k not in harmless}
            for node in ("hs", "mt")}


@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_moves(world: w.World, form: tuple) -> None:
    mode, inside, encapsulation, networks = form
    agent = w.HOME_AGENT6 if inside == 6 else w.HOME_AGENT4
    home = w.ALICE.home6 if inside == 6 else w.ALICE.home4
    world.plug_and_wait(networks[0])
    # In order of preference, so that each new one is where it goes
    world.start_sojourn(mode=mode, inside=inside, encapsulation=encapsulation, networks=networks)
    world.wait_active(networks[0])
    assert world.daemon("mt").connection(networks[0])["mode"] == mode
    for node, source, target in (("mt", home, agent), ("hs", agent, home)):
        for size in (0, 56, 1300, 5000):
            assert world.ping(node, target, source, size=size, count=2), f"{node} {size} bytes: {drops(world)}"
    url, digest = world.serve(4, "hs", agent)
    download = world.download(url, 400_000, source=home)
    streams = s.Streams(world, ipv6=inside == 6, host="hs", rate=500)
    streams.wait_flow(100)
    for network in networks[1:]:
        world.plug_and_wait(network)
        w.wait_for(lambda: world.daemon("mt").connection(network)["state"] == "ready", 10, f"{network} is ready")
        start_us = w.monotonic_us()
        world.daemon("mt").cli("switch", network)
        world.wait_active(network)
        streams.wait_flow(200)
        end_us = w.monotonic_us()
        streams.wait_flow(200)
        for way in s.WAYS:
            measure = streams.measure(way, start_us, end_us)
            assert measure.lost == 0 and measure.duplicated == 0, f"{network} {way}: {measure} {drops(world)}"
    if len(networks) > 1:       # and one that breaks before the next is made
        world.unplug(networks[-1])
        world.daemon("mt").cli("switch", "auto")
        world.wait_active(networks[0])
        streams.wait_flow(200)
    download.finish(60)
    assert download.sha256 == digest and download.connections == 1
    assert not [d for d in drops(world).values() if set(d) - {"send-failed", "no-path"}], drops(world)


def test_nothing_else_passes(world: w.World) -> None:
    """Host X behind the home server is not of the pair; it is refused, and counted."""
    world.plug_and_wait("wifi")
    world.start_sojourn(mode="beet", inside=4, networks=("wifi",), terminal_lines=(
        f'routes = {{ "{w.HOME_AGENT4}", "{w.HOST_X4}" }}',))
    world.wait_active("wifi")
    assert world.ping("mt", w.HOME_AGENT4, w.ALICE.home4)
    assert not world.ping("mt", w.HOST_X4, w.ALICE.home4, timeout=1)
    assert world.daemon("mt").drops()["not-the-pair"] > 0
    assert not world.ping("x", w.ALICE.home4, timeout=1)
    assert world.daemon("hs").drops()["not-the-pair"] > 0


def test_transport_by_ike(world: w.World) -> None:
    """Two Sojourns agree on transport mode; a connection for each network, as with tunnels."""
    world.plug_and_wait("wifi")
    world.start_sojourn(ike="psk", inside=4, networks=("wifi", "cell"), spares=1,
                        ike_lines=("mode = transport",), server_ike_lines=("mode = transport",))
    world.wait_active("wifi")
    assert world.daemon("mt").connection("wifi")["mode"] == "transport"
    streams = s.Streams(world, host="hs", rate=500)
    streams.wait_flow(100)
    world.plug_and_wait("cell")
    w.wait_for(lambda: world.daemon("mt").connection("cell")["state"] == "ready", 10, "cell is ready")
    start_us = w.monotonic_us()
    world.daemon("mt").cli("switch", "cell")
    world.wait_active("cell")
    streams.wait_flow(200)
    world.daemon("hs").cli("rekey", "alice")
    end_us = w.monotonic_us()
    streams.wait_flow(500)
    for way in s.WAYS:
        measure = streams.measure(way, start_us, end_us)
        assert measure.lost == 0 and measure.duplicated == 0, f"{way}: {measure} {drops(world)}"
    world.unplug("cell")
    world.daemon("mt").cli("switch", "auto")
    world.wait_active("wifi")
    streams.wait_flow(200)
