# SPDX-License-Identifier: MIT
"""Where the benchmarks take place: a terminal and a server, each in a network namespace of its
own, the wire between them, and the processes that are started in both.
"""
import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "build/tests/tools"
ROLES = ("server", "terminal")
WIRE = "sj-b0"                  # the outer interface of both
TICKS = os.sysconf("SC_CLK_TCK")


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

    outer = {"terminal": "192.0.2.2", "server": "192.0.2.1"}

    def __init__(self, name, tmp):
        self.name, self.tmp = name, Path(tmp) / name
        self.tmp.mkdir()
        self.ns = {role: f"sj-b-{name}-{role}" for role in ROLES}
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


def cpu_s(pids):
    """User and system time of these processes, with threads and children that have ended."""
    total = 0
    for pid in pids:
        stat = Path(f"/proc/{pid}/stat").read_text()
        total += sum(map(int, stat.rsplit(")", 1)[1].split()[11:15]))
    return total / TICKS
