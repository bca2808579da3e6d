# SPDX-License-Identifier: MIT
"""Where the benchmarks take place: a terminal and a server, each in a network namespace of its
own, what is between them, and the processes that are started there.
"""
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "build/tests/tools"
ROLES = ("server", "terminal")
WIRE = "sj-b0"                  # the outer interface of both
TICKS = os.sysconf("SC_CLK_TCK")


def become(program, doc):
    """The benchmark is a program of ours in C: it takes the options, its documentation is here."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(doc)
        return
    path = ROOT / "build/bench" / program
    os.execv(path, [str(path), *sys.argv[1:]])


def sh(*args, check=True, **kw):
    done = subprocess.run(args, text=True, capture_output=True, **kw)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(args)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def wait_for(what, condition, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise RuntimeError(f"{what}: not within {seconds} s")


class Lab:
    """Two namespaces with a veth pair of 1,500 octets between them, and what runs there."""

    nodes = ROLES
    outer = {"terminal": "192.0.2.2", "server": "192.0.2.1"}

    def __init__(self, name, tmp):
        self.name, self.tmp = name, Path(tmp) / name
        self.tmp.mkdir()
        self.ns = {role: f"sj-b-{name}-{role}" for role in self.nodes}
        self.procs = []

    def __enter__(self):
        self.remove()
        try:
            self.build()
        except BaseException:
            self.remove()
            raise
        return self

    def add_namespaces(self):
        for ns in self.ns.values():
            sh("ip", "netns", "add", ns)
            sh("ip", "-n", ns, "link", "set", "lo", "up")
            sh("ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0",
               "net.ipv4.conf.default.rp_filter=0", "net.ipv6.conf.default.disable_ipv6=1")

    def build(self):
        self.add_namespaces()
        sh("ip", "link", "add", WIRE, "mtu", "1500", "netns", self.ns["terminal"], "type", "veth",
           "peer", "name", WIRE, "mtu", "1500", "netns", self.ns["server"])
        for role in ROLES:
            self.ip(role, "addr", "add", self.outer[role] + "/24", "dev", WIRE)
            self.ip(role, "link", "set", WIRE, "up")

    def ip(self, role, *args):
        return sh("ip", "-n", self.ns[role], *args)

    def within(self, role, *args):
        return ["ip", "netns", "exec", self.ns[role], *map(str, args)]

    def run(self, role, *args, **kw):
        return sh(*self.within(role, *args), **kw)

    def start(self, role, name, *args, **kw):
        """Its output goes to a log that failed() shows."""
        with open(self.tmp / f"{name}-{role}.log", "w") as log:
            kw = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, **kw}
            proc = subprocess.Popen(self.within(role, *args), start_new_session=True, **kw)
        self.procs.append(proc)
        return proc

    def stop(self, *procs):
        for proc in procs:
            if proc.poll() is None:
                proc.terminate()
        for proc in procs:
            try:
                proc.wait(5)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(proc.pid, signal.SIGKILL)
                proc.wait()
            self.procs.remove(proc)

    def pids(self):
        return [int(pid) for ns in self.ns.values() for pid in sh("ip", "netns", "pids", ns).split()]

    def pings(self, source, target):
        return subprocess.run(
            self.within("terminal", "ping", "-q", "-c", "1", "-W", "1", "-I", source, target),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

    def logs(self):
        return "".join(f"--- {p.parent.name}/{p.name}\n{p.read_text(errors='replace')[-3000:]}"
                       for p in sorted(self.tmp.glob("*.log")))

    def remove(self):
        for ns in self.ns.values():
            left = sh("ip", "netns", "pids", ns, check=False).split()
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            sh("ip", "netns", "del", ns, check=False)

    def __exit__(self, *_):
        self.stop(*self.procs)
        self.remove()


class MobileLab(Lab):
    """A terminal with two uplinks to one router, which is as far from the server as is told.

        terminal up1 === up1 router wan === a relay b === wan server
                 up2 === up2

    The relay (tests/tools/relay) delays.  up1 is the better one: its default route's metric is
    lower.  Sums are complete on the wire, as the relay needs it.
    """

    nodes = (*ROLES, "router", "relay")
    outer = {"server": "192.0.2.1"}
    uplinks = ("up1", "up2")
    NET = {"up1": "198.51.100", "up2": "203.0.113"}
    METRIC = {"up1": 100, "up2": 200}
    WAN = {"server": ("192.0.2.1", "02:00:00:00:b0:01"), "router": ("192.0.2.2", "02:00:00:00:b0:02")}
    RX_TX = ("rx", "tx")

    def __init__(self, name, tmp, rtt_ms):
        super().__init__(name, tmp)
        self.rtt_ms = rtt_ms

    def build(self):
        self.add_namespaces()
        for name in self.uplinks:
            self.veth(("terminal", name), ("router", name))
            self.ip("router", "addr", "add", self.NET[name] + ".1/24", "dev", name)
        self.veth(("router", "wan"), ("relay", "a"))
        self.veth(("server", "wan"), ("relay", "b"))
        for role, other in (("server", "router"), ("router", "server")):
            (address, hardware), (far, far_hardware) = self.WAN[role], self.WAN[other]
            self.ip(role, "link", "set", "wan", "address", hardware)
            self.ip(role, "addr", "add", address + "/24", "dev", "wan")
            # Finding each other would take a round trip of its own.
            self.ip(role, "neigh", "add", far, "lladdr", far_hardware, "dev", "wan",
                    "nud", "permanent")
        self.ip("server", "route", "add", "default", "via", self.WAN["router"][0])
        self.run("router", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for name in reversed(self.uplinks):
            self.up(name)
        control = self.tmp / "relay"
        self.start("relay", "relay", TOOLS / "relay", "--a", "a", "--b", "b",
                   "--delay", str(self.rtt_ms / 2), "--control", str(control))
        wait_for("the relay's start", control.exists)

    def veth(self, one, two):
        (role, name), (other, other_name) = one, two
        sh("ip", "link", "add", name, "netns", self.ns[role], "type", "veth",
           "peer", "name", other_name, "netns", self.ns[other])
        for role, name in (one, two):
            self.run(role, "ethtool", "-K", name, *"tx off sg off tso off gso off gro off".split())
            self.ip(role, "link", "set", "dev", name, "up")

    def up(self, name):
        """A cable is plugged in, and a DHCP client is quick."""
        self.ip("router", "link", "set", name, "up")
        self.ip("terminal", "addr", "add", self.NET[name] + ".2/24", "dev", name)
        self.ip("terminal", "route", "add", "default", "via", self.NET[name] + ".1", "dev", name,
                "metric", str(self.METRIC[name]))

    def down(self, name):
        """It is pulled, and the client takes away what it had set."""
        self.ip("router", "link", "set", name, "down")
        self.ip("terminal", "route", "del", "default", "dev", name)
        self.ip("terminal", "addr", "flush", "dev", name)

    def counted(self, name):
        """Packets that came and went by an uplink."""
        link = json.loads(self.ip("terminal", "-j", "-s", "link", "show", "dev", name))[0]
        return [link["stats64"][way]["packets"] for way in self.RX_TX]


def end_on_signals():
    """So that what was made goes away when we are told to end, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))


def cpu_s(pids):
    """User and system time of these processes, with threads and children that have ended."""
    total = 0
    for pid in pids:
        stat = Path(f"/proc/{pid}/stat").read_text()
        total += sum(map(int, stat.rsplit(")", 1)[1].split()[11:15]))
    return total / TICKS


class Others:
    """What the machine did beside the benchmark, from this on, as a share of its processors."""

    def __init__(self, labs):
        self.labs = list(labs)
        self.before = self.times()

    def times(self):
        """(all processors' time, of processes and taken by the hypervisor, of ours), seconds"""
        with open("/proc/stat") as stat:
            user, nice, system, idle, wait, irq, soft, steal = map(int, stat.readline().split()[1:9])
        ours = cpu_s(pid for lab in self.labs for pid in lab.pids())
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            used = resource.getrusage(who)
            ours += used.ru_utime + used.ru_stime
        total = user + nice + system + idle + wait + irq + soft + steal
        return total / TICKS, (user + nice + system + steal) / TICKS, ours

    def share(self):
        total, busy, ours = (now - then for now, then in zip(self.times(), self.before))
        return max(0.0, busy - ours) / total
