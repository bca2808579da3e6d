# SPDX-License-Identifier: MIT
"""The one place where the tests write configurations for sojournd."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import world as w

CIPHER, INTEGRITY = "aes128-cbc", "hmac-sha-256-128"
ENCRYPTION_KEY_LEN, INTEGRITY_KEY_LEN = 16, 32
NETWORKS = ["wifi", "cell", "v6"]  # the order of preference


@dataclasses.dataclass
class Options:
    """What differs between tests."""
    policy: str = "lenient"
    home6: bool = False                # an IPv6 home address too
    networks: tuple[str, ...] = tuple(NETWORKS)
    generation: dict[str, int] = dataclasses.field(default_factory=dict)  # network -> other keys
    terminal_lines: tuple[str, ...] = ()
    server_lines: tuple[str, ...] = ()


def key(label: str, length: int) -> bytes:
    """Keys of tests are made from their names, so that a run can be repeated."""
    return hashlib.shake_256(b"sojourn test key " + label.encode()).digest(length)


def hex_key(data: bytes) -> str:
    return f'"0x{data.hex()}"'


def quoted(items: list[str]) -> str:
    return "{ " + ", ".join(f'"{i}"' for i in items) + " }"


@dataclasses.dataclass
class Pair:
    """One connection's SPIs and keys; up is from the terminal to the home server."""
    name: str
    interface: str
    server: str
    spi_up: int
    spi_down: int
    key_up: bytes
    key_down: bytes

    def block(self, terminal_side: bool) -> str:
        out_spi, out_key = (self.spi_up, self.key_up) if terminal_side else (self.spi_down, self.key_down)
        in_spi, in_key = (self.spi_down, self.key_down) if terminal_side else (self.spi_up, self.key_up)
        where = f'interface = "{self.interface}"' if terminal_side else 'care-of = "any"'
        return f"""connection {self.name} {{
    {where}
    server = "{self.server}"
    cipher = "{CIPHER}"
    integrity = "{INTEGRITY}"
    spi-out = {out_spi:#x}
    key-out = {hex_key(out_key)}
    spi-in = {in_spi:#x}
    key-in = {hex_key(in_key)}
}}"""


def pairs(terminal: w.Terminal, options: Options) -> list[Pair]:
    found = []
    names = [n for n in options.networks if n == "wifi" or terminal is w.ALICE]
    for name in names:
        place = NETWORKS.index(name)
        label = f"{terminal.name} {name} {options.generation.get(name, 0)}"
        length = ENCRYPTION_KEY_LEN + INTEGRITY_KEY_LEN
        spi = 16 * terminal.index + place + 1
        found.append(Pair(name, w.INTERFACES[name], w.HOME_SERVER6 if name == "v6" else w.HOME_SERVER4,
                          0x1000 + spi, 0x2000 + spi, key(label + " up", length), key(label + " down", length)))
    return found


def homes(terminal: w.Terminal, options: Options) -> list[str]:
    return [terminal.home4] + ([terminal.home6] if options.home6 else [])


def registration_key(terminal: w.Terminal) -> bytes:
    return key(f"{terminal.name} registration", 32)


def registration_spi(terminal: w.Terminal) -> int:
    return 256 + terminal.index


def indented(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())


def terminal_text(world: w.World, terminal: w.Terminal, options: Options) -> str:
    agents = [w.HOME_AGENT4] + ([w.HOME_AGENT6] if options.home6 else [])
    routes = ["10.1.0.0/24"] + (["fd00:1::/64"] if options.home6 else [])
    lines = [
        'role = "terminal"',
        f'name = "{terminal.name}"',
        f'control = "{world.daemon(terminal.node).socket}"',
        f"home-address = {quoted(homes(terminal, options))}",
        f"home-agent = {quoted(agents)}",
        f"registration-spi = {registration_spi(terminal)}",
        f"registration-key = {hex_key(registration_key(terminal))}",
        f"routes = {quoted(routes)}",
        *options.terminal_lines,
        'home {\n    prefix = "10.1.0.0/24"\n    gateway = "10.1.0.1"\n    interface = "eth0"\n}',
        *(p.block(True) for p in pairs(terminal, options)),
    ]
    return "\n".join(lines) + "\n"


def server_text(world: w.World, options: Options) -> str:
    agents = [w.HOME_AGENT4] + ([w.HOME_AGENT6] if options.home6 else [])
    lines = [
        'role = "home-server"',
        f'control = "{world.daemon("hs").socket}"',
        f"listen = {quoted([w.HOME_SERVER4, w.HOME_SERVER6])}",
        'home-link = "eth1"',
        f"home-agent = {quoted(agents)}",
        *options.server_lines,
    ]
    for terminal in world.terminals:
        inner = [
            f"home-address = {quoted(homes(terminal, options))}",
            f"registration-spi = {registration_spi(terminal)}",
            f"registration-key = {hex_key(registration_key(terminal))}",
            f'policy = "{options.policy}"',
            *(p.block(False) for p in pairs(terminal, options)),
        ]
        lines.append(f"terminal {terminal.name} {{\n" + indented("\n".join(inner)) + "\n}")
    return "\n".join(lines) + "\n"


def write(world: w.World, **options: Any) -> Options:
    """Writes the configuration of every node of the world."""
    chosen = Options(**options)
    texts = {"hs": server_text(world, chosen)}
    texts |= {t.node: terminal_text(world, t, chosen) for t in world.terminals}
    for node, text in texts.items():
        path = world.daemon(node).config
        path.touch(mode=0o600)
        path.write_text(text)
    return chosen
