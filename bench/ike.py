#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""IKEv2 setups as responder: sojournd beside strongSwan's charon, in one run.

One initiator for both (tests/tools/ike_load, our engine, without our vendor ID: a standard
client): terminals with an address and an identity of their own set up an IKE SA with one child
and get an address; x25519, AES-128-GCM, by a pre-shared key and by ECDSA P-256 certificates, a
different one for each terminal.  What counts is the CPU time of the responder: of all threads of
all its processes, user and kernel, divided into the setups they made.  Each figure is the median
of several runs, each with fresh processes, the subjects in turn.  Both are told not to log.
charon runs with what costs it least: its own ESP (kernel-libipsec), no routes, no checks of
uniqueness or revocation, no protection against floods.

Memory: what the resident set grew by for each idle terminal with one child, held at once.

    sudo ./run bench ike [--json FILE] [--runs N] [--count N] [--held N] [--only SUBJECT]
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from lab import ROOT, sh, wait_for

SERVER, CLIENT = "192.0.2.1", "192.0.2.2"
TERMINALS = "10.64.0.0/14"  # where they are
HOMES = "10.128.0.0/15"     # what they get
INSIDE = "10.127.0.1"       # what they talk to
SERVER_ID = "vpn.fleet.test"
SECRET = "only for tests and benchmarks"
WARM = 200                  # setups that are not counted
NAMES = ["psk", "ecdsa"]


class Place:
    """Two namespaces and a veth pair: the responder's, and that of all terminals."""

    ns = {"server": "sj-b-ike-serv", "client": "sj-b-ike-term"}

    def __enter__(self):
        self.remove()
        for ns in self.ns.values():
            sh("ip", "netns", "add", ns)
            sh("ip", "-n", ns, "link", "set", "lo", "up")
        sh("ip", "link", "add", "sj-b0", "netns", self.ns["server"], "type", "veth",
           "peer", "name", "sj-b0", "netns", self.ns["client"])
        for role, address in (("server", SERVER), ("client", CLIENT)):
            sh("ip", "-n", self.ns[role], "addr", "add", address + "/24", "dev", "sj-b0")
            sh("ip", "-n", self.ns[role], "link", "set", "sj-b0", "up")
        sh("ip", "-n", self.ns["server"], "addr", "add", INSIDE + "/32", "dev", "lo")
        sh("ip", "-n", self.ns["server"], "route", "add", TERMINALS, "via", CLIENT)
        # One process answers for all their addresses.
        sh("ip", "-n", self.ns["client"], "route", "add", "local", TERMINALS, "dev", "lo")
        return self

    def remove(self):
        for ns in self.ns.values():
            sh("ip", "netns", "del", ns, check=False)

    def __exit__(self, *_):
        self.remove()

    def spawn(self, role, *args, **kw):
        return subprocess.Popen(["ip", "netns", "exec", self.ns[role], *map(str, args)],
                                start_new_session=True, **kw)


