# SPDX-License-Identifier: MIT
"""What a network manager does on a laptop, in the small: follows carriers by rtnetlink.

Carrier on a DHCP interface: starts udhcpc.  Carrier lost: ends it and takes the address away.
On an interface for router advertisements IPv6 is switched on and off, so that a new router is
asked for at once and nothing of the old network stays.  Nothing here knows of Sojourn.

Each change is also written to a log, one JSON object a line, with CLOCK_MONOTONIC in
microseconds: {"t_us", "event", "interface", ...}; events: carrier, no-carrier, address,
no-address, route, no-route (default routes only).

Usage: supervisor.py --log FILE --run DIR [--dhcp IF:METRIC]... [--ra IF]...
"""

import argparse
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import time

RTM_NEWLINK, RTM_GETLINK = 16, 18
RTM_NEWADDR, RTM_DELADDR = 20, 21
RTM_NEWROUTE, RTM_DELROUTE = 24, 25
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300
GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400  # link, IPv4/IPv6 addresses and routes
IFF_UP, IFF_LOWER_UP = 0x1, 0x10000
IFA_F_TENTATIVE = 0x40
SCRIPT = pathlib.Path(__file__).with_name("udhcpc.sh")


def attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3:]
    return found


def address_text(family: int, data: bytes) -> str:
    return socket.inet_ntop(family, data)


class Supervisor:
    def __init__(self, log: str, run: str, dhcp: dict[str, int], ra: set[str]):
        self.log = open(log, "a", buffering=1)
        self.run = run
        self.dhcp = dhcp
        self.ra = ra
        self.names: dict[int, str] = {}
        self.carrier: dict[str, bool] = {}
        self.clients: dict[str, subprocess.Popen] = {}
        self.netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self.netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.netlink.bind((0, GROUPS))
        request = struct.pack("=IHHII", 16 + 16, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0)
        self.netlink.send(request + bytes(16))

    def tell(self, event: str, interface: str, **more) -> None:
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.log.write(json.dumps({"t_us": now_us, "event": event, "interface": interface, **more}) + "\n")

    def client_environment(self, interface: str) -> dict[str, str]:
        return {**os.environ, "METRIC": str(self.dhcp[interface]), "RUN": self.run}

    def carrier_changed(self, interface: str, up: bool) -> None:
        self.tell("carrier" if up else "no-carrier", interface)
        if interface in self.dhcp:
            client = self.clients.pop(interface, None)
            if client is not None:
                client.kill()
                client.wait()
            environment = self.client_environment(interface)
            if up:
                self.clients[interface] = subprocess.Popen(
                    ["busybox", "udhcpc", "-f", "-i", interface, "-s", str(SCRIPT), "-t", "20", "-T", "1",
                     "-A", "1"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            else:
                subprocess.run([SCRIPT, "deconfig"], env={**environment, "interface": interface})
        if interface in self.ra:
            path = pathlib.Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6")
            path.write_text("0" if up else "1")

    def link(self, body: bytes) -> None:
        _, _, index, flags, _ = struct.unpack_from("=BxHiII", body)
        name = attributes(body[16:]).get(3, b"").rstrip(b"\0").decode()
        if name:
            self.names[index] = name
        if name in self.dhcp or name in self.ra:
            up = flags & IFF_UP != 0 and flags & IFF_LOWER_UP != 0
            if self.carrier.get(name, False) != up:
                self.carrier[name] = up
                self.carrier_changed(name, up)

    def address(self, kind: int, body: bytes) -> None:
        family, _, flags, scope, index = struct.unpack_from("=BBBBI", body)
        found = attributes(body[8:])
        raw = found.get(2) or found.get(1)
        if raw is None or scope != 0:
            return
        if kind == RTM_NEWADDR and flags & IFA_F_TENTATIVE:
            return
        self.tell("address" if kind == RTM_NEWADDR else "no-address", self.names.get(index, str(index)),
                  address=address_text(family, raw))

    def route(self, kind: int, body: bytes) -> None:
        family, dst_len = struct.unpack_from("=BB", body)
        found = attributes(body[12:])
        if dst_len != 0 or 4 not in found or family not in (socket.AF_INET, socket.AF_INET6):
            return
        index, = struct.unpack("=i", found[4])
        gateway = address_text(family, found[5]) if 5 in found else ""
        self.tell("route" if kind == RTM_NEWROUTE else "no-route", self.names.get(index, str(index)),
                  gateway=gateway, family=4 if family == socket.AF_INET else 6)

    def turn(self) -> None:
        data = self.netlink.recv(1 << 16)
        while len(data) >= 16:
            length, kind = struct.unpack_from("=IH", data)
            body = data[16:length]
            if kind == RTM_NEWLINK:
                self.link(body)
            elif kind in (RTM_NEWADDR, RTM_DELADDR):
                self.address(kind, body)
            elif kind in (RTM_NEWROUTE, RTM_DELROUTE):
                self.route(kind, body)
            data = data[(length + 3) & ~3:]

    def close(self) -> None:
        for client in self.clients.values():
            client.kill()
            client.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--dhcp", action="append", default=[])
    parser.add_argument("--ra", action="append", default=[])
    arguments = parser.parse_args()
    dhcp = {name: int(metric) for name, metric in (text.split(":") for text in arguments.dhcp)}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    supervisor = Supervisor(arguments.log, arguments.run, dhcp, set(arguments.ra))
    try:
        while True:
            supervisor.turn()
    finally:
        supervisor.close()


if __name__ == "__main__":
    main()
