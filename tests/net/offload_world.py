# SPDX-License-Identifier: MIT
"""A tunnel between two inside networks, and packets put in at one end and taken out at the other.

       in  eth0 --- inside  mt  wlan0 ================ eth0  hs  eth1 --- eth0  x
  10.3.0.2            10.3.0.1   203.0.113.2   203.0.113.1   10.1.0.1        10.1.0.2
  fd00:3::2          fd00:3::1                              fd00:1::1       fd00:1::2

The terminal has the networks of `in` behind it.  `up` is from `in` to `x`.  Crafted packets go
between addresses (.77) that nobody has, so that no stack answers them; the routers know where
they are.  After wire() what comes from a router is as it is on a cable: its kernel has cut again
what the daemon merged, and finished all checksums.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import signal
import socket
import struct
import time
from typing import Callable, Iterable, Iterator, Literal

import crafted
import world as w

Way = Literal["up", "down"]
WAYS: tuple[Way, Way] = ("up", "down")
INSIDE_MTU = 4000
PREFIXES = ("10.3.0.0/24", "fd00:3::/64")
NEAR = {"in": ("10.3.0.2", "fd00:3::2"), "x": (w.HOST_X4, w.HOST_X6)}
GHOSTS = {"in": ("10.3.0.77", "fd00:3::77"), "x": ("10.1.0.77", "fd00:1::77")}
OUTSIDE = {"mt": "wlan0", "hs": "eth0"}

CLONE_NEWNET = 0x40000000
PACKET_STATISTICS, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 6, 15, 23
SOL_PACKET, SO_RCVBUFFORCE = 263, 33
CAPTURE_BUFFER = 32 << 20
LINK_HEADER = 14

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread is in the namespace; sockets made there stay there."""
    with open("/proc/thread-self/ns/net") as own, open(f"/run/netns/{namespace}") as other:
        if _libc.setns(other.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
        try:
            yield
        finally:
            if _libc.setns(own.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns back")


class End:
    """An inside network: sends frames to its router and takes what comes from there."""

    def __init__(self, world: OffloadWorld, name: str):
        with inside(world.ns(name)):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, CAPTURE_BUFFER)
            self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            self.socket.bind(("eth0", 3))  # ETH_P_ALL
            self.frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.frames.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
            self.frames.bind(("eth0", 0))
        self.socket.setblocking(False)
        own, router = world.hardware(name, "eth0"), world.hardware(*world.router(name))
        self.own = own
        self.header = {4: router + own + b"\x08\x00", 6: router + own + b"\x86\xdd"}

    def send(self, packets: Iterable[bytes | crafted.Frame]) -> None:
        for p in packets:
            if isinstance(p, bytes):
                self.socket.send(self.header[p[0] >> 4] + p)
                continue
            virtio, flags_kind, ip = bytearray(p.data[:10]), p.data[0] | p.data[1], p.data[10:]
            if flags_kind:  # offsets count from the frame's beginning
                for at in (2, 6):
                    struct.pack_into("<H", virtio, at, struct.unpack_from("<H", virtio, at)[0] + LINK_HEADER)
            self.frames.send(bytes(virtio) + self.header[ip[0] >> 4] + ip)

    def take(self) -> list[bytes]:
        """The IP packets that came, from their headers on; not what neighbours say to each other."""
        found = []
        while True:
            try:
                frame = self.socket.recv(1 << 16)
            except BlockingIOError:
                return found
            kind, ip = frame[12:14], frame[LINK_HEADER:]
            if frame[:6] != self.own or kind not in (b"\x08\x00", b"\x86\xdd"):
                continue
            if kind == b"\x86\xdd" and ip[8:10] == b"\xfe\x80":
                continue
            found.append(ip)

    def close(self) -> None:
        self.socket.close()
        self.frames.close()

    def lost(self) -> int:
        """How many the capture had no room for, since the last time."""
        return struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]


