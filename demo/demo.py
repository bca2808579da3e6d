#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The demo: a terminal moves through networks with a download and 1,000 packets/s each way.

Its connections make themselves by IKEv2, with certificates that the demo makes.

The world (tests/net/world.py) is made of network namespaces; the terminal, the home server and
everything between them are real: DHCP, NAT, router advertisements, a web server, curl.  Each scene
changes something and goes on when the move is done and packets come both ways again.  At
the end: a table, what the requirements say to it, a timeline (SVG and PNG), and with --json the
same as JSON.  Exit status 0 only if the download was intact and every scene arrived.

Called by `./run demo`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import subprocess
import sys
import time
from typing import Callable

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/net"))
sys.path.insert(0, str(HERE))

import picture  # noqa: E402
import streams as streams_module  # noqa: E402
import wire  # noqa: E402
import world as w  # noqa: E402

PACE = 400_000          # bytes/s of the download while the scenes play
MEGABYTES = 16
STREAM_SIZE = 400       # octets of UDP payload: larger than any registration
PACKETS_AFTER = 800     # of each way, before the next scene begins
SCENE_TIMEOUT = 15
DOWN_MARGIN_MS, UP_MARGIN_MS = 20, 20
SIGNALLING_PACKETS, SIGNALLING_OCTETS = 2, 300

MAKE, BREAK, RETURN, HOME = "make-before-break", "break-before-make", "return", "home"
SPARE = "spare connection"  # break before make, in a network for which nothing was prepared


@dataclasses.dataclass
class Scene:
    name: str
    kind: str
    network: str                      # where the terminal is at the end
    play: Callable[[Demo], None]
    start_us: int = 0
    end_us: int = 0
    usable_us: int = 0                # when the new address could first be used
    arrived: bool = False
    switch_ms: float | None = None    # as sojournd tells it
    signalling: list[int] = dataclasses.field(default_factory=list)  # lengths of outer IP packets
    exchanges: int = 0                # IKE requests between the new address and the first data
    measures: dict[str, streams_module.Measure] = dataclasses.field(default_factory=dict)
    silence_ms: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def rtt_ms(self) -> int:
        return w.RTT_MS[self.network]


# -- the scenes ------------------------------------------------------------------------------------


def to_cell(demo: Demo) -> None:
    demo.mt.cli("switch", "cell")


def to_wifi(demo: Demo) -> None:
    demo.mt.cli("switch", "auto")


def wifi_pulled(demo: Demo) -> None:
    demo.world.unplug("wifi")
    demo.plug("cell")


def never_seen(demo: Demo) -> None:
    demo.world.unplug("wifi")
    demo.plug("cell")


def cell_to_v6(demo: Demo) -> None:
    demo.world.unplug("cell")
    demo.plug("v6")


def back_to_wifi(demo: Demo) -> None:
    demo.plug("wifi")


def come_home(demo: Demo) -> None:
    demo.plug("home")


def leave_home(demo: Demo) -> None:
    demo.world.unplug("home")


def scenes() -> list[Scene]:
    return [
        Scene("a network never seen before", SPARE, "cell", never_seen),
        Scene("cell -> wifi, which comes back", RETURN, "wifi", back_to_wifi),
        Scene("wifi -> cell, both up", MAKE, "cell", to_cell),
        Scene("cell -> wifi, both up", MAKE, "wifi", to_wifi),
        Scene("wifi pulled, cell comes up", BREAK, "cell", wifi_pulled),
        Scene("cell pulled, v6 comes up", BREAK, "v6", cell_to_v6),
        Scene("back to wifi, known already", RETURN, "wifi", back_to_wifi),
        Scene("home", HOME, "home", come_home),
        Scene("away again, home pulled", BREAK, "wifi", leave_home),
    ]