class Load:
    """The initiator; see tests/tools/ike_load.c."""

    def __init__(self, place, count, in_flight, pki):
        self.process = place.spawn(
            "client", ROOT / "build/tests/tools/ike_load", "--to", SERVER, "--from", TERMINALS,
            "--count", count, "--in-flight", in_flight, "--server-id", SERVER_ID,
            "--secret", SECRET, *(["--pki", pki] if pki else []),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"ike_load ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Responder:
    """What they have in common: a process group, whose CPU time and memory count."""

    def __init__(self, place, where, name):
        self.place, self.where, self.auth = place, where, name
        self.log = open(where / "log", "w")

    def spawn(self, *args, **kw):
        self.process = self.place.spawn("server", *args, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, **kw)

    def pids(self):
        return sh("ip", "netns", "pids", self.place.ns["server"]).split()

    def cpu_s(self):
        """utime and stime as the scheduler counts them: in ns, of each thread."""
        total = 0
        for pid in self.pids():
            for task in Path(f"/proc/{pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def rss_kib(self):
        return sum(int(line.split()[1]) for pid in self.pids()
                   for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                   if line.startswith("VmRSS:"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()

    def tail(self):
        return (self.where / "log").read_text(errors="replace")[-3000:]


class Sojourn(Responder):
    CONF = """role = home-server
control = "%(dir)s/control"
log-level = "error"
listen = { "%(server)s" }
home-agent = { "%(inside)s" }
ike {
	id = "%(id)s"
%(own)s
}
pool fleet { address = { "%(homes)s" } }
terminal fleet {
	id = "*@fleet.test"
	pool = "fleet"
%(secret)s
}
"""

    def start(self):
        conf = self.where / "sojourn.conf"
        own = (f'certificate = "{self.where}/server.pem"\nprivate-key = "{self.where}/server.key"\n'
               f'ca = "{self.where}/ca.pem"')
        cert = self.auth == "ecdsa"
        conf.write_text(self.CONF % {
            "dir": self.where, "server": SERVER, "inside": INSIDE, "id": SERVER_ID,
            "homes": HOMES, "own": own if cert else "",
            "secret": "" if cert else f'secret = "{SECRET}"'})
        conf.chmod(0o600)
        self.spawn(ROOT / "build/sojournd", "-c", conf)
        wait_for("sojournd's start", (self.where / "control").exists)


class Charon(Responder):
    CONF = """charon {
    load = random nonce openssl pem x509 pubkey pkcs1 pkcs8 constraints hmac kdf \
           kernel-libipsec kernel-netlink socket-default vici
    install_routes = no
    dos_protection = no
    ikesa_table_size = 4096
    ikesa_table_segments = 16
    plugins { vici { socket = unix://%(dir)s/vici } }
    filelog { stderr { default = -1 } }
    syslog { daemon { default = -1 }
             auth { default = -1 } }
}
"""
    SWANCTL = """connections { fleet {
    version = 2
    local_addrs = %(server)s
    proposals = aes128gcm16-prfsha256-x25519
    mobike = no
    unique = never
    pools = homes
    local { auth = %(auth)s
            id = %(id)s
            %(certs)s }
    remote { auth = %(auth)s
             id = *@fleet.test }
    children { net { local_ts = 0.0.0.0/0
                     esp_proposals = aes128gcm16 } }
} }
pools { homes { addrs = %(homes)s } }
%(secrets)s
"""

    def start(self):
        cert = self.auth == "ecdsa"
        (self.where / "strongswan.conf").write_text(self.CONF % {"dir": self.where})
        for directory, name in (("x509", "server.pem"), ("x509ca", "ca.pem"),
                                ("private", "server.key")):
            (self.where / directory).mkdir()
            if cert:
                shutil.copy(self.where / name, self.where / directory)
        (self.where / "swanctl.conf").write_text(self.SWANCTL % {
            "server": SERVER, "id": SERVER_ID, "homes": HOMES, "auth": "pubkey" if cert else "psk",
            "certs": "certs = server.pem" if cert else "",
            "secrets": "" if cert else 'secrets { ike-1 { secret = "%s" } }' % SECRET})
        env = {**os.environ, "STRONGSWAN_CONF": str(self.where / "strongswan.conf")}
        # A mount namespace with a /run of its own: charon's process file is there.
        self.spawn("unshare", "-m", "sh", "-c",
                   "mount -t tmpfs tmpfs /run && exec /usr/lib/ipsec/charon", env=env)
        wait_for("charon's start", (self.where / "vici").exists)
        sh("swanctl", "--load-all", "--noprompt", "--file", str(self.where / "swanctl.conf"),
           "--uri", f"unix://{self.where}/vici", env=env)
        sh("ip", "-n", self.place.ns["server"], "route", "add", HOMES, "dev", "ipsec0")


SUBJECTS = {"sojourn": Sojourn, "charon": Charon}


def run(subject, name, count, in_flight):
    """{"rate": setups per core-second, "kib": memory of each} of fresh processes."""
    where = Path(tempfile.mkdtemp(prefix="sj-b-ike-"))
    pki = where if name == "ecdsa" else None
    try:
        with Place() as place, Load(place, WARM + count, in_flight, pki) as load, \
                SUBJECTS[subject](place, where, name) as responder:
            try:
                responder.start()
                warm = load.ask(f"up {WARM}")
                if warm["up"] != WARM:
                    raise RuntimeError(f"only {warm['up']} of {WARM} terminals came up: {warm}")
                cpu, rss = responder.cpu_s(), responder.rss_kib()
                done = load.ask(f"up {count}")
                cpu, rss = responder.cpu_s() - cpu, responder.rss_kib() - rss
                if done["up"] != count:
                    raise RuntimeError(f"only {done['up']} of {count} terminals came up: {done}")
                echo = load.ask(f"echo {INSIDE} 100")
                if echo["answered"] != echo["asked"]:
                    raise RuntimeError(f"the connections do not carry what they should: {echo}")
            except RuntimeError as e:
                raise RuntimeError(f"{subject}, {name}: {e}\n{responder.tail()}") from None
        return {"rate": count / cpu, "kib": rss / count, "seconds": done["seconds"],
                "p50_ms": done["setup"]["p50_ms"], "p99_ms": done["setup"]["p99_ms"]}
    finally:
        shutil.rmtree(where, ignore_errors=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    ap.add_argument("--json", metavar="FILE", help="write the figures there too")
    ap.add_argument("--runs", type=int, default=3, help="of which the median counts (default 3)")
    ap.add_argument("--count", type=int, default=2000, help="setups of a run (default 2000)")
    ap.add_argument("--held", type=int, default=10000,
                    help="terminals that sojournd holds when its memory is measured (default 10000)")
    ap.add_argument("--in-flight", type=int, default=32, help="setups at once (default 32)")
    ap.add_argument("--only", choices=SUBJECTS, action="append", help="measure only this")
    args = ap.parse_args()
    subjects = args.only or list(SUBJECTS)
    figures = {n: {s: [] for s in subjects} for n in NAMES}
    held = None
    try:
        for _ in range(args.runs):
            for name in NAMES:
                for subject in subjects:
                    figures[name][subject].append(run(subject, name, args.count, args.in_flight))
                    print(".", end="", flush=True, file=sys.stderr)
        if "sojourn" in subjects:
            held = run("sojourn", "psk", args.held, args.in_flight)["kib"]
        print(file=sys.stderr)
    except RuntimeError as e:
        sys.exit(f"\n{e}")

    def median(name, subject, what):
        return statistics.median(r[what] for r in figures[name][subject])

    print(f"setups per second of the responder's CPU time, median of {args.runs} runs of "
          f"{args.count}")
    print(f"{'':10}" + "".join(f"{s:>12}" for s in subjects) + "       ratio")
    rows = []
    both = len(subjects) == 2
    for name in NAMES:
        row = {"name": name, "unit": "setups_per_core_s"}
        row.update({s: round(median(name, s, "rate"), 1) for s in subjects})
        row["runs"] = {s: [round(r["rate"], 1) for r in figures[name][s]] for s in subjects}
        row["p50_ms"] = {s: round(median(name, s, "p50_ms"), 2) for s in subjects}
        row["p99_ms"] = {s: round(median(name, s, "p99_ms"), 2) for s in subjects}
        if both:
            row["ratio"] = round(row["sojourn"] / row["charon"], 2)
        rows.append(row)
        print(f"{name:10}" + "".join(f"{row[s]:12.0f}" for s in subjects) +
              (f"{row['ratio']:11.1f}x" if both else ""))
    result = {"rows": rows}
    if held is not None:
        result["kib_per_terminal"] = round(held, 2)
        print(f"sojourn: {held:.2f} KiB of memory for each of {args.held} idle terminals")
    if "charon" in subjects:
        result["kib_per_terminal_charon"] = round(median("psk", "charon", "kib"), 2)
        print(f"charon: {result['kib_per_terminal_charon']:.2f} KiB for each of {args.count}")
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
