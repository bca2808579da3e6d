#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Instructions per packet of the packet path, counted by callgrind (bench/instructions.c).

Outbound is fwd_run_tun, inbound fwd_run_sock, without cryptography and with an I/O that copies
nothing.  Each figure is the difference of two lengths of run, so that what is
done once does not count; valgrind's processor is the same everywhere, so the same program gives
the same figure whatever else the machine does.

The figures are compared with bench/instructions.json: more than 5 % above is SLOWER, and the exit
status 1.  --update writes them there.

    sudo ./run bench instructions [--json FILE] [--update]
"""
import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAM = HERE.parent / "build/bench/instructions"
BASELINE = HERE / "instructions.json"
SHAPES = {"tso": "one TCP frame of 44 segments", "udp1400": "32 datagrams of 1,400 octets",
          "udp64": "32 datagrams of 64 octets"}
WAYS = {"out": "fwd_run_tun", "in": "fwd_run_sock"}
COUNTS = (50, 150)
TOLERANCE = 1.05


def counted(shape, function, count, tmp):
    """Instructions in the function and below, and packets."""
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", f"--toggle-collect={function}",
         f"--callgrind-out-file={tmp}/out", str(PROGRAM), shape, str(count)],
        capture_output=True, text=True)
    collected = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not collected:
        sys.exit(f"valgrind: {done.stderr[-2000:]}")
    return int(collected.group(1)), int(done.stdout)


def measure():
    rows = {}
    with tempfile.TemporaryDirectory(prefix="sj-b-") as tmp:
        for shape in SHAPES:
            for way, function in WAYS.items():
                (few, packets), (many, more) = (counted(shape, function, n, tmp) for n in COUNTS)
                rows[f"{shape}-{way}"] = round((many - few) / (more - packets), 1)
    return rows


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    ap.add_argument("--json", metavar="FILE", help="write the figures there too")
    ap.add_argument("--update", action="store_true", help="they are what later runs must keep to")
    args = ap.parse_args()
    rows = measure()
    before = json.loads(BASELINE.read_text())["rows"] if BASELINE.exists() else {}
    slower = False
    print(f"{'instructions per packet':28}{'now':>10}{'before':>10}")
    for name, value in rows.items():
        was = before.get(name)
        worse = was is not None and value > was * TOLERANCE
        slower |= worse
        print(f"{name:28}{value:10.1f}{was if was is not None else '-':>10}"
              f"{'  SLOWER' if worse else ''}")
    result = json.dumps({"unit": "instructions per packet", "rows": rows}, indent=1) + "\n"
    if args.json:
        Path(args.json).write_text(result)
    if args.update:
        BASELINE.write_text(result)
    elif slower:
        sys.exit(1)


if __name__ == "__main__":
    main()