class Demo:
    def __init__(self, world: w.World):
        self.world = world
        self.scenes = scenes()
        self.mt, self.hs = world.daemon("mt"), world.daemon("hs")
        self.plugged: list[tuple[str, int]] = []
        self.streams: streams_module.Streams
        self.download: w.Download
        self.start_us = self.end_us = 0
        self.sha256 = ""

    def say(self, text: str) -> None:
        print(f"{(w.monotonic_us() - self.start_us) / 1e6:6.1f} s  {text}", flush=True)

    def plug(self, network: str) -> None:
        self.plugged.append((network, self.world.plug(network)))

    def prepare(self) -> None:
        world = self.world
        self.start_us = w.monotonic_us()
        self.say("wifi is plugged in; sojournd starts on the home server and the terminal")
        world.plug_and_wait("wifi")
        # The keys are for counting the signalling on the wire below.
        world.start_sojourn(ike="cert", server_ike_lines=("wireshark-keys = yes",))
        world.wait_active("wifi")
        url, self.sha256 = world.serve(MEGABYTES)
        self.streams = streams_module.Streams(world, size=STREAM_SIZE)
        self.download = world.download(url, PACE)
        self.streams.wait_flow(200)
        w.wait_for(lambda: self.spares() == 2, 10, "two spare connections are there")
        self.say("the download and 1,000 packets/s each way are under way; only wifi was ever seen")

    def spares(self) -> int:
        return sum(c["state"] == "forming" and c["care_of"] is None
                   for c in self.mt.ask("connections")["connections"])

    def between(self, scene: Scene) -> None:
        """What must be so before a scene begins, and is not part of it."""
        if scene.play is to_cell:
            w.wait_for(lambda: self.mt.connection("cell")["state"] == "ready", 10, "cell is ready")
        if scene.play is wifi_pulled:
            self.world.unplug("cell")
            w.wait_for(lambda: self.mt.connection("cell")["state"] not in ("ready", "active"), 5,
                       "the terminal sees that cell is gone")
            self.streams.wait_flow(200)

    def play(self, scene: Scene) -> None:
        self.between(scene)
        self.plugged.clear()
        before = self.mt.last_move_id()
        scene.start_us = w.monotonic_us()
        self.say(f"scene: {scene.name}")
        scene.play(self)
        if scene.network == "home":
            self.world.wait_home(SCENE_TIMEOUT)
        else:
            self.world.wait_active(scene.network, timeout=SCENE_TIMEOUT)
        move = w.wait_for(lambda: next((m for m in self.mt.moves() if m["id"] > before and m["done"]), None),
                          SCENE_TIMEOUT, "the move is done")
        self.streams.wait_flow(PACKETS_AFTER, SCENE_TIMEOUT)
        moves = [m for m in self.mt.moves() if m["id"] > before]
        scene.switch_ms = max((m["switch_ms"] for m in moves if m["switch_ms"] is not None), default=None)
        scene.end_us = w.monotonic_us()
        scene.usable_us = self.usable_us(scene)
        scene.arrived = True
        self.say(f"       {move['kind']}: {move['why']}" + ("" if len(moves) == 1 else f" ({len(moves)} moves)"))

    def usable_us(self, scene: Scene) -> int:
        """When the system had the address the terminal moved to, or else lost the one it had."""
        for network, since_us in self.plugged:
            at_us = self.world.online_at(network, since_us)
            if at_us is not None:
                return at_us
        for event in self.world.events("mt", scene.start_us):
            if event["event"] == "no-carrier":
                return event["t_us"]
        return scene.start_us

    def run(self) -> None:
        self.prepare()
        # On the terminal's way into the internet, and on the home link.
        captures = [self.world.capture("hs", interface, "less 400", snap=512) for interface in ("eth0", "eth1")]
        self.end_us = w.monotonic_us()
        try:
            for scene in self.scenes:
                self.play(scene)
                self.end_us = scene.end_us
            if self.download.bytes >= MEGABYTES << 20:
                raise w.Failed("the download ended before the last scene: it must last over all of them")
            self.say("the rest of the download")
            self.download.finish(60)
            self.say("done")
        finally:
            self.end_us = w.monotonic_us()
            # What is under way still comes: the last packets count too.
            time_us = w.monotonic_us()
            try:
                self.streams.wait_flow(200, 2, time_us)
            except w.Failed:
                pass
            self.streams.stop()
            for _, capture in captures:
                self.world.end(capture)
            self.judge_packets([p for path, _ in captures for p in wire.read_capture(path)])

    def judge_packets(self, captured: list[wire.Packet]) -> None:
        opener = wire.Opener(self.world, self.world.options)
        registrations = [(p.time_us, len(p.ip)) for p in captured
                         if p.esp and (inner := opener.open(p.esp)) and wire.is_registration(inner)]
        ike = [p.time_us for p in captured if wire.is_ike_request(p)]
        for scene in self.scenes:
            if not scene.start_us:
                continue
            end_us = scene.end_us or self.end_us
            scene.signalling = [n for t, n in registrations if scene.start_us <= t < end_us]
            for way in streams_module.WAYS:
                scene.measures[way] = self.streams.measure(way, scene.start_us, end_us)
                first_us = self.streams.first_after(way, scene.usable_us) if way == "up" else \
                    self.streams.first_arrival(way, scene.usable_us)
                if scene.usable_us and first_us is not None:
                    scene.silence_ms[way] = (first_us - scene.usable_us) / 1000
                    if way == "up":
                        scene.exchanges = sum(scene.usable_us <= t < first_us for t in ike)

    # -- what came of it -------------------------------------------------------------------------

    @property
    def intact(self) -> bool:
        return self.download.sha256 == self.sha256 and self.download.connections == 1

    @property
    def arrived(self) -> bool:
        return all(s.arrived for s in self.scenes)

    def json(self) -> dict[str, object]:
        played = [s for s in self.scenes if s.measures]
        return {
            "scenes": [{
                "name": s.name, "kind": s.kind, "rtt_ms": s.rtt_ms,
                "down": s.measures["down"].json(), "up": s.measures["up"].json(),
                "signalling_packets": len(s.signalling), "switch_ms": s.switch_ms,
            } for s in played],
            "download": {"bytes": self.download.bytes, "sha256_ok": self.download.sha256 == self.sha256,
                         "connections": self.download.connections},
        }

    def table(self) -> str:
        head = ("scene", "way", "sent", "lost", "dup", "gap ms", "silent ms", "signalling", "switch ms")
        rows = [head]
        for s in self.scenes:
            for way in ("down", "up") if s.measures else ():
                m = s.measures[way]
                first = way == "down"
                silent = f"{s.silence_ms[way]:.1f}" if s.kind != MAKE and way in s.silence_ms else ""
                rows.append((s.name if first else f"  {s.kind}, RTT {s.rtt_ms} ms", way, str(m.sent), str(m.lost),
                             str(m.duplicated), f"{m.longest_gap_ms:.1f}", silent,
                             f"{len(s.signalling)} / {sum(s.signalling)}" if first else "",
                             f"{s.switch_ms:.1f}" if first and s.switch_ms is not None else ""))
        widths = [max(len(r[i]) for r in rows) for i in range(len(head))]
        lines = ["  ".join(c.ljust(widths[i]) if i < 2 else c.rjust(widths[i]) for i, c in enumerate(r)).rstrip()
                 for r in rows]
        lines.insert(1, "-" * max(map(len, lines)))
        lines.append("gap: longest time without a packet; silent: from when the new address could be used to the")
        lines.append("first packet; signalling: packets / octets (IP) of registration on the wire.")
        return "\n".join(lines)

    def judgement(self) -> list[tuple[bool, str]]:
        """What the requirements say to each scene: (met, text)."""
        said = []
        for s in self.scenes:
            if not s.arrived:
                said.append((False, f"{s.name}: did not arrive"))
                continue
            if s.kind in (MAKE, RETURN):
                lost = s.measures["down"].lost + s.measures["up"].lost
                said.append((lost == 0, f"{s.name}: {lost} packets lost (required: 0)"))
            if s.kind == SPARE:
                said.append((s.exchanges == 0, f"{s.name}: {s.exchanges} IKE exchanges before its packets flow "
                                               "(required: 0)"))
            if s.kind in (BREAK, SPARE):
                down, up = s.silence_ms.get("down"), s.silence_ms.get("up")
                most_down, most_up = s.rtt_ms + DOWN_MARGIN_MS, s.rtt_ms / 2 + UP_MARGIN_MS
                said.append((down is not None and down <= most_down,
                             f"{s.name}: downlink silent for {down or -1:.1f} ms after the address "
                             f"(required: at most {most_down:.0f})"))
                said.append((up is not None and up <= most_up,
                             f"{s.name}: uplink silent for {up or -1:.1f} ms after the address "
                             f"(one way {s.rtt_ms / 2:.0f} ms: no waiting for a reply)"))
            packets, octets = len(s.signalling), sum(s.signalling)
            said.append((packets <= SIGNALLING_PACKETS and octets < SIGNALLING_OCTETS,
                         f"{s.name}: {packets} packets, {octets} octets of signalling "
                         f"(required: {SIGNALLING_PACKETS}, under {SIGNALLING_OCTETS})"))
        d = self.download
        right = "right" if d.sha256 == self.sha256 else "WRONG"
        said.append((self.intact, f"download: {d.bytes} bytes, SHA-256 {right}, {d.connections} TCP connection"))
        return said


