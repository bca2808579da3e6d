#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""One TCP flow each way between two network namespaces, over Sojourn, over strongSwan's
userspace IPsec, and over the bare veth pair as the limit, in one run.

Both tunnels: ESP tunnel mode in UDP, AES-128-CBC with HMAC-SHA-256-128, IPv4 in IPv4, packets
handled by a process (strongSwan: charon with the kernel-libipsec plugin and OpenSSL's
ciphers).  Each figure is the median of several iperf3 runs, in gigabits per second of TCP
payload; the three are measured in turn, so that a disturbance hits all of them.

    sudo ./run bench throughput [--json FILE] [--seconds N] [--runs N]
"""
import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUTER = {"terminal": "192.0.2.2", "server": "192.0.2.1"}
INNER = {  # what the flows talk to
    "limit_veth": OUTER,
    "strongswan": {"terminal": "10.71.0.2", "server": "10.71.0.1"},
    "sojourn": {"terminal": "10.72.0.2", "server": "10.72.0.1"},
}
KEYS = {"up": ("0x00001001", "0x" + "11" * 48), "down": ("0x00001002", "0x" + "22" * 48)}


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


def pings(world, peers):
    return subprocess.run(
        ["ip", "netns", "exec", world.ns["terminal"], "ping", "-q", "-c", "1", "-W", "1",
         "-I", peers["terminal"], peers["server"]],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


class World:
    """Two namespaces with a veth pair for one subject, and what is started in them."""

    def __init__(self, subject, tmp):
        self.subject, self.tmp = subject, tmp
        self.ns = {role: f"sj-b-{subject[:4]}-{role[:4]}" for role in OUTER}
        self.procs = []

    def __enter__(self):
        self.remove()
        for ns in self.ns.values():
            sh("ip", "netns", "add", ns)
            sh("ip", "-n", ns, "link", "set", "lo", "up")
        sh("ip", "link", "add", "sj-b0", "netns", self.ns["terminal"], "type", "veth",
           "peer", "name", "sj-b0", "netns", self.ns["server"])
        for role, ns in self.ns.items():
            sh("ip", "-n", ns, "addr", "add", OUTER[role] + "/24", "dev", "sj-b0")
            sh("ip", "-n", ns, "link", "set", "sj-b0", "up")
            # Sojourn puts the terminal's inner address onto its TUN device itself.
            if self.subject == "strongswan" or (self.subject, role) == ("sojourn", "server"):
                sh("ip", "-n", ns, "addr", "add", INNER[self.subject][role] + "/32",
                   "dev", "lo")
            sh("ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0")
        return self

    def start(self, role, name, *args, **kw):
        log = open(self.tmp / f"{name}-{role}.log", "w")
        proc = subprocess.Popen(["ip", "netns", "exec", self.ns[role], *args], stdout=log, stderr=log,
                                stdin=subprocess.DEVNULL, start_new_session=True, **kw)
        log.close()
        self.procs.append(proc)
        return proc

    def log(self, name):
        return "".join(f"--- {p.name}\n{p.read_text(errors='replace')[-3000:]}"
                       for p in sorted(self.tmp.glob(f"{name}-*.log")))

    def stop(self, procs):
        for proc in procs:
            if proc.poll() is None:
                proc.terminate()
        for proc in procs:
            try:
                proc.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(proc.pid, signal.SIGKILL)
                proc.wait()
            self.procs.remove(proc)

    def remove(self):
        for ns in self.ns.values():
            sh("ip", "netns", "del", ns, check=False)

    def __exit__(self, *exc):
        self.stop(list(self.procs))
        self.remove()


# --- strongSwan

CHARON = """charon {
    load = random nonce openssl aes sha2 hmac kdf kernel-libipsec kernel-netlink \
           socket-default vici
    install_routes = yes
    plugins { vici { socket = unix://%(dir)s/vici } }
    filelog { stderr { default = 1
                       flush_line = yes } }
}
"""
SWANCTL = """connections { bench {
    version = 2
    local_addrs = %(local)s
    remote_addrs = %(remote)s
    proposals = aes128-sha256-ecp256
    encap = yes
    mobike = no
    local { auth = psk
            id = %(me)s }
    remote { auth = psk
             id = %(peer)s }
    children { net {
        local_ts = %(local_ts)s/32
        remote_ts = %(remote_ts)s/32
        esp_proposals = aes128-sha256
    } }
} }
secrets { ike-1 { secret = "only for this benchmark" } }
"""


def start_strongswan(world):
    procs = []
    peers = INNER["strongswan"]
    for role, other in (("server", "terminal"), ("terminal", "server")):
        where = world.tmp / f"charon-{role}"
        where.mkdir()
        (where / "strongswan.conf").write_text(CHARON % {"dir": where})
        (where / "swanctl.conf").write_text(SWANCTL % {
            "local": OUTER[role], "remote": OUTER[other], "me": role, "peer": other,
            "local_ts": peers[role], "remote_ts": peers[other]})
        # A mount namespace with a /run of its own: charon's process file is there.
        procs.append(world.start(
            role, "charon", "unshare", "-m", "sh", "-c",
            "mount -t tmpfs tmpfs /run && exec /usr/lib/ipsec/charon",
            env={**os.environ, "STRONGSWAN_CONF": str(where / "strongswan.conf")}))
    for role in ("server", "terminal"):
        where = world.tmp / f"charon-{role}"
        wait_for("charon's start", (where / "vici").exists)
        swanctl(world, role, "--load-all", "--noprompt", "--file", str(where / "swanctl.conf"))
    swanctl(world, "terminal", "--initiate", "--child", "net", "--timeout", "10")
    wait_for("strongSwan's tunnel", lambda: pings(world, peers))
    sas = swanctl(world, "terminal", "--list-sas")
    if "AES_CBC-128/HMAC_SHA2_256_128" not in sas or "TUNNEL-in-UDP" not in sas:
        raise RuntimeError("strongSwan did not negotiate what is to be compared:\n" + sas)
    return procs


def swanctl(world, role, *args):
    where = world.tmp / f"charon-{role}"
    return sh("swanctl", *args, "--uri", f"unix://{where}/vici",
              env={**os.environ, "STRONGSWAN_CONF": str(where / "strongswan.conf")})


# --- Sojourn

TERMINAL = """role = terminal
control = "%(dir)s/control"
home-address = { "%(home)s" }
home-agent = { "%(agent)s" }
registration-spi = 256
registration-key = "0x%(reg)s"
routes = { "%(agent)s/32" }
connection bench {
	interface = "sj-b0"
	server = "%(server)s"
	cipher = aes128-cbc
	integrity = hmac-sha-256-128
	spi-out = %(up_spi)s
	key-out = "%(up_key)s"
	spi-in = %(down_spi)s
	key-in = "%(down_key)s"
}
"""
SERVER = """role = home-server
control = "%(dir)s/control"
listen = { "%(server)s" }
home-agent = { "%(agent)s" }
terminal bench {
	home-address = { "%(home)s" }
	registration-spi = 256
	registration-key = "0x%(reg)s"
	connection bench {
		care-of = any
		server = "%(server)s"
		cipher = aes128-cbc
		integrity = hmac-sha-256-128
		spi-in = %(up_spi)s
		key-in = "%(up_key)s"
		spi-out = %(down_spi)s
		key-out = "%(down_key)s"
	}
}
"""


def start_sojourn(world):
    procs = []
    peers = INNER["sojourn"]
    for role, text in (("server", SERVER), ("terminal", TERMINAL)):
        where = world.tmp / f"sojourn-{role}"
        where.mkdir()
        conf = where / "sojourn.conf"
        conf.write_text(text % {
            "dir": where, "home": peers["terminal"], "agent": peers["server"],
            "server": OUTER["server"], "reg": "33" * 32,
            "up_spi": KEYS["up"][0], "up_key": KEYS["up"][1],
            "down_spi": KEYS["down"][0], "down_key": KEYS["down"][1]})
        conf.chmod(0o600)
        procs.append(world.start(role, "sojournd", str(ROOT / "build/sojournd"), "-c", str(conf)))
    wait_for("Sojourn's tunnel", lambda: pings(world, peers))
    return procs


# --- measuring

def iperf(world, down, seconds):
    peers = INNER[world.subject]
    server = subprocess.Popen(
        ["ip", "netns", "exec", world.ns["server"], "iperf3", "-s", "-1", "-B", peers["server"]],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(50):
            time.sleep(0.1)
            listening = sh("ip", "netns", "exec", world.ns["server"], "ss", "-Htln")
            if ":5201" in listening:
                break
        out = sh("ip", "netns", "exec", world.ns["terminal"], "iperf3", "-J", "-c", peers["server"],
                 "-B", peers["terminal"], "-t", str(seconds), "-O", "1",
                 *(["-R"] if down else []), timeout=seconds + 30)
    finally:
        if server.poll() is None:
            time.sleep(0.2)
            server.terminate()
        server.wait()
    return json.loads(out)["end"]["sum_received"]["bits_per_second"] / 1e9


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    ap.add_argument("--json", metavar="FILE", help="write the figures there too")
    ap.add_argument("--seconds", type=int, default=4, help="of each run (default 4)")
    ap.add_argument("--runs", type=int, default=3, help="of which the median counts (default 3)")
    ap.add_argument("--only", choices=INNER, action="append", help="measure only this")
    args = ap.parse_args()
    subjects = args.only or list(INNER)
    starters = {"strongswan": start_strongswan, "sojourn": start_sojourn,
                "limit_veth": lambda world: []}
    figures = {s: {"up": [], "down": []} for s in subjects}
    tmp = Path(tempfile.mkdtemp(prefix="sj-b-"))
    try:
        with contextlib.ExitStack() as stack:
            worlds = {s: stack.enter_context(World(s, tmp)) for s in subjects}
            for subject, world in worlds.items():
                try:
                    starters[subject](world)
                except RuntimeError as e:
                    logs = {"strongswan": "charon", "sojourn": "sojournd"}.get(subject, "")
                    sys.exit(f"{subject}: {e}\n{world.log(logs)}")
            for _ in range(args.runs):
                for subject, world in worlds.items():
                    for way in ("up", "down"):
                        figures[subject][way].append(iperf(world, way == "down", args.seconds))
                        print(".", end="", flush=True, file=sys.stderr)
            print(file=sys.stderr)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)

    rows = []
    print(f"one TCP flow, median of {args.runs} runs of {args.seconds} s, Gbit/s")
    print(f"{'':10}" + "".join(f"{s:>14}" for s in subjects))
    for way in ("up", "down"):
        row = {"name": f"tcp1-{way}", "unit": "gbit_s"}
        row.update({s: round(statistics.median(figures[s][way]), 3) for s in subjects})
        row["runs"] = {s: [round(v, 3) for v in figures[s][way]] for s in subjects}
        rows.append(row)
        print(f"{row['name']:10}" + "".join(f"{row[s]:14.3f}" for s in subjects))
    result = {"rows": rows}
    if "sojourn" in subjects and "strongswan" in subjects:
        result["ratio"] = round(min(r["sojourn"] / r["strongswan"] for r in rows), 2)
        print(f"sojourn / strongswan: {result['ratio']:.2f} (the worse of both ways)")
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
