#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""How much goes through a tunnel: Sojourn, the same without cryptography, and three others.

Each subject has two namespaces with a veth pair, both ends on this machine (see peers.py).  All
run at once, but are measured in turn, so that a disturbance hits all of them; each figure is the
median of several runs.

    tcp1, tcp4      iperf3, one and four flows: Gbit/s of TCP payload
    udp1400, udp64  single datagrams, IP packets of 1,400 and 64 octets: the highest rate with
                    under 0.5 % loss, Gbit/s of inner IP packets
    up, down        from the terminal to the server, and back
    CPU             seconds of both sides' daemons, per GiB of the same octets

    sudo ./run bench throughput [--json FILE] [--seconds N] [--runs N] [--only SUBJECT..]
                                [--rows ROW..] [--build DIR] [-v]
"""
import argparse
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import peers
import traffic
from lab import ROOT, Lab, Others, end_on_signals

DEFAULT = ["sojourn", "limit_null", "wireguard_go", "strongswan", "openvpn"]
OTHERS = ["wireguard_go", "strongswan", "openvpn"]
ROWS = [f"{kind}-{way}" for kind in ("tcp1", "tcp4", "udp1400", "udp64") for way in ("up", "down")]
# What Sojourn is to reach: (rows, of what, how many times it at least).
BOUNDS = [("tcp1", "limit_null", 0.70), ("tcp1", "strongswan", 12), ("tcp1", "openvpn", 7),
          ("udp1400", "best peer", 3)]
CPU_MAX = 2.0           # s per GiB, tcp1
OTHERS_MAX = 0.03


class Figures:
    """What was measured: of each row and subject the runs."""

    def __init__(self, rows, subjects):
        self.subjects = subjects
        self.mtu = {}   # of each subject, at the terminal and at the server
        self.others = 0.0  # share of the machine that others took meanwhile
        self.runs = {row: {s: [] for s in subjects} for row in rows}

    def median(self, row, subject, what="gbit_s"):
        return statistics.median(getattr(r, what) for r in self.runs[row][subject])

    def against(self, row):
        """Sojourn as a multiple of each of the others, and of the best peer."""
        if "sojourn" not in self.subjects:
            return {}
        own = self.median(row, "sojourn")
        rest = {s: self.median(row, s) for s in self.subjects if s != "sojourn"}
        known = [rest[s] for s in OTHERS if s in rest]
        if known:
            rest["best peer"] = max(known)
        return {name: own / value for name, value in rest.items()}

    def row(self, name):
        row = {"name": name, "unit": "gbit_s"}
        row.update({s: round(self.median(name, s), 4) for s in self.subjects})
        row["cpu_s_per_gib"] = {s: round(self.median(name, s, "cpu_s_per_gib"), 3)
                                for s in self.subjects if s != "bare"}
        if name.startswith("udp"):
            row["kpps"] = {s: round(self.median(name, s, "pps") / 1e3, 2) for s in self.subjects}
        row["runs"] = {s: [round(r.gbit_s, 4) for r in self.runs[name][s]] for s in self.subjects}
        return row

    def bounds(self):
        """What is required, where it was measured: of both ways the worse counts."""
        found = []
        for kind, other, least in BOUNDS:
            ratios = [a[other] for row in self.runs if row.startswith(kind + "-")
                      for a in [self.against(row)] if other in a]
            if ratios:
                found.append({"name": f"{kind}: sojourn / {other}", "at_least": least,
                              "value": round(min(ratios), 2), "met": min(ratios) >= least})
        cpu = [self.median(row, "sojourn", "cpu_s_per_gib") for row in self.runs
               if row.startswith("tcp1-") and "sojourn" in self.subjects]
        if cpu:
            found.append({"name": "tcp1: CPU seconds per GiB", "at_most": CPU_MAX,
                          "value": round(max(cpu), 2), "met": max(cpu) <= CPU_MAX})
        return found


def measure(subjects, rows, args):
    """Rows by subjects by runs; the subjects of one row follow each other."""
    figures = Figures(rows, subjects)
    verbose = (lambda text: print(text, file=sys.stderr)) if args.verbose else (lambda text: None)
    tmp = Path(tempfile.mkdtemp(prefix="sj-b-"))
    try:
        with contextlib.ExitStack() as stack:
            tunnels = {s: peers.SUBJECTS[s](stack.enter_context(Lab(s, tmp)), binaries=args.build)
                       for s in subjects}
            for peer in tunnels.values():
                peer.start()
            figures.mtu = {s: {role: peer.inner_mtu(role) for role in ("terminal", "server")}
                           for s, peer in tunnels.items()}
            tcp = {s: traffic.Tcp(peer) for s, peer in tunnels.items()}
            others = Others(peer.lab for peer in tunnels.values())
            for _ in range(args.runs):
                for row in rows:
                    kind, down = row.split("-")[0], row.endswith("-down")
                    for s, peer in tunnels.items():
                        runs = figures.runs[row][s]
                        if kind.startswith("tcp"):
                            runs.append(tcp[s].measure(int(kind[3:]), down, args.seconds))
                        else:
                            runs.append(traffic.highest_rate(
                                peer, int(kind[3:]), down, args.trial_seconds,
                                runs[-1].pps if runs else None, verbose))
                        verbose(f"{s}: {row}: {runs[-1].gbit_s:.3f} Gbit/s, "
                                f"{runs[-1].cpu_s_per_gib:.2f} s/GiB")
                        print(".", end="", flush=True, file=sys.stderr)
            print(file=sys.stderr)
            figures.others = others.share()
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    return figures


def table(title, names, lines):
    print(f"\n{title}\n{'':13}" + "".join(f"{n:>14}" for n in names))
    for name, values in lines:
        print(f"{name:13}" + "".join(f"{v:>14}" for v in values))


def show(figures, args):
    subjects, rows = figures.subjects, list(figures.runs)
    print(f"median of {args.runs} runs; TCP {args.seconds} s each")
    table("Gbit/s", subjects,
          [(r, [f"{figures.median(r, s):.3f}" for s in subjects]) for r in rows])
    udp = [r for r in rows if r.startswith("udp")]
    if udp:
        table("thousand packets per second", subjects,
              [(r, [f"{figures.median(r, s, 'pps') / 1e3:.1f}" for s in subjects]) for r in udp])
    table("CPU seconds per GiB, both sides", subjects,
          [(r, [f"{figures.median(r, s, 'cpu_s_per_gib'):.2f}" for s in subjects]) for r in rows])
    table("inner MTU", subjects, [(role, [str(figures.mtu[s][role]) for s in subjects])
                                  for role in ("terminal", "server")])
    for s in subjects:
        low = min(figures.mtu[s].values())
        if low < 1400:
            print(f"note: {s} has to fragment packets of 1,400 octets (MTU {low})")
    if figures.others > OTHERS_MAX:
        print(f"note: other processes took {100 * figures.others:.0f} % of the machine meanwhile: "
              "measure again when it is quiet")
    ratios = {r: figures.against(r) for r in rows}
    if ratios and any(ratios.values()):
        names = list(ratios[rows[0]])
        table("Sojourn as a multiple of", names,
              [(r, [f"{a[n]:.2f}" for n in names]) for r, a in ratios.items()])
    bounds = figures.bounds()
    if bounds:
        print("\nrequired (of both ways the worse)")
    for b in bounds:
        limit = f">= {b['at_least']}" if "at_least" in b else f"<= {b['at_most']}"
        print(f"  {b['name']:32}{b['value']:8.2f}   {limit:9} {'met' if b['met'] else 'MISSED'}")


def arguments():
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    ap.add_argument("--json", metavar="FILE", help="write the figures there too")
    ap.add_argument("--seconds", type=int, default=2, help="of each TCP run (default 2)")
    ap.add_argument("--trial-seconds", type=float, default=0.8,
                    help="of each trial of a UDP rate (default 0.8)")
    ap.add_argument("--runs", type=int, default=3, help="of which the median counts (default 3)")
    ap.add_argument("--only", choices=peers.SUBJECTS, action="append",
                    help="measure only this (repeatable; 'bare' is the wire without a tunnel)")
    ap.add_argument("--rows", metavar="ROW", action="append",
                    help="only rows that begin so, like tcp1 or udp64-up (repeatable)")
    ap.add_argument("--build", metavar="DIR", type=Path, default=ROOT / "build",
                    help="whose sojournd is measured (default: build)")
    ap.add_argument("-v", "--verbose", action="store_true", help="say what each trial gave")
    args = ap.parse_args()
    args.build = args.build.resolve()
    rows = [r for r in ROWS if not args.rows or r.startswith(tuple(args.rows))]
    if not rows:
        ap.error("no such row; there are: " + " ".join(ROWS))
    if args.runs < 1 or args.seconds < 1 or args.trial_seconds <= 0:
        ap.error("runs and seconds are numbers above 0")
    return args, rows


def main():
    args, rows = arguments()
    subjects = args.only or DEFAULT
    end_on_signals()
    try:
        figures = measure(subjects, rows, args)
    except RuntimeError as e:
        sys.exit(f"\n{e}")
    show(figures, args)
    if args.json:
        result = {"rows": [figures.row(r) for r in rows],
                  "ratios": {r: {n: round(v, 3) for n, v in figures.against(r).items()}
                             for r in rows},
                  "bounds": figures.bounds(), "inner_mtu": figures.mtu,
                  "others_share": round(figures.others, 4)}
        Path(args.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