class OffloadWorld(w.World):
    """The terminal is alice, and wlan0 her wifi."""

    def __init__(self, tag: str):
        super().__init__(tag)
        self.ends: dict[str, End] = {}

    def make(self) -> None:
        for name in ("in", "x"):
            self.add_namespace(name)
        for name in ("mt", "hs"):
            self.add_namespace(name, forward=True)
        self.link("mt", "wlan0", "hs", "eth0")
        self.link("in", "eth0", "mt", "inside")
        self.link("x", "eth0", "hs", "eth1")
        self.sh("mt", """
            ip addr add 203.0.113.2/24 dev wlan0
            ip link set wlan0 up
            ip route add default via 203.0.113.1
            """)
        self.sh("hs", f"""
            ip addr add {w.HOME_SERVER4}/24 dev eth0
            ip addr add {w.HOME_SERVER6}/64 dev eth0 nodad
            ip link set eth0 up
            """)
        for name in ("in", "x"):
            self.make_inside(name)
        for name in ("mt", "hs"):
            self.make_marks(name)
        self.ends = {name: End(self, name) for name in ("in", "x")}

    def router(self, name: str) -> tuple[str, str]:
        return ("mt", "inside") if name == "in" else ("hs", "eth1")

    def hardware(self, name: str, interface: str) -> bytes:
        text = self.run(name, ["cat", f"/sys/class/net/{interface}/address"]).stdout
        return bytes.fromhex(text.strip().replace(":", ""))

    def make_inside(self, name: str) -> None:
        node, interface = self.router(name)
        own4, own6 = NEAR[name]
        ghost4, ghost6 = GHOSTS[name]
        gate4, gate6 = own4.rsplit(".", 1)[0] + ".1", own6.rsplit(":", 1)[0] + ":1"
        for where, dev in ((name, "eth0"), (node, interface)):
            self.sh(where, f"""
                echo 0 >/proc/sys/net/ipv6/conf/{dev}/accept_ra
                echo 0 >/proc/sys/net/ipv6/conf/{dev}/router_solicitations
                # As many errors as there are packets that cause them.
                echo 0 >/proc/sys/net/ipv4/icmp_ratelimit
                echo 1000000 >/proc/sys/net/ipv4/icmp_msgs_per_sec
                echo 1000000 >/proc/sys/net/ipv4/icmp_msgs_burst
                echo 0 >/proc/sys/net/ipv6/icmp/ratelimit
                ip link set {dev} mtu {INSIDE_MTU} up
                """)
        self.sh(name, f"""
            ip addr add {own4}/24 dev eth0
            ip addr add {own6}/64 dev eth0 nodad
            ip route add default via {gate4}
            ip route add default via {gate6}
            """)
        hardware = self.hardware(name, "eth0").hex(":")
        self.sh(node, f"""
            ip addr add {gate4}/24 dev {interface}
            ip addr add {gate6}/64 dev {interface} nodad
            for ghost in {ghost4} {ghost6}; do
                ip neigh add $ghost dev {interface} lladdr {hardware} nud permanent
            done
            """)

    def make_marks(self, node: str) -> None:
        """The network's congestion: of two classes of crafted packets, always; of the others, while
        `congested`, of one in a hundred that can carry the mark."""
        outside = f'iifname "{OUTSIDE[node]}"'
        self.sh(node, f"""nft '
            table ip marks {{
                chain fixed {{
                    type filter hook prerouting priority -300;
                    {outside} ip dscp {crafted.DSCP_CONGESTED} ip ecn != not-ect ip ecn set ce
                    {outside} ip dscp {crafted.DSCP_BROKEN} ip ecn set ce
                }}
                chain sometimes {{
                    type filter hook prerouting priority -299;
                }}
            }}'""")

    def congested(self, on: bool) -> None:
        for node, interface in OUTSIDE.items():
            self.run(node, ["nft", "flush chain ip marks sometimes"])
            if on:
                self.run(node, ["nft", f"add rule ip marks sometimes iifname {interface} ip ecn != not-ect "
                                       "numgen random mod 100 == 0 ip ecn set ce"])

    def wire(self) -> None:
        for name in ("in", "x"):
            node, interface = self.router(name)
            self.sh(node, f"ethtool -K {interface} {w.NO_OFFLOAD} >/dev/null")
            self.sh(name, "ethtool -K eth0 gro off >/dev/null")

    def close(self) -> None:
        super().close()
        for end in self.ends.values():
            end.close()

    # -- Sojourn -----------------------------------------------------------------------------------

    def start_tunnel(self, offload_mt: bool, offload_hs: bool, connection: str = "udp", mtu: int = 1500) -> None:
        """connection: "udp" or "esp", with configured keys; or "ike"."""
        self.stop_tunnel()
        lines = {on: (f"offload = {'yes' if on else 'no'}", f"mtu = {mtu}") for on in (False, True)}
        how = {"ike": "psk"} if connection == "ike" else {"encapsulation": connection}
        self.start_sojourn(networks=("wifi",), home6=True, prefixes=PREFIXES, terminal_lines=lines[offload_mt],
                           server_lines=lines[offload_hs], **how)
        self.wait_active("wifi")

    def stop_tunnel(self) -> None:
        for daemon in self.daemons.values():
            daemon.stop()

    def packets(self, node: str) -> dict[str, int]:
        return self.daemon(node).ask("counters")["packets"]

    def tun_mtu(self, node: str) -> int:
        return int(self.run(node, ["cat", "/sys/class/net/sojourn0/mtu"]).stdout)

    def carried(self) -> int:
        """The largest inner packet, as the connection's ends agree."""
        found = {self.daemon(n).connection("wifi")["mtu"] for n in ("mt", "hs")}
        assert len(found) == 1, found
        return found.pop()


