# SPDX-License-Identifier: MIT
"""Two streams of numbered packets, one each way, and what became of every packet.

Both ends run tests/tools/stream, whose records this reads while they grow.  `up` is from the
terminal to host X, `down` the other way.
"""

from __future__ import annotations

import bisect
import dataclasses
import pathlib
import struct
from typing import Literal

import world as w

RECORD = struct.Struct("=QIHH")
SENT, REFUSED, RECEIVED = 1, 2, 3

Way = Literal["up", "down"]
WAYS: tuple[Way, Way] = ("up", "down")


class Log:
    """One end's records so far."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.file = None
        self.rest = b""
        self.sent_us: list[int] = []       # by number
        self.refused: set[int] = set()
        self.arrivals: list[tuple[int, int]] = []  # (us, number), in order of arrival

    def follow(self) -> None:
        if self.file is None:
            if not self.path.exists():
                return
            self.file = open(self.path, "rb")
        data = self.rest + self.file.read()
        whole = len(data) - len(data) % RECORD.size
        for time_us, number, kind, _ in RECORD.iter_unpack(data[:whole]):
            if kind == RECEIVED:
                self.arrivals.append((time_us, number))
                continue
            assert number == len(self.sent_us), "records of sending come in order"
            self.sent_us.append(time_us)
            if kind == REFUSED:
                self.refused.add(number)
        self.rest = data[whole:]


@dataclasses.dataclass
class Measure:
    sent: int
    lost: int
    duplicated: int
    longest_gap_ms: float

    def json(self) -> dict[str, float]:
        return dataclasses.asdict(self)


class Streams:
    def __init__(self, world: w.World, terminal: w.Terminal = w.ALICE, rate: int = 1000, size: int = 400,
                 ipv6: bool = False, down: bool = True, up: bool = True, host: str = "x"):
        """host: X, or the home server itself (hs)."""
        self.world = world
        port = 7000 + terminal.index
        if ipv6:
            here, there = f"[{terminal.home6}]:{port}", f"[{w.HOST_X6 if host == 'x' else w.HOME_AGENT6}]:{port}"
        else:
            here, there = f"{terminal.home4}:{port}", f"{w.HOST_X4 if host == 'x' else w.HOME_AGENT4}:{port}"
        self.terminal_log = Log(world.dir / f"stream-{terminal.node}-{port}")
        self.host_log = Log(world.dir / f"stream-x-{terminal.node}-{port}")
        tool = world.tool("stream")
        common = ["--size", str(size)]
        self.processes = [
            world.spawn(host, [tool, "--bind", there, "--peer", here, "--rate", str(rate if down else 0), *common,
                              "--log", str(self.host_log.path)], log=world.dir / "stream-x.err"),
            world.spawn(terminal.node, [tool, "--bind", here, "--peer", there, "--rate", str(rate if up else 0),
                                        *common, "--log", str(self.terminal_log.path)],
                        log=world.dir / f"stream-{terminal.node}.err")]

    def follow(self) -> None:
        self.terminal_log.follow()
        self.host_log.follow()
        for process in self.processes:
            if process.poll() not in (None, 0):
                raise w.Failed(f"a stream ended with {process.returncode}: see stream-*.err")

    def stop(self) -> None:
        for process in self.processes:
            self.world.end(process)
        self.follow()

    def ends(self, way: Way) -> tuple[Log, Log]:
        """Sender and receiver."""
        return (self.terminal_log, self.host_log) if way == "up" else (self.host_log, self.terminal_log)

    def arrivals_since(self, way: Way, since_us: int) -> int:
        arrivals = self.ends(way)[1].arrivals
        return len(arrivals) - bisect.bisect_left(arrivals, (since_us, 0))

    def flows(self, since_us: int, count: int = 1, ways: tuple[Way, ...] = WAYS) -> bool:
        self.follow()
        return all(self.arrivals_since(way, since_us) >= count for way in ways)

    def wait_flow(self, count: int = 100, timeout: float = 15, since_us: int | None = None,
                  ways: tuple[Way, ...] = WAYS) -> None:
        """Until that many more packets came each way."""
        start_us = w.monotonic_us() if since_us is None else since_us
        w.wait_for(lambda: self.flows(start_us, count, ways), timeout,
                   f"{count} packets come {' and '.join(ways)}")

    def first_after(self, way: Way, since_us: int) -> int | None:
        """Time of the first arrival of a packet that was also sent after since_us."""
        sender, receiver = self.ends(way)
        at = bisect.bisect_left(receiver.arrivals, (since_us, 0))
        for time_us, number in receiver.arrivals[at:]:
            if number < len(sender.sent_us) and sender.sent_us[number] >= since_us:
                return time_us
        return None

    def first_arrival(self, way: Way, since_us: int) -> int | None:
        arrivals = self.ends(way)[1].arrivals
        at = bisect.bisect_left(arrivals, (since_us, 0))
        return arrivals[at][0] if at < len(arrivals) else None

    def longest_gap_ms(self, way: Way, start_us: int, end_us: int) -> float:
        """The longest time without an arrival that ended (or had not ended) between the two."""
        arrivals = self.ends(way)[1].arrivals
        first = bisect.bisect_left(arrivals, (start_us, 0))
        last = bisect.bisect_left(arrivals, (end_us, 0))
        times = [t for t, _ in arrivals[max(0, first - 1):last]]
        if not times or times[0] > start_us:
            times.insert(0, start_us)
        times.append(max(end_us, times[-1]))
        return max(b - a for a, b in zip(times, times[1:])) / 1000

    def measure(self, way: Way, start_us: int, end_us: int) -> Measure:
        """What became of the packets sent between the two times, wherever they went later."""
        sender, receiver = self.ends(way)
        low, high = bisect.bisect_left(sender.sent_us, start_us), bisect.bisect_left(sender.sent_us, end_us)
        came: dict[int, int] = {}
        for _, number in receiver.arrivals:
            if low <= number < high:
                came[number] = came.get(number, 0) + 1
        return Measure(high - low, high - low - len(came), sum(came.values()) - len(came),
                       round(self.longest_gap_ms(way, start_us, end_us), 1))

    def missing(self, way: Way, start_us: int, end_us: int) -> list[int]:
        sender, receiver = self.ends(way)
        low, high = bisect.bisect_left(sender.sent_us, start_us), bisect.bisect_left(sender.sent_us, end_us)
        return sorted(set(range(low, high)) - {n for _, n in receiver.arrivals})
