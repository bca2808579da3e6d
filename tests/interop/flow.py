# SPDX-License-Identifier: MIT
"""Two streams of numbered packets between a client's inner address and host X, and what became of
each (tests/net/streams.py does the counting).  `up` is from the client.
"""
import contextlib
import sys
from pathlib import Path

from conftest import BUILD, ROOT, wait_for
import ground

sys.path.append(str(ROOT / "tests/net"))
import streams  # noqa: E402
import world  # noqa: E402

PORT = 7100


class Processes:
    """What Streams asks of a world."""
    end = staticmethod(ground.end)


class Flow(streams.Streams):
    made = 0

    def __init__(self, where, client, host, rate=500, size=400,
                 client_ns=ground.CLIENT, host_ns=ground.GATEWAY):
        Flow.made += 1
        self.world = Processes()
        self.terminal_log = streams.Log(Path(where) / f"flow-{Flow.made}-client")
        self.host_log = streams.Log(Path(where) / f"flow-{Flow.made}-x")
        tool = BUILD / "tests/tools/stream"

        def text(a):
            return f"[{a}]:{PORT}" if ":" in a else f"{a}:{PORT}"
        self.processes = [
            ground.spawn(ns, tool, "--bind", text(mine), "--peer", text(other), "--rate", rate,
                         "--size", size, "--log", log.path)
            for ns, mine, other, log in ((host_ns, host, client, self.host_log),
                                         (client_ns, client, host, self.terminal_log))]

    def __enter__(self):
        self.wait_flow(20)
        return self

    def __exit__(self, *_):
        for process in self.processes:
            ground.end(process)

    def wait_sent(self, count):
        """Until the host has sent so many more, whatever comes of them."""
        self.follow()
        before = len(self.host_log.sent_us)

        def sent():
            self.follow()
            return len(self.host_log.sent_us) >= before + count
        wait_for(f"{count} packets leave", sent, every=0.01)

    @contextlib.contextmanager
    def lossless(self, settle=30):
        """What is sent from now to the end of the block, and a little longer, comes, once."""
        start = world.monotonic_us()
        yield
        self.wait_flow(settle)
        end = world.monotonic_us()
        self.wait_flow(5, since_us=end)
        for way in streams.WAYS:
            got = self.measure(way, start, end)
            assert got.sent > settle and not got.lost and not got.duplicated, \
                f"{way}: {got}, missing {self.missing(way, start, end)[:40]}"

    @contextlib.contextmanager
    def gap(self, at_most_ms, settle=30):
        """Packets may be lost, for so long."""
        start = world.monotonic_us()
        yield
        self.wait_flow(settle, since_us=world.monotonic_us())
        for way in streams.WAYS:
            longest = self.longest_gap_ms(way, start, world.monotonic_us())
            assert longest <= at_most_ms, f"{way}: nothing came for {longest} ms"
