# SPDX-License-Identifier: MIT
"""A small internet out of network namespaces, for the demo and the tests.

                                               core  (the internet)
     wlan0 --- lan wifi wan === far-wifi === ---+   198.51.100.0/30   NAT, DHCP 192.168.1.0/24, RTT 10 ms
  mt wwan0 --- lan cell wan === far-cell === ---+   198.51.100.4/30   NAT, DHCP 192.168.1.0/24, RTT 100 ms
     eth1  --- lan v6   wan === far-v6   === ---+   2001:db8:6::/64   IPv6 only, advertised, RTT 20 ms
     eth0                                       |
      |                                         +--- hs eth0  203.0.113.1, 2001:db8:1::1  (home server)
      |                                              hs eth1  10.1.0.1, fd00:1::1
      +------------- home link -------------------------+     10.1.0.0/24 DHCP .100-.150, fd00:1::/64 RA
                         +------- x  10.1.0.2, fd00:1::2 (host X)

  mt2 wlan0 --- lan wifi      a second terminal behind the same NAT (on request)

`===` is a link through tests/tools/relay, which has the delay and can lose packets: the routers
are near, the internet is far.  The terminal's home addresses are 10.1.0.10 and fd00:1::10 (mt2:
.11, ::11).  On a terminal supervisor.py does what a network manager does.  A cable is pulled by
taking the far side down, so that the terminal loses its carrier.

Every namespace is called sj-<tag>-<name>; a run deletes what an earlier run with its tag left.
Nothing sleeps to synchronise: World.wait_for asks until something is so, or says what was not.

In the environment: SOJOURN_BUILD (where sojournd, sojourn and the tools are; default build/),
SOJOURN_VERBOSE (sojournd logs in detail), SOJOURN_KEEP (a directory for logs and captures).
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any, Callable, Iterator

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent

HOME_SERVER4, HOME_SERVER6 = "203.0.113.1", "2001:db8:1::1"
HOME_AGENT4, HOME_AGENT6 = "10.1.0.1", "fd00:1::1"
HOST_X4, HOST_X6 = "10.1.0.2", "fd00:1::2"

INTERFACES = {"wifi": "wlan0", "cell": "wwan0", "v6": "eth1", "home": "eth0"}
RTT_MS = {"wifi": 10, "cell": 100, "v6": 20, "home": 0}
# The far link's ends know each other: an address resolution there would take a round trip, and
# would be the world's, not the terminal's.
FAR_HARDWARE = ("02:00:00:00:ff:00", "02:00:00:00:ff:01")
# AF_PACKET shows frames as they were handed over: they must be as on a cable.
NO_OFFLOAD = "tx off sg off tso off gso off gro off"
VERBOSE = ["-v"] if os.environ.get("SOJOURN_VERBOSE") else []
METRICS = {"eth0": 50, "wlan0": 100, "wwan0": 200}


class Failed(Exception):
    """Something expected did not happen; the text says what."""


def monotonic_us() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


# `./run check --all`: also what a short run leaves out.
ALL = os.environ.get("SOJOURN_ALL") == "1"


def wait_for(predicate: Callable[[], Any], timeout: float, what: str) -> Any:
    """Asks every 10 ms until predicate gives something true; returns that."""
    end = time.monotonic() + timeout
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() > end:
            raise Failed(f"not within {timeout:g} s: {what}")
        time.sleep(0.01)


class Terminal:
    """What the configuration of a terminal needs to know."""

    def __init__(self, node: str, name: str, index: int):
        self.node, self.name, self.index = node, name, index
        self.home4, self.home6 = f"10.1.0.{10 + index}", f"fd00:1::{10 + index}"


ALICE = Terminal("mt", "alice", 0)
BOB = Terminal("mt2", "bob", 1)


def hardware_address(terminal: Terminal, network: str) -> str:
    return f"02:00:00:00:{terminal.index:02x}:{list(INTERFACES).index(network):02x}"


class Relay:
    """A wire under control: see tests/tools/relay.c for the commands."""

    def __init__(self, world: World, namespace: str, delay_ms: float):
        self.path = world.dir / f"relay-{namespace}"
        self.mine = str(world.dir / f"relay-{namespace}.client")
        seed = len(world.relays) + 1  # each loses others
        self.process = world.spawn(namespace, [world.tool("relay"), "--a", "a", "--b", "b", "--delay", str(delay_ms),
                                               "--seed", str(seed),
                                               "--control", str(self.path)])
        self.lock = threading.Lock()
        wait_for(self.path.exists, 5, f"the relay in {namespace} starts")

    def command(self, text: str) -> str:
        with self.lock, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.mine)
            s.bind(self.mine)
            s.settimeout(5)
            s.sendto(text.encode(), str(self.path))
            answer = s.recv(4096).decode()
        if not answer.startswith("ok"):
            raise Failed(f"relay: {answer}")
        return answer[3:]

    def delay(self, one_way_ms: float, direction: str = "") -> None:
        self.command(f"delay {one_way_ms} {direction}")

    def loss(self, percent: float, direction: str = "") -> None:
        self.command(f"loss {percent} {direction}")

    def rate(self, mbit: float, direction: str = "") -> None:
        self.command(f"rate {mbit} {direction}")

    def blackhole(self, on: bool, direction: str = "") -> None:
        self.command(f"blackhole {'on' if on else 'off'} {direction}")

    def drop_match(self, direction: str, length_min: int, length_max: int, count: int) -> None:
        self.command(f"dropmatch {direction} udp {length_min} {length_max} {count}")

    def hold_match(self, direction: str, length_min: int, length_max: int, count: int, more_ms: int) -> None:
        self.command(f"holdmatch {direction} udp {length_min} {length_max} {count} {more_ms}")

    def stats(self) -> dict[str, dict[str, int]]:
        return json.loads(self.command("stats"))


class Daemon:
    """sojournd on a node, and what `sojourn` says about it."""

    def __init__(self, world: World, node: str):
        self.world, self.node = world, node
        self.config = world.dir / f"{node}.conf"
        self.socket = str(world.dir / f"{node}.control")
        self.log = world.dir / f"{node}.log"
        self.process: subprocess.Popen | None = None

    def start(self, wait: bool = True) -> None:
        self.process = self.world.spawn(
            self.node, [str(self.world.build / "sojournd"), "-c", str(self.config), *VERBOSE], log=self.log)
        if wait:
            wait_for(self.answers, 15, f"sojournd answers on {self.node} (see {self.log})")

    def answers(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            status = self.process.returncode if self.process else "never started"
            raise Failed(f"sojournd on {self.node} ended ({status}):\n{self.tail()}")
        return os.path.exists(self.socket) and self.run("status", "--json").returncode == 0

    def stop(self, signo: int = signal.SIGTERM) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(signo)
        try:
            return process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Failed(f"sojournd on {self.node} did not end within 10 s of signal {signo}:\n{self.tail()}")

    def tail(self, lines: int = 30) -> str:
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return "(no log)"

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([str(self.world.build / "sojourn"), "-s", self.socket, *arguments],
                              capture_output=True, text=True)

    def cli(self, *arguments: str) -> str:
        done = self.run(*arguments)
        if done.returncode != 0:
            raise Failed(f"sojourn {' '.join(arguments)} on {self.node}: {done.stderr or done.stdout}\n{self.tail()}")
        return done.stdout

    def ask(self, *what: str) -> dict[str, Any]:
        return json.loads(self.cli(*what, "--json"))

    def status(self) -> dict[str, Any]:
        return self.ask("status")

    def moves(self) -> list[dict[str, Any]]:
        return self.ask("moves")["moves"]

    def last_move_id(self) -> int:
        return max((m["id"] for m in self.moves()), default=0)

    def connection(self, name: str, terminal: str = "") -> dict[str, Any]:
        for c in self.ask("connections")["connections"]:
            if c["name"] == name and terminal in ("", c["terminal"]):
                return c
        raise Failed(f"{self.node} has no connection {name}")

    def drops(self) -> dict[str, int]:
        return self.ask("counters")["drops"]

    def active(self) -> list[str]:
        return self.status()["active"]

    def place(self) -> str:
        return self.status()["place"]


class Download:
    """One curl in one TCP connection; read at a pace, so that it lasts as long as it should."""

    def __init__(self, world: World, node: str, source: str, url: str, bytes_per_s: float | None):
        self.pace = bytes_per_s
        self.bytes = self.connections = 0
        self.progress: list[tuple[int, int]] = []
        self.digest = hashlib.sha256()
        self.errors = world.dir / "curl.err"
        self.process = world.spawn(node, ["curl", "--silent", "--show-error", "--no-buffer", "--interface", source,
                                          "--max-time", "300", "-w", "%{stderr}connections=%{num_connects}\n", url],
                                   stdout=subprocess.PIPE, log=self.errors)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        fd = self.process.stdout.fileno()
        due = time.monotonic()
        while data := os.read(fd, 32768):
            self.bytes += len(data)
            self.digest.update(data)
            self.progress.append((monotonic_us(), self.bytes))
            pace = self.pace
            if pace is not None:
                now = time.monotonic()
                due = max(due, now - 0.2) + len(data) / pace
                time.sleep(max(0.0, due - now))
        self.process.wait()
        for line in self.errors.read_text().splitlines():
            if line.startswith("connections="):
                self.connections = int(line.split("=")[1])

    def finish(self, timeout: float) -> None:
        """The rest as fast as it goes."""
        self.pace = None
        self.thread.join(timeout)
        if self.thread.is_alive():
            self.process.kill()
            self.thread.join()
            raise Failed(f"the download did not end within {timeout:g} s: {self.bytes} bytes came")

    @property
    def sha256(self) -> str:
        return self.digest.hexdigest()


class World:
    def __init__(self, tag: str = "net", second_terminal: bool = False, same_address: bool = False,
                 nat: bool = True, build: str | os.PathLike | None = None):
        self.tag = tag
        self.prefix = f"sj-{tag}-"
        self.build = pathlib.Path(build or os.environ.get("SOJOURN_BUILD", ROOT / "build")).resolve()
        self.dir = pathlib.Path(f"/run/sj-{tag}")
        self.second_terminal = second_terminal
        self.same_address = same_address  # wifi and cell both give 192.168.1.7
        self.nat = nat                    # or wifi and cell are networks of the internet: 192.0.2.0/28, .16/28
        self.terminals = [ALICE, BOB] if second_terminal else [ALICE]
        self.processes: list[subprocess.Popen] = []
        self.relays: dict[str, Relay] = {}
        self.daemons: dict[str, Daemon] = {}
        self.options: Any = None  # sojourn_config.Options, once written
        self.next_index = 100
        self.open = False
        self.lock: Any = None

    # -- life -----------------------------------------------------------------------------------

    def __enter__(self) -> World:
        self.lock = open(f"/run/sj-{self.tag}.lock", "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"another run with the tag {self.tag} is under way") from None
        self.open = True
        self.delete_leftovers()
        atexit.register(self.close)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            self.dir.mkdir(mode=0o755)
            self.make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if not self.open:
            return
        self.open = False
        atexit.unregister(self.close)
        keep = os.environ.get("SOJOURN_KEEP")
        if keep and self.dir.exists():
            shutil.copytree(self.dir, keep, dirs_exist_ok=True, ignore=lambda directory, names: [
                n for n in names if not os.path.isfile(os.path.join(directory, n))])
        for daemon in self.daemons.values():
            with contextlib.suppress(Failed):
                daemon.stop()
        for process in reversed(self.processes):
            if process.poll() is None:
                process.kill()
            process.wait()
        self.delete_leftovers()
        self.lock.close()

    def namespaces(self) -> list[str]:
        text = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
        names = [line.split()[0] for line in text.splitlines() if line]
        return [n for n in names if n.startswith(self.prefix)]

    def delete_leftovers(self) -> None:
        names = self.namespaces()
        for name in names:
            pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout
            for pid in pids.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    # -- doing things in a namespace ---------------------------------------------------------------

    def ns(self, name: str) -> str:
        return self.prefix + name

    def command(self, name: str, arguments: list[str]) -> list[str]:
        return ["ip", "netns", "exec", self.ns(name), *map(str, arguments)]

    def run(self, name: str, arguments: list[str], check: bool = True,
            timeout: float = 60) -> subprocess.CompletedProcess:
        done = subprocess.run(self.command(name, arguments), capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise Failed(f"{name}: {' '.join(map(str, arguments))}: {done.stderr or done.stdout}")
        return done

    def sh(self, name: str, script: str) -> str:
        done = subprocess.run(self.command(name, ["sh", "-e"]), input=script, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"{name}: {done.stderr}\nin:\n{script}")
        return done.stdout

    def spawn(self, name: str, arguments: list[str], log: pathlib.Path | None = None,
              stdout: int | None = None) -> subprocess.Popen:
        """A process in the namespace; it ends with the world.  Its output is appended to log."""
        with open(log, "ab") if log else open(os.devnull, "wb") as out:
            process = subprocess.Popen(self.command(name, arguments), stdin=subprocess.DEVNULL,
                                       stdout=stdout or out, stderr=out)
        self.processes.append(process)
        return process

    def end(self, process: subprocess.Popen, signo: int = signal.SIGTERM) -> int:
        if process.poll() is None:
            process.send_signal(signo)
        return process.wait(10)

    def tool(self, name: str) -> str:
        return str(self.build / "tests/tools" / name)

    wait_for = staticmethod(wait_for)

    # -- the topology ------------------------------------------------------------------------------

    def add_namespace(self, name: str, forward: bool = False, rp_filter: int = 0) -> None:
        subprocess.run(["ip", "netns", "add", self.ns(name)], check=True)
        on = 1 if forward else 0
        self.sh(name, f"""
            ip link set lo up
            cd /proc/sys/net
            for where in all default; do
                echo {rp_filter} >ipv4/conf/$where/rp_filter
                echo 1 >ipv4/conf/$where/promote_secondaries
                echo 0 >ipv4/conf/$where/send_redirects
                echo 0 >ipv4/conf/$where/accept_redirects
                echo 0 >ipv6/conf/$where/accept_dad
                echo 0 >ipv6/conf/$where/dad_transmits
                echo {on} >ipv6/conf/$where/forwarding
            done
            echo {on} >ipv4/ip_forward
            # Not BBR, which would keep the round trip it measured at home for ten seconds.
            echo cubic >ipv4/tcp_congestion_control || echo reno >ipv4/tcp_congestion_control
            """)

    def link(self, a: str, interface_a: str, b: str, interface_b: str) -> None:
        """A cable.  Every interface has an index of its own: the kernel tells a lost carrier only
        after up to a second when the two ends happen to have the same one."""
        self.next_index += 2
        subprocess.run(["ip", "link", "add", "name", interface_a, "index", str(self.next_index),
                        "netns", self.ns(a), "type", "veth", "peer", "name", interface_b,
                        "index", str(self.next_index + 1), "netns", self.ns(b)], check=True)

    def make(self) -> None:
        self.add_namespace("core", forward=True)
        self.add_namespace("hs", forward=True)
        self.add_namespace("x")
        self.add_namespace("homelink")
        for terminal in self.terminals:
            self.add_namespace(terminal.node, rp_filter=2)
        self.make_home()
        self.make_visited4("wifi", 0)
        self.make_visited4("cell", 4)
        self.make_visited6()
        for terminal in self.terminals:
            self.make_terminal(terminal)

    def make_home(self) -> None:
        self.link("core", "hs", "hs", "eth0")
        self.link("hs", "eth1", "homelink", "hs")
        self.link("x", "eth0", "homelink", "x")
        self.sh("core", """
            ip addr add 203.0.113.254/24 dev hs
            ip addr add 2001:db8:1::fe/64 dev hs
            ip link set hs up
            """)
        self.sh("homelink", """
            ip link add br0 type bridge forward_delay 0 mcast_snooping 0
            ip link set br0 up
            for port in hs x; do ip link set $port master br0; ip link set $port up; done
            """)
        self.sh("hs", f"""
            ip addr add {HOME_SERVER4}/24 dev eth0
            ip addr add {HOME_SERVER6}/64 dev eth0
            ip addr add {HOME_AGENT4}/24 dev eth1
            ip addr add {HOME_AGENT6}/64 dev eth1
            ip link set eth0 up
            ip link set eth1 up
            ip route add default via 203.0.113.254
            ip route add default via 2001:db8:1::fe
            """)
        self.sh("x", f"""
            for where in all default eth0; do echo 0 >/proc/sys/net/ipv6/conf/$where/accept_ra; done
            ip addr add {HOST_X4}/24 dev eth0
            ip addr add {HOST_X6}/64 dev eth0
            ip link set eth0 up
            ip route add default via {HOME_AGENT4}
            ip route add default via {HOME_AGENT6}
            """)
        self.dnsmasq("hs", "eth1", "--dhcp-range=10.1.0.100,10.1.0.150,1h", f"--dhcp-option=3,{HOME_AGENT4}",
                     "--enable-ra", "--dhcp-range=fd00:1::,ra-only,64")

    def dnsmasq(self, name: str, interface: str, *options: str) -> None:
        pid_file = self.dir / f"dnsmasq-{name}.pid"
        self.spawn(name, ["dnsmasq", "--conf-file=/dev/null", "--keep-in-foreground", "--user=root", "--group=root",
                          "--port=0", f"--interface={interface}", "--except-interface=lo", "--bind-interfaces",
                          "--no-ping", "--dhcp-authoritative", f"--dhcp-leasefile={self.dir}/leases-{name}",
                          f"--pid-file={pid_file}", "--log-facility=-", *options],
                   log=self.dir / f"dnsmasq-{name}.log")
        wait_for(pid_file.exists, 10, f"dnsmasq starts in {name}")

    def make_router(self, name: str) -> None:
        far = "far-" + name
        self.add_namespace(name, forward=True)
        self.add_namespace(far)
        self.link(name, "wan", far, "a")
        self.link(far, "b", "core", name)
        # The wire itself speaks nothing: no addresses, no IPv6, not even a solicitation.
        self.sh(far, """
            for where in all default a b; do echo 1 >/proc/sys/net/ipv6/conf/$where/disable_ipv6; done
            ip link set dev a up
            ip link set dev b up
            """)
        for node, interface in ((name, "wan"), ("core", name)):
            self.sh(node, f"ethtool -K {interface} {NO_OFFLOAD} >/dev/null")
            self.sh(node, f"ip link set dev {interface} address {FAR_HARDWARE[interface == name]}")
        self.relays[name] = Relay(self, far, RTT_MS[name] / 2)
        self.sh(name, """
            ip link add lan type bridge forward_delay 0 mcast_snooping 0
            ip link set lan up
            ip link set wan up
            """)

    def make_visited4(self, name: str, subnet: int) -> None:
        self.make_router(name)
        prefix, lan = ("192.168.1.0/24", "192.168.1.") if self.nat else (f"192.0.2.{4 * subnet}/28", "192.0.2.")
        first, pool = (1, (100, 200)) if self.nat else (4 * subnet + 1, (4 * subnet + 4, 4 * subnet + 12))
        router = f"{lan}{first}"
        self.sh("core", f"""
            ip addr add 198.51.100.{subnet + 1}/30 dev {name}
            ip link set {name} up
            ip neigh add 198.51.100.{subnet + 2} dev {name} lladdr {FAR_HARDWARE[0]} nud permanent
            """)
        if not self.nat:
            self.sh("core", f"ip route add {prefix} via 198.51.100.{subnet + 2}")
        self.sh(name, f"""
            ip addr add 198.51.100.{subnet + 2}/30 dev wan
            ip neigh add 198.51.100.{subnet + 1} dev wan lladdr {FAR_HARDWARE[1]} nud permanent
            ip addr add {router}/{prefix.split("/")[1]} dev lan
            ip route add default via 198.51.100.{subnet + 1}
            """)
        if self.nat:
            self.sh(name, """
                nft '
                    table ip nat {
                        chain post {
                            type nat hook postrouting priority srcnat;
                            oifname "wan" masquerade random
                        }
                    }
                    table ip filter {
                        chain forward {
                            type filter hook forward priority filter; policy drop;
                            ct state established,related accept
                            iifname "lan" accept
                        }
                    }'
                """)
        fixed = [f"--dhcp-host={hardware_address(ALICE, name)},192.168.1.7"] if self.same_address else []
        self.dnsmasq(name, "lan", f"--dhcp-range={lan}{pool[0]},{lan}{pool[1]},1h", f"--dhcp-option=3,{router}", *fixed)

    def make_visited6(self) -> None:
        self.make_router("v6")
        self.sh("core", f"""
            ip addr add 2001:db8:ff::1/64 dev v6
            ip link set v6 up
            ip neigh add 2001:db8:ff::2 dev v6 lladdr {FAR_HARDWARE[0]} nud permanent
            ip route add 2001:db8:6::/64 via 2001:db8:ff::2
            """)
        self.sh("v6", f"""
            ip addr add 2001:db8:ff::2/64 dev wan
            ip neigh add 2001:db8:ff::1 dev wan lladdr {FAR_HARDWARE[1]} nud permanent
            ip addr add 2001:db8:6::1/64 dev lan
            ip route add default via 2001:db8:ff::1
            """)
        self.dnsmasq("v6", "lan", "--enable-ra", "--dhcp-range=2001:db8:6::,ra-only,64")

    def make_access(self, terminal: Terminal, network: str) -> None:
        """Terminal -- router, without carrier until it is plugged in."""
        interface = INTERFACES[network]
        self.link(terminal.node, interface, network, terminal.node)
        self.sh(network, f"ip link set dev {terminal.node} master lan")
        self.sh(terminal.node, f"ip link set dev {interface} address {hardware_address(terminal, network)} up")

    def make_terminal(self, terminal: Terminal) -> None:
        node = terminal.node
        self.sh(node, "for where in all default; do echo 2 >/proc/sys/net/ipv6/conf/$where/accept_ra; done")
        networks = ["wifi", "cell", "v6"] if terminal is ALICE else ["wifi"]
        for network in networks:
            self.make_access(terminal, network)
        arguments = [f"--dhcp={INTERFACES[n]}:{METRICS[INTERFACES[n]]}" for n in networks if n != "v6"]
        if terminal is ALICE:
            self.link(node, "eth0", "homelink", "mt")
            self.sh("homelink", "ip link set mt master br0")
            self.sh(node, f"""
                for interface in eth0 eth1; do echo 1 >/proc/sys/net/ipv6/conf/$interface/disable_ipv6; done
                ip link set dev eth0 address {hardware_address(terminal, "home")} up
                """)
            arguments += [f"--dhcp=eth0:{METRICS['eth0']}", "--ra=eth1", "--ra=eth0"]
        (self.dir / node).mkdir()
        self.spawn(node, [sys.executable, str(HERE / "supervisor.py"), "--log", str(self.events_path(node)),
                          "--run", str(self.dir / node), *arguments], log=self.dir / f"{node}-supervisor.log")
        wait_for(self.events_path(node).exists, 10, f"the supervisor starts on {node}")

    # -- cables ------------------------------------------------------------------------------------

    def cable(self, network: str, terminal: Terminal) -> tuple[str, str]:
        """The far end of a terminal's cable: namespace and interface."""
        return "homelink" if network == "home" else network, terminal.node

    def plug(self, network: str, terminal: Terminal = ALICE) -> int:
        """Returns the time just before, in us."""
        name, interface = self.cable(network, terminal)
        now_us = monotonic_us()
        subprocess.run(["ip", "-n", self.ns(name), "link", "set", "dev", interface, "up"], check=True)
        return now_us

    def unplug(self, network: str, terminal: Terminal = ALICE) -> int:
        name, interface = self.cable(network, terminal)
        now_us = monotonic_us()
        subprocess.run(["ip", "-n", self.ns(name), "link", "set", "dev", interface, "down"], check=True)
        return now_us

    def events_path(self, node: str) -> pathlib.Path:
        return self.dir / f"{node}-events"

    def events(self, node: str = "mt", since_us: int = 0) -> list[dict[str, Any]]:
        """What the terminal's supervisor saw: see supervisor.py."""
        lines = self.events_path(node).read_text().splitlines()
        parsed = (json.loads(line) for line in lines)
        return [e for e in parsed if e["t_us"] >= since_us]

    def online_at(self, network: str, since_us: int, terminal: Terminal = ALICE) -> int | None:
        """When the interface had an address and a default route after since_us, or None."""
        interface, has_address, has_route = INTERFACES[network], False, False
        family = 6 if network == "v6" else 4
        for e in self.events(terminal.node, since_us):
            if e["interface"] != interface:
                continue
            has_address = has_address or e["event"] == "address" and (":" in e["address"]) == (family == 6)
            has_route = has_route or e["event"] == "route" and e["family"] == family
            if has_address and has_route:
                return e["t_us"]
        return None

    def plug_and_wait(self, network: str, terminal: Terminal = ALICE) -> int:
        """Until there is an address and a default route; returns when that was."""
        since_us = self.plug(network, terminal)
        return wait_for(lambda: self.online_at(network, since_us, terminal), 15,
                        f"{terminal.node} gets an address from {network}")

    def address(self, node: str, interface: str, family: int = 4) -> str | None:
        """The global address of an interface."""
        text = subprocess.run(["ip", "-n", self.ns(node), "-json", f"-{family}", "addr", "show", "dev", interface,
                               "scope", "global"], capture_output=True, text=True, check=True).stdout
        for link in json.loads(text or "[]"):
            for a in link.get("addr_info", []):
                if "local" in a:
                    return a["local"]
        return None

    # -- the networks' misdeeds --------------------------------------------------------------------

    def flush_nat(self, network: str) -> None:
        """The router forgets every mapping; the next packet gets another port."""
        self.run(network, ["conntrack", "-F"])

    # -- tools of the trade ------------------------------------------------------------------------

    def capture(self, name: str, interface: str, expression: str = "",
                snap: int = 0) -> tuple[pathlib.Path, subprocess.Popen]:
        """Starts tcpdump and waits until it listens.  End it with World.end."""
        path = self.dir / f"{name}-{interface}-{monotonic_us()}.pcap"
        log = path.with_suffix(".log")
        process = self.spawn(name, ["tcpdump", "-U", "-n", "--immediate-mode", "-B", "8192", "-s", str(snap),
                                    "-i", interface, "-w", str(path), *expression.split()], log=log)
        wait_for(lambda: "listening on" in log.read_text(), 10, f"tcpdump listens on {name} {interface}")
        return path, process

    def ping(self, node: str, target: str, source: str = "", count: int = 1, timeout: float = 2,
             size: int = 56) -> bool:
        arguments = ["ping", "-n", "-q", "-c", str(count), "-W", str(timeout), "-s", str(size), "-i", "0.1"]
        if source:
            arguments += ["-I", source]
        return self.run(node, [*arguments, target], check=False).returncode == 0

    def serve(self, megabytes: int, node: str = "x", address: str = HOST_X4) -> tuple[str, str]:
        """A web server (on host X) with a file of random octets; its URL and SHA-256."""
        at = f"[{address}]" if ":" in address else address
        directory = self.dir / "www"
        directory.mkdir(exist_ok=True)
        data = os.urandom(megabytes << 20)
        (directory / "file").write_bytes(data)
        self.spawn(node, ["busybox", "httpd", "-f", "-p", f"{at}:8000", "-h", str(directory)],
                   log=self.dir / "www.log")
        wait_for(lambda: self.run(node, ["curl", "-s", "-o", "/dev/null", "-r", "0-0", f"http://{at}:8000/file"],
                                  check=False).returncode == 0, 10, "the web server answers")
        return f"http://{at}:8000/file", hashlib.sha256(data).hexdigest()

    def download(self, url: str, bytes_per_s: float | None, terminal: Terminal = ALICE, source: str = "") -> Download:
        return Download(self, terminal.node, source or terminal.home4, url, bytes_per_s)

    @contextlib.contextmanager
    def hosts(self, node: str, text: str) -> Iterator[None]:
        """What names stand for on a node, to be set before a program starts there: `ip netns exec`
        puts this file over /etc/hosts."""
        directory = pathlib.Path("/etc/netns") / self.ns(node)
        directory.mkdir(parents=True)
        try:
            (directory / "hosts").write_text(text)
            yield
        finally:
            shutil.rmtree(directory)

    # -- Sojourn -----------------------------------------------------------------------------------

    def daemon(self, node: str) -> Daemon:
        if node not in self.daemons:
            self.daemons[node] = Daemon(self, node)
        return self.daemons[node]

    def start_sojourn(self, **options: Any) -> None:
        """Writes every node's configuration and starts sojournd on it."""
        import sojourn_config  # which needs this module
        self.options = sojourn_config.write(self, **options)
        for node in ["hs"] + [t.node for t in self.terminals]:
            self.daemon(node).start()

    def wait_active(self, name: str, terminal: Terminal = ALICE, timeout: float = 10) -> None:
        """Until the terminal and the home server agree that this connection is active."""
        server, client = self.daemon("hs"), self.daemon(terminal.node)

        def agreed() -> bool:
            """The names are each node's own; the SPIs say that it is one connection."""
            bindings = [b for b in server.ask("bindings")["bindings"] if b["terminal"] == terminal.name]
            theirs = {c["name"]: c["spi_in"] for c in server.ask("connections")["connections"]
                      if c["terminal"] == terminal.name}
            ours = {c["name"]: c["spi_out"] for c in client.ask("connections")["connections"]}
            return (client.active() == [name] and bool(bindings) and name in ours
                    and all([theirs.get(c) for c in b["connections"]] == [ours[name]] for b in bindings))
        wait_for(agreed, timeout, f"{name} is active on {terminal.node} and the home server")

    def wait_ready(self, name: str, timeout: float = 10) -> None:
        """Until the terminal has a connection of this name that works and is not active."""
        wait_for(lambda: any(c["name"] == name and c["state"] == "ready"
                             for c in self.daemon("mt").ask("connections")["connections"]),
                 timeout, f"{name} is ready")

    def wait_home(self, timeout: float = 10) -> None:
        server, client = self.daemon("hs"), self.daemon("mt")
        wait_for(lambda: client.place() == "home" and
                 not any(b["connections"] for b in server.ask("bindings")["bindings"] if b["terminal"] == "alice"),
                 timeout, "the terminal is home and the home server has no binding of it")


@contextlib.contextmanager
def built(tag: str = "net", **options: Any) -> Iterator[World]:
    with World(tag, **options) as world:
        yield world
