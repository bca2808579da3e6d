# SPDX-License-Identifier: MIT
"""Several packet threads on either side: what arrives in one and leaves by another is one tunnel."""

from __future__ import annotations

import pathlib

import pytest

import streams as s
import world as w

WORKERS = {"hs": 3, "mt": 2}
RUN_MS = 300


def threads(world: w.World, node: str) -> int:
    return len(list(pathlib.Path(f"/proc/{world.daemon(node).status()['pid']}/task").iterdir()))


@pytest.mark.parametrize("ike", ["", "psk"], ids=["configured", "ikev2"])
def test_moves_with_several_workers(world: w.World, ike: str) -> None:
    world.plug_and_wait("wifi")
    world.start_sojourn(ike=ike, server_lines=(f"workers = {WORKERS['hs']}",),
                        terminal_lines=(f"workers = {WORKERS['mt']}",))
    world.wait_active("wifi")
    for node, workers in WORKERS.items():
        assert world.daemon(node).status()["workers"] == workers
        assert threads(world, node) > workers  # control has one too
    world.plug_and_wait("cell")
    world.wait_ready("cell")
    streams = s.Streams(world)
    streams.wait_flow(100)
    start_us = w.monotonic_us()
    for name in ("cell", "wifi", "cell"):
        world.daemon("mt").cli("switch", name)
        world.wait_active(name)
        streams.wait_flow(RUN_MS)
    end_us = w.monotonic_us()
    streams.wait_flow(RUN_MS)
    for way in s.WAYS:
        measure = streams.measure(way, start_us, end_us)
        assert (measure.lost, measure.duplicated) == (0, 0), f"{way}: {measure}"
    for node in WORKERS:
        drops = world.daemon(node).drops()
        assert drops["not-authentic"] == drops["send-failed"] == drops["tun-failed"] == 0, f"{node}: {drops}"