def main() -> int:
    parser = argparse.ArgumentParser(description="A terminal moves through networks.")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path, help="write the result as JSON")
    parser.add_argument("--out", metavar="DIR", type=pathlib.Path, default=pathlib.Path("out"),
                        help="where the timeline goes (default: out)")
    parser.add_argument("--tag", default="demo", help="of the namespaces' names (default: demo)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    demo, failure = None, ""
    try:
        with w.World(arguments.tag) as world:
            demo = Demo(world)
            try:
                demo.run()
            except w.Failed as error:
                failure = str(error)
                for daemon in (demo.mt, demo.hs):
                    failure += f"\n--- sojournd on {daemon.node}\n{daemon.tail(40)}"
    except w.Failed as error:
        failure = failure or str(error)
    if demo is None or not hasattr(demo, "streams"):
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    print()
    print(demo.table())
    print()
    for met, text in demo.judgement():
        print(f"{'ok  ' if met else 'MISS'}  {text}")
    svg = arguments.out / "demo.svg"
    svg.write_text(picture.draw(demo))
    print(f"\ntimeline: {svg}", end="")
    png = svg.with_suffix(".png")
    if subprocess.run(["rsvg-convert", "-o", png, svg]).returncode == 0:
        print(f", {png}", end="")
    print(f"; {time.monotonic() - began:.0f} s in all")
    if arguments.json:
        arguments.json.write_text(json.dumps(demo.json(), indent=2) + "\n")
    if failure:
        print(f"\ndemo: {failure}", file=sys.stderr)
    return 0 if not failure and demo.intact and demo.arrived else 1


if __name__ == "__main__":
    sys.exit(main())
