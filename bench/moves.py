#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a move costs: Sojourn, strongSwan's MOBIKE, wireguard-go and OpenVPN.

A terminal has two uplinks and 1,000 packets/s each way through its tunnel.  The better uplink
goes down ("break": the other is there already) and comes back ("make": the other stays), and
each subject does what it does by itself.  Of each move and direction: the longest time without a
packet, and how many never came; the median of several moves.  The server is as near as the
machine makes it, or a round trip of 100 ms away (see lab.py).

    sudo ./run bench moves [--json FILE] [--moves N] [--only SUBJECT..] [--build DIR] [-v]

strongSwan: MOBIKE, and prefer_best_path, without which it stays where it is while that works.
wireguard-go follows the source address of what is authentic; so does OpenVPN with --float.
"""
import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import peers
from lab import ROOT, TOOLS, MobileLab, end_on_signals

sys.path.append(str(ROOT / "tests/net"))
import streams  # noqa: E402
import world  # noqa: E402

SUBJECTS = ["sojourn", "strongswan", "wireguard_go", "openvpn"]
KINDS = ("break", "make")
RTTS_MS = (0, 100)
RATE, SIZE, PORT = 1000, 400, 7000
SETTLE_S = 2            # before the first move, and after each one
MOVE_S = {"break": 40, "make": 10}  # who has not moved by then does not
PROBE_S = 0.2
AFTER_S = 1.0           # of the measure, after the move
WORSE, WORSE_MS = 2, 20


class Streams(streams.Streams):
    """One each way between the inner addresses of a peer."""

    def __init__(self, peer):  # pylint: disable=super-init-not-called
        lab = peer.lab
        logs = {role: lab.tmp / f"stream-{role}.bin" for role in ("terminal", "server")}
        self.terminal_log, self.host_log = (streams.Log(logs[r]) for r in ("terminal", "server"))
        self.processes = []
        for role, other in (("server", "terminal"), ("terminal", "server")):
            self.processes.append(lab.start(
                role, "stream", TOOLS / "stream", "--bind", f"{peer.inner[role]}:{PORT}",
                "--peer", f"{peer.inner[other]}:{PORT}", "--rate", RATE, "--size", SIZE,
                "--log", logs[role]))


def carries(lab, name):
    """Whether both streams go by this uplink now."""
    before = lab.counted(name)
    time.sleep(PROBE_S)
    return all(b - a > RATE * PROBE_S / 2 for a, b in zip(before, lab.counted(name)))


def move(lab, flows, kind):
    """{"up": Measure, "down": Measure, "moved": whether it is there now}"""
    target = "up2" if kind == "break" else "up1"
    start_us = world.monotonic_us()
    if kind == "break":
        lab.down("up1")
    else:
        lab.up("up1")
    end = time.monotonic() + MOVE_S[kind]
    while not (moved := carries(lab, target)) and time.monotonic() < end:
        pass
    time.sleep(AFTER_S)
    end_us = world.monotonic_us()
    # What is on its way at the end still comes; what was at the start may have been lost.
    time.sleep(lab.rtt_ms / 1000 + 0.1)
    flows.follow()
    result = {way: flows.measure(way, start_us - lab.rtt_ms * 1000, end_us)
              for way in streams.WAYS}
    result["moved"] = moved
    return result


def measure(subject, rtt_ms, args, tmp):
    """Each kind's moves, with fresh processes."""
    found = {kind: [] for kind in KINDS}
    with MobileLab(subject, tmp, rtt_ms) as lab:
        peer = peers.SUBJECTS[subject](lab, binaries=args.build, mobile=True)
        peer.start()
        flows = Streams(peer)
        try:
            flows.wait_flow(500)
            time.sleep(SETTLE_S)
            if not carries(lab, "up1"):
                raise RuntimeError(f"{subject} does not begin on the better uplink\n{lab.logs()}")
            for _ in range(args.moves):
                for kind in KINDS:
                    found[kind].append(move(lab, flows, kind))
                    if args.verbose:
                        print(f"{subject} rtt {rtt_ms} {kind}: {found[kind][-1]}", file=sys.stderr)
                    print(".", end="", flush=True, file=sys.stderr)
                    time.sleep(SETTLE_S)
                if not carries(lab, "up1"):  # it stayed where it was: bring it back
                    lab.down("up2")
                    world.wait_for(lambda: carries(lab, "up1"), 60, f"{subject} is on up1")
                    lab.up("up2")
                    time.sleep(SETTLE_S)
        except world.Failed as e:
            raise RuntimeError(f"{subject}: {e}\n{lab.logs()}") from None
        if args.verbose == 2:
            print(lab.logs(), file=sys.stderr)
    return found


