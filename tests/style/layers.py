#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks that no room of src/ includes another against the arrows (doc/architecture.md).

    base <- wire <- crypto <- sadb <- {mobility, ike, forward} <- platform <- daemon
    cli stands on base alone

mobility, ike and forward never include each other.  `layers.py --self-test` builds small
trees that break each rule and fails unless every one of them is found.
"""
import re
import sys
import tempfile
from pathlib import Path

# What each room may include besides itself.
CORE = {"base", "wire", "crypto", "sadb"}
BELOW = {
    "base": set(),
    "wire": {"base"},
    "crypto": {"base", "wire"},
    "sadb": {"base", "wire", "crypto"},
    "mobility": CORE,
    "ike": CORE,
    "forward": CORE,
    "platform": CORE | {"mobility", "ike", "forward"},
    "daemon": CORE | {"mobility", "ike", "forward", "platform"},
    "cli": {"base"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def find_faults(src):
    """Yields (file, line number, text) for every fault below src."""
    for path in sorted(src.rglob("*.[ch]")):
        room = path.relative_to(src).parts[0]
        if room not in BELOW:
            yield path, 1, f"{room}/ is not a room: add it to BELOW or move the file"
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            quote, name = match.groups()
            target = name.split("/")[0]
            if quote == "<":
                if target in BELOW and (src / name).exists():
                    yield path, number, f'<{name}> is ours: include it as "{name}"'
                continue
            if ".." in name.split("/") or target not in BELOW:
                yield path, number, f'"{name}": includes are relative to src/, as "room/file.h"'
            elif target != room and target not in BELOW[room]:
                yield path, number, f'{room} includes "{name}" against the arrows'


def self_test():
    cases = [  # file, what it includes, is it a fault
        ("base/a.c", '"base/a.h"', False),
        ("wire/a.c", '"base/a.h"', False),
        ("daemon/a.c", '"forward/a.h"', False),
        ("daemon/a.c", '"mobility/a.h"', False),
        ("platform/a.c", '"forward/a.h"', False),
        ("cli/a.c", '"base/a.h"', False),
        ("wire/a.c", "<stdio.h>", False),
        ("base/a.c", '"wire/a.h"', True),
        ("wire/a.h", '"crypto/a.h"', True),
        ("crypto/a.c", '"sadb/a.h"', True),
        ("sadb/a.c", '"mobility/a.h"', True),
        ("sadb/a.c", '"forward/a.h"', True),
        ("mobility/a.c", '"forward/a.h"', True),
        ("mobility/a.c", '"ike/a.h"', True),
        ("ike/a.c", '"mobility/a.h"', True),
        ("forward/a.c", '"mobility/a.h"', True),
        ("forward/a.c", '"platform/a.h"', True),
        ("platform/a.c", '"daemon/a.h"', True),
        ("cli/a.c", '"wire/a.h"', True),
        ("cli/a.c", '"daemon/a.h"', True),
        ("wire/a.c", '"a.h"', True),
        ("wire/a.c", '"../daemon/a.h"', True),
        ("wire/a.c", "<daemon/a.h>", True),
        ("attic/a.c", "<stdio.h>", True),
    ]
    wrong = 0
    for name, included, fault in cases:
        with tempfile.TemporaryDirectory() as tmp:
            src = Path(tmp)
            for room in BELOW:
                (src / room).mkdir()
                (src / room / "a.h").write_text("")
            (src / name).parent.mkdir(exist_ok=True)
            (src / name).write_text(f"/* x */\n#  include {included}\n")
            found = bool(list(find_faults(src)))
        if found != fault:
            wrong += 1
            print(f"self-test: {name} with {included}: "
                  f"{'found a fault where there is none' if found else 'fault not found'}")
    print(f"self-test: {len(cases)} trees, {wrong} wrong")
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    src = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "src"
    faults = list(find_faults(src))
    for path, number, text in faults:
        print(f"{path}:{number}: {text}")
    files = sum(1 for _ in src.rglob("*.[ch]"))
    print(f"layers: {files} files, {len(faults)} faults")
    return 1 if faults or not files else 0


if __name__ == "__main__":
    sys.exit(main())
