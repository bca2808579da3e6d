# SPDX-License-Identifier: MIT
"""The world itself, without Sojourn: a test that fails here says nothing about the daemon."""

import pytest

import streams
import world as w


@pytest.mark.parametrize("network", ["wifi", "cell", "v6"])
def test_network_reaches_home_server(world: w.World, network: str) -> None:
    world.plug_and_wait(network)
    target = w.HOME_SERVER6 if network == "v6" else w.HOME_SERVER4
    assert world.ping("mt", target, count=3)
    out = world.run("mt", ["ping", "-n", "-c", "5", "-i", "0.2", target]).stdout
    fastest = float(out.splitlines()[-1].split("=")[1].split("/")[0])
    assert w.RTT_MS[network] <= fastest < w.RTT_MS[network] + 10


def test_pulled_cable_takes_the_address(world: w.World) -> None:
    for network in ("wifi", "cell", "v6", "home"):
        world.plug_and_wait(network)
        since_us = world.unplug(network)
        w.wait_for(lambda: any(e["event"] == "no-address" for e in world.events("mt", since_us)), 5,
                   f"the address of {network} goes")
        world.plug_and_wait(network)


def test_both_private_networks_have_the_same_subnet(world: w.World) -> None:
    world.plug_and_wait("wifi")
    world.plug_and_wait("cell")
    for interface in ("wlan0", "wwan0"):
        assert world.address("mt", interface).startswith("192.168.1.")
        assert world.ping("mt", w.HOME_SERVER4, source=interface)


def test_nat_hides_the_terminal(world: w.World) -> None:
    world.plug_and_wait("wifi")
    assert not world.ping("hs", world.address("mt", "wlan0"), timeout=0.3)


def test_streams_and_download_are_counted(world: w.World) -> None:
    world.plug_and_wait("home")
    world.sh("mt", f"ip addr add {w.ALICE.home4}/24 dev eth0")
    url, sha256 = world.serve(1)
    both = streams.Streams(world)
    both.wait_flow(100)
    download = world.download(url, None)
    start_us = w.monotonic_us()
    both.wait_flow(500)
    end_us = w.monotonic_us()
    both.wait_flow(100)
    for way in streams.WAYS:
        measure = both.measure(way, start_us, end_us)
        assert measure.sent >= 500 and measure.lost == 0 and measure.duplicated == 0
    download.finish(10)
    assert (download.sha256, download.connections) == (sha256, 1)


def test_relay_drops_what_it_is_told(world: w.World) -> None:
    world.plug_and_wait("wifi")
    relay = world.relays["wifi"]
    assert world.ping("mt", w.HOME_SERVER4)
    relay.blackhole(True, "up")
    assert not world.ping("mt", w.HOME_SERVER4, timeout=0.3)
    relay.blackhole(False)
    relay.loss(100, "down")
    assert not world.ping("mt", w.HOME_SERVER4, timeout=0.3)
    relay.loss(0)
    assert world.ping("mt", w.HOME_SERVER4)
    with pytest.raises(w.Failed):
        relay.command("delay much")