class PacketProcess:
    """sojournd's process that handles packets, on one node."""

    def __init__(self, world: OffloadWorld, node: str):
        self.pid = world.daemon(node).status()["pid"]

    def signal(self, signo: int) -> None:
        os.kill(self.pid, signo)

    def frames_read(self) -> int:
        """How many frames were read from the tunnel device."""
        for line in pathlib.Path(f"/proc/{self.pid}/net/dev").read_text().splitlines():
            name, _, numbers = line.partition(":")
            if name.strip() == "sojourn0":
                return int(numbers.split()[9])
        raise w.Failed("sojourn0 is gone")

    def idle(self) -> bool:
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            if (task / "stat").read_text().rpartition(")")[2].split()[0] != "S":
                return False
        return True


class Wire:
    """Sends bursts one way and gives what arrived."""

    def __init__(self, world: OffloadWorld, way: Way):
        names = ("in", "x") if way == "up" else ("x", "in")
        self.source, self.target = (world.ends[n] for n in names)
        self.sender, self.receiver = (PacketProcess(world, n) for n in (("mt", "hs") if way == "up" else ("hs", "mt")))

    def burst(self, packets: list[bytes] | list[crafted.Frame], count: int, hold_sender: bool = False,
              hold_receiver: bool = False, passing: int | None = None) -> list[bytes]:
        """Waits until count packets came, and gives them; fewer after a while.  A held daemon gets
        many packets at once: the sender all of them, the receiver when the sender has done with the
        `passing` (default all) that reach it."""
        before = self.sender.frames_read()
        held = [p for p, hold in ((self.sender, hold_sender), (self.receiver, hold_receiver)) if hold]
        for process in held:
            process.signal(signal.SIGSTOP)
        try:
            self.source.send(packets)
            self.sender.signal(signal.SIGCONT)
            if hold_receiver:
                all_read = before + (len(packets) if passing is None else passing)
                self.patiently(lambda: self.sender.frames_read() >= all_read and self.sender.idle(), 1)
        finally:
            for process in held:
                process.signal(signal.SIGCONT)
        came: list[bytes] = []

        def complete() -> bool:
            came.extend(self.target.take())
            return len(came) >= count
        self.patiently(complete, 3)
        return came

    @staticmethod
    def patiently(predicate: Callable[[], bool], timeout: float) -> bool:
        end = time.monotonic() + timeout
        while not predicate():
            if time.monotonic() > end:
                return False
            time.sleep(0.0005)
        return True