def rows_of(figures, subjects):
    rows = []
    for kind in KINDS:
        for rtt_ms in RTTS_MS:
            for way in streams.WAYS:
                runs = {s: [m[way] for m in figures[s, rtt_ms][kind]] for s in subjects}
                row = {"name": f"{kind}-rtt{rtt_ms}-{way}", "unit": "ms"}
                row.update({s: round(statistics.median(m.longest_gap_ms for m in runs[s]), 1)
                            for s in subjects})
                row["worst"] = {s: max(m.longest_gap_ms for m in runs[s]) for s in subjects}
                row["lost"] = {s: statistics.median(m.lost for m in runs[s]) for s in subjects}
                row["moved"] = {s: sum(m["moved"] for m in figures[s, rtt_ms][kind])
                                for s in subjects}
                row["runs"] = {s: [m.json() for m in runs[s]] for s in subjects}
                rows.append(row)
    return rows


def show(rows, subjects, moves):
    print(f"{RATE} packets/s each way, median of {moves} moves: the longest time without a packet "
          "(ms) / packets lost")
    any_far = False
    print(f"{'':18}" + "".join(f"{s:>20}" for s in subjects))
    for row in rows:
        cells = []
        for s in subjects:
            far = row["worst"][s] > WORSE * row[s] + WORSE_MS
            any_far = any_far or far
            cells.append(f"{row[s]:.1f} / {row['lost'][s]:g}" +
                         (f" [{row['worst'][s]:.0f}]" if far else "") +
                         (f" ({row['moved'][s]})" if row["moved"][s] < moves else ""))
        print(f"{row['name']:18}" + "".join(f"{c:>20}" for c in cells))
    if any_far:
        print("[N]: the worst of them, where it is far from the median")
    if any(row["moved"][s] < moves for row in rows for s in subjects):
        print(f"(N): so many of the {moves} ended on the uplink they should have moved to")


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    ap.add_argument("--json", metavar="FILE", help="write the figures there too")
    ap.add_argument("--moves", type=int, default=3, help="of each kind (default 3)")
    ap.add_argument("--only", choices=SUBJECTS, action="append", help="measure only this")
    ap.add_argument("--build", metavar="DIR", type=Path, default=ROOT / "build",
                    help="whose sojournd is measured (default: build)")
    ap.add_argument("-v", "--verbose", action="count", default=0,
                    help="say what each move gave; twice: the logs too")
    args = ap.parse_args()
    args.build = args.build.resolve()
    if args.moves < 1:
        ap.error("moves is a number above 0")
    subjects = args.only or SUBJECTS
    end_on_signals()
    figures = {}
    try:
        for rtt_ms in RTTS_MS:
            for subject in subjects:
                tmp = tempfile.mkdtemp(prefix="sj-b-")
                try:
                    figures[subject, rtt_ms] = measure(subject, rtt_ms, args, tmp)
                finally:
                    shutil.rmtree(tmp, ignore_errors=True)
        print(file=sys.stderr)
    except RuntimeError as e:
        sys.exit(f"\n{e}")
    rows = rows_of(figures, subjects)
    show(rows, subjects, args.moves)
    if args.json:
        Path(args.json).write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
