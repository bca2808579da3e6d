# SPDX-License-Identifier: MIT
"""The one place where the tests write configurations for sojournd."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import subprocess
from typing import Any

import world as w

CIPHER, INTEGRITY = "aes128-cbc", "hmac-sha-256-128"
ENCRYPTION_KEY_LEN, INTEGRITY_KEY_LEN = 16, 32
KEY_LEN = {"esp": ENCRYPTION_KEY_LEN + INTEGRITY_KEY_LEN, "ah": INTEGRITY_KEY_LEN,
           "ah-esp": ENCRYPTION_KEY_LEN + 2 * INTEGRITY_KEY_LEN}
NETWORKS = ["wifi", "cell", "v6"]  # the order of preference


@dataclasses.dataclass
class Options:
    """What differs between tests."""
    policy: str = "lenient"
    home6: bool = False                # an IPv6 home address too
    prefixes: tuple[str, ...] = ()     # networks behind the terminal
    encapsulation: str = "udp"         # of connections with configured keys
    networks: tuple[str, ...] = tuple(NETWORKS)
    generation: dict[str, int] = dataclasses.field(default_factory=dict)  # network -> other keys
    ike: str = ""                      # "psk" or "cert": keys by IKEv2, not from the configuration
    keyed: tuple[str, ...] = ()        # with IKEv2: networks whose connections have configured keys all the same
    spares: int = 2
    places: bool = True                # the terminal's configuration names its networks
    by_name: bool = False              # the home server by its name, not by its addresses
    ike_lines: tuple[str, ...] = ()    # of the terminal's section ike
    server_ike_lines: tuple[str, ...] = ()
    fleet: bool = False                # one entry with a pattern and a pool, for every terminal
    terminal_lines: tuple[str, ...] = ()
    server_lines: tuple[str, ...] = ()
    entry_lines: tuple[str, ...] = ()  # of each terminal's section on the home server
    mode: str = ""                     # of connections with configured keys
    protocol: str = "esp"              # of connections with configured keys
    inside: int = 0                    # 4 or 6: the family of the only home address


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
    encapsulation: str
    mode: str = ""
    protocol: str = "esp"

    def form(self) -> str:
        """AH is in no UDP, and alone has no cipher."""
        if self.protocol == "esp":
            return f'encapsulation = {self.encapsulation}\n    cipher = "{CIPHER}"'
        return f"protocol = {self.protocol}" + ("" if self.protocol == "ah" else f'\n    cipher = "{CIPHER}"')

    def block(self, terminal_side: bool) -> str:
        out_spi, out_key = (self.spi_up, self.key_up) if terminal_side else (self.spi_down, self.key_down)
        in_spi, in_key = (self.spi_down, self.key_down) if terminal_side else (self.spi_up, self.key_up)
        where = f'interface = "{self.interface}"' if terminal_side else 'care-of = "any"'
        return f"""connection {self.name} {{
    {where}
    server = "{self.server}"
    mode = {self.mode or "tunnel"}
    {self.form()}
    integrity = "{INTEGRITY}"
    spi-out = {out_spi:#x}
    key-out = {hex_key(out_key)}
    spi-in = {in_spi:#x}
    key-in = {hex_key(in_key)}
}}"""


def pairs(terminal: w.Terminal, options: Options) -> list[Pair]:
    found = []
    names = [n for n in (options.keyed if options.ike else options.networks) if n == "wifi" or terminal is w.ALICE]
    for name in names:
        place = NETWORKS.index(name)
        label = f"{terminal.name} {name} {options.generation.get(name, 0)}"
        length = KEY_LEN[options.protocol]
        spi = 16 * terminal.index + place + 1
        found.append(Pair(name, w.INTERFACES[name], w.HOME_SERVER6 if name == "v6" else w.HOME_SERVER4,
                          0x1000 + spi, 0x2000 + spi, key(label + " up", length), key(label + " down", length),
                          options.encapsulation, options.mode, options.protocol))
    return found


def homes(terminal: w.Terminal, options: Options) -> list[str]:
    if options.inside:
        return [terminal.home6 if options.inside == 6 else terminal.home4]
    return [terminal.home4] + ([terminal.home6] if options.home6 else [])


def prefix_lines(options: Options) -> list[str]:
    return [f"prefix = {quoted(list(options.prefixes))}"] if options.prefixes else []


def registration_key(terminal: w.Terminal) -> bytes:
    return key(f"{terminal.name} registration", 32)


def registration_spi(terminal: w.Terminal) -> int:
    return 256 + terminal.index


# -- IKEv2 -----------------------------------------------------------------------------------------

SERVER_ID = "vpn.sojourn.test"


def terminal_id(terminal: w.Terminal) -> str:
    return f"{terminal.name}@sojourn.test"


def ike_secret(terminal: w.Terminal) -> str:
    return key(f"{terminal.name} ike", 32).hex()


def openssl(directory: pathlib.Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, stdin=subprocess.DEVNULL)


def certificates(world: w.World) -> pathlib.Path:
    """A CA and a certificate for the home server and each terminal, as a person would make them."""
    directory = world.dir / "pki"
    if directory.exists():
        return directory
    directory.mkdir(mode=0o700)
    make_key = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"]
    openssl(directory, *make_key, "ca.key")
    openssl(directory, "req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=Sojourn tests", "-days", "7",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", "ca.pem")
    names = {"hs": f"DNS:{SERVER_ID}"} | {t.name: f"email:{terminal_id(t)}" for t in world.terminals}
    for name, subject in names.items():
        openssl(directory, *make_key, f"{name}.key")
        openssl(directory, "req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr")
        (directory / f"{name}.ext").write_text(f"subjectAltName={subject}\nkeyUsage=digitalSignature\n")
        openssl(directory, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "7", "-extfile", f"{name}.ext", "-out", f"{name}.pem")
    for path in directory.iterdir():
        path.chmod(0o600)
    return directory


def credentials(world: w.World, name: str, options: Options) -> list[str]:
    """Who proves itself by a certificate."""
    pki = certificates(world)
    return [f'certificate = "{pki / name}.pem"', f'private-key = "{pki / name}.key"', f'ca = "{pki}/ca.pem"']


def terminal_ike(world: w.World, terminal: w.Terminal, options: Options) -> list[str]:
    servers = [SERVER_ID] if options.by_name else [w.HOME_SERVER4, w.HOME_SERVER6]
    lines = [f"server = {quoted(servers)}", f'id = "{terminal_id(terminal)}"', f'server-id = "{SERVER_ID}"',
             f"spares = {options.spares}"]
    lines += credentials(world, terminal.name, options) if options.ike == "cert" else \
        [f'secret = "0x{ike_secret(terminal)}"']
    blocks = ["ike {\n" + indented("\n".join([*lines, *options.ike_lines])) + "\n}"]
    keyed = {p.name: p.block(True) for p in pairs(terminal, options)}
    if options.places:
        blocks += [keyed.get(n, f'connection {n} {{\n    interface = "{w.INTERFACES[n]}"\n}}') for n in options.networks]
    return blocks


def server_ike(world: w.World, options: Options) -> list[str]:
    lines = [f'id = "{SERVER_ID}"']
    if options.ike == "cert":
        lines += credentials(world, "hs", options)
    blocks = ["ike {\n" + indented("\n".join([*lines, *options.server_ike_lines])) + "\n}"]
    if options.fleet:
        blocks.append('pool fleet {\n    address = { "10.1.0.192/28", "fd00:1::f00:0/124" }\n'
                      f'    dns = {{ "{w.HOST_X4}", "{w.HOST_X6}" }}\n}}')
    return blocks


def indented(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())


def terminal_text(world: w.World, terminal: w.Terminal, options: Options) -> str:
    agents = [w.HOME_AGENT4] + ([w.HOME_AGENT6] if options.home6 or options.inside == 6 else [])
    routes = ["10.1.0.0/24"] + (["fd00:1::/64"] if options.home6 or options.fleet else [])
    # Who comes home must know which address it has there; others are given one.
    home = [] if options.fleet or options.inside else [
        'home {\n    prefix = "10.1.0.0/24"\n    gateway = "10.1.0.1"\n    interface = "eth0"\n}']
    addresses = [] if options.fleet else [f"home-address = {quoted(homes(terminal, options))}"]
    addresses += prefix_lines(options)
    agent = [f"home-agent = {quoted(agents[-1:])}"] if options.inside and options.ike else []
    configured = agent if options.ike and not options.keyed else [
        f"home-agent = {quoted(agents)}",
        f"registration-spi = {registration_spi(terminal)}",
        f"registration-key = {hex_key(registration_key(terminal))}",
    ]
    connections = terminal_ike(world, terminal, options) if options.ike else \
        [p.block(True) for p in pairs(terminal, options)]
    lines = [
        'role = "terminal"',
        f'name = "{terminal.name}"',
        f'control = "{world.daemon(terminal.node).socket}"',
        *addresses,
        *configured,
        *([] if options.inside else [f"routes = {quoted(routes)}"]),
        *options.terminal_lines,
        *home,
        *connections,
    ]
    return "\n".join(lines) + "\n"


def server_text(world: w.World, options: Options) -> str:
    agents = [w.HOME_AGENT4] + ([w.HOME_AGENT6] if options.home6 or options.fleet or options.inside == 6 else [])
    lines = [
        'role = "home-server"',
        f'control = "{world.daemon("hs").socket}"',
        f"listen = {quoted([w.HOME_SERVER4, w.HOME_SERVER6])}",
        'home-link = "eth1"',
        f"home-agent = {quoted(agents)}",
        *options.server_lines,
        *(server_ike(world, options) if options.ike else []),
    ]
    if options.fleet:
        return "\n".join([*lines, 'terminal fleet {\n    id = "*@sojourn.test"\n    pool = "fleet"\n}']) + "\n"
    for terminal in world.terminals:
        inner = [
            f"home-address = {quoted(homes(terminal, options))}",
            *([f'policy = "{options.policy}"'] if options.policy else []),
            *options.entry_lines,
            *prefix_lines(options),
        ]
        if options.ike:
            inner.append(f'id = "{terminal_id(terminal)}"')
            inner += [f'secret = "0x{ike_secret(terminal)}"'] if options.ike == "psk" else []
        if options.keyed or not options.ike:
            inner += [f"registration-spi = {registration_spi(terminal)}",
                      f"registration-key = {hex_key(registration_key(terminal))}",
                      *(p.block(False) for p in pairs(terminal, options))]
        lines.append(f"terminal {terminal.name} {{\n" + indented("\n".join(inner)) + "\n}")
    return "\n".join(lines) + "\n"


def many_text(hs: w.Daemon, inside: str, homes: str, secret: str) -> str:
    """A home server of any number of terminals, with one secret and addresses from one pool."""
    return f"""role = "home-server"
control = "{hs.socket}"
log-level = "warning"
listen = {quoted([w.HOME_SERVER4])}
home-agent = {quoted([inside])}
ike {{
    id = "{SERVER_ID}"
}}
pool many {{
    address = {quoted([homes])}
}}
terminal many {{
    id = "*@sojourn.test"
    pool = "many"
    secret = "{secret}"
}}
"""


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
