# SPDX-License-Identifier: MIT
"""strongSwan's charon, as a peer that does as it is told.

Each Charon is a process in a network namespace with a directory of its own: strongswan.conf,
swanctl.conf, certificates, its log and its VICI socket.  It has /run to itself, where its process
file is.  ESP is charon's own too (the kernel-libipsec plugin, in UDP, through a TUN device).

      with Charon(GATEWAY, "gateway", directory) as gateway:
          gateway.load(connections, [leaf], [root])
          gateway.initiate("net")
          gateway.sas()[0]["child-sas"]
"""
import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from conftest import inside, wait_for
import ground
import vici

CHARON = "/usr/lib/ipsec/charon"
# A short list: not what would listen, ask the system's keys or change its resolver.
PLUGINS = """random nonce openssl pem x509 pubkey pkcs1 pkcs8 revocation constraints hmac kdf gcm
    chapoly aes sha1 sha2 md5 fips-prf curve25519 kernel-netlink socket-default resolve vici updown
    eap-identity eap-md5 eap-mschapv2 eap-tls""".split()
SETTINGS = """
charon {
    load = %(plugins)s
    filelog { file { path = %(log)s
                     flush_line = yes
                     append = no
                     time_format = %%H:%%M:%%S
                     time_add_ms = yes
                     default = 1
                     ike = %(ike_level)d } }
    plugins {
        vici { socket = %(socket)s }
        resolve { file = %(dir)s/resolv.conf }
        eap-tls { include_length = yes }
    }
    install_virtual_ip_on = lo
    retransmit_timeout = 0.5
    retransmit_base = 1
    retransmit_tries = 4
    send_vendor_id = yes
    %(settings)s
}
"""
EVENTS = ["ike-updown", "child-updown", "ike-rekey", "child-rekey", "ike-update"]
KEY = re.compile(r"\bSk_(\w\w?) secret => (\d+) bytes")


@functools.cache
def missing():
    """Why there is no charon; empty if there is one."""
    need = [CHARON, shutil.which("swanctl", path="/usr/sbin:/usr/bin:/sbin:/bin") or "swanctl",
            "/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so",
            "/usr/lib/ipsec/plugins/libstrongswan-eap-mschapv2.so"]
    gone = [n for n in need if not os.path.exists(n)]
    return f"strongSwan is not (wholly) installed: {', '.join(gone)}" if gone else ""


class Charon:
    plugins = ["kernel-libipsec", *PLUGINS]

    def __init__(self, ns, name, where, settings="", ike_level=1):
        self.ns, self.name = ns, name
        self.dir = Path(where) / f"charon-{name}"
        self.dir.mkdir()
        self.configure(f"unix://{self.dir}/vici", self.dir / "log", settings, ike_level)
        self.output = open(self.dir / "output", "w")
        # One mount namespace for it and its children: `ip netns exec` makes that already.
        self.process = ground.spawn(
            ns, "sh", "-c", f"mount -t tmpfs tmpfs /run && exec {CHARON}",
            stdout=self.output, stderr=self.output, env=self.env)
        self.connect()

    def configure(self, socket, log, settings, ike_level):
        self.socket = socket
        conf = self.dir / "strongswan.conf"
        conf.write_text(SETTINGS % {
            "dir": self.dir, "plugins": " ".join(self.plugins), "socket": socket, "log": log,
            "settings": settings, "ike_level": ike_level})
        self.env = {**os.environ, "STRONGSWAN_CONF": str(conf)}

    def alive(self):
        return self.process.poll() is None

    def dial(self):
        return vici.Connection(self.dir / "vici")

    def connect(self):
        def connected():
            if not self.alive():
                raise AssertionError(f"charon {self.name} ended:\n{self.log()}")
            try:
                return self.dial()
            except OSError:
                return None
        self.vici = wait_for(f"charon {self.name}'s start", connected, every=0.02)
        self.events = vici.Events(self.dial(), EVENTS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.events.close()
        self.vici.close()
        try:
            return ground.end(self.process)
        finally:
            self.output.close()

    def log(self, since=0):
        path = self.dir / "log"
        text = path.read_text(errors="replace")[since:] if path.exists() else ""
        return text + (self.dir / "output").read_text(errors="replace")

    def tail(self):
        return f"--- charon {self.name}\n{self.log()[-5000:]}"

    def mark(self):
        """Now, for wait_log and wait."""
        return Mark(len(self.log()), len(self.events.seen))

    def wait_log(self, pattern, mark=None, seconds=10):
        def found():
            return re.search(pattern, self.log(mark.log if mark else 0))
        try:
            return wait_for(f"charon {self.name} logs {pattern!r}", found, seconds, 0.02)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.tail()}")

    def wait(self, event, fits=lambda message: True, mark=None, seconds=10):
        try:
            return self.events.wait(event, fits, mark.event if mark else 0, seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.tail()}")

    def load(self, text, leaves=(), authorities=(), crls=()):
        """Connections, pools and secrets in swanctl.conf's words, in place of all before."""
        for kind in ("x509", "x509ca", "x509crl", "private"):
            shutil.rmtree(self.dir / kind, ignore_errors=True)
            (self.dir / kind).mkdir(mode=0o700)
        for leaf in leaves:
            shutil.copy(leaf.cert, self.dir / "x509")
            shutil.copy(leaf.key, self.dir / "private")
            for n, cert in enumerate(leaf.chain):
                shutil.copy(cert, self.dir / "x509ca" / f"{leaf.cert.stem}-{n}.pem")
        for authority in authorities:
            shutil.copy(authority.cert, self.dir / "x509ca" / f"{authority.name}.pem")
        for n, crl in enumerate(crls):
            shutil.copy(crl, self.dir / "x509crl" / f"{n}.pem")
        (self.dir / "swanctl.conf").write_text(text)
        done = subprocess.run(
            ["ip", "netns", "exec", self.ns, "swanctl", "--load-all", "--clear", "--noprompt",
             "--file", str(self.dir / "swanctl.conf"), "--uri", self.socket],
            env=self.env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        assert done.returncode == 0, f"swanctl: {done.stdout}\n{text}"

    def call(self, command, message=None, stream=""):
        try:
            return self.vici.call(command, message, stream)
        except vici.Refused as e:
            raise vici.Refused(f"charon {self.name}, {command} {message}: {e}\n{self.tail()}")

    def initiate(self, child, ike="", seconds=10):
        self.call("initiate", {"child": child, **({"ike": ike} if ike else {}),
                               "timeout": int(seconds * 1000), "loglevel": 0})

    def refused(self, child, seconds=10):
        """It must not come up; what was logged meanwhile."""
        mark = self.mark()
        try:
            self.vici.call("initiate", {"child": child, "timeout": int(seconds * 1000),
                                        "loglevel": 0})
        except vici.Refused:
            return self.log(mark.log)
        raise AssertionError(f"charon {self.name}: {child} came up\n{self.tail()}")

    def rekey(self, child="", ike="", seconds=10):
        """And waits until it is done."""
        mark = self.mark()
        what = {"child": child} if child else {"ike": ike}
        answer = self.call("rekey", what)
        assert answer["matches"] != "0", f"nothing to rekey: {what}\n{self.tail()}"
        event = self.wait("child-rekey" if child else "ike-rekey", mark=mark, seconds=seconds)
        self.wait_idle()
        return event

    def begin_rekey(self, what):
        """Begins it and waits for nothing; charon knows no IKE SA while one takes over."""
        def begun():
            try:
                return self.vici.call("rekey", what)
            except vici.Refused:
                return None
        wait_for(f"charon {self.name} rekeys {what}", begun, every=0.005)

    def wait_idle(self):
        """Until no exchange of ours is under way; a peer's rekeying meanwhile would be put off."""
        def idle():
            return not any(sa.get("tasks-active") or sa.get("tasks-queued") for sa in self.sas())
        wait_for(f"charon {self.name} has nothing to do", idle, every=0.01)

    def terminate(self, ike="", child="", force=False, seconds=10):
        what = {"ike": ike} if ike else {"child": child}
        self.call("terminate", {**what, "force": "yes" if force else "no",
                                "timeout": int(seconds * 1000), "loglevel": 0})

    def forget(self):
        """Ends every IKE SA, telling nobody who does not listen."""
        for sa in self.sas():
            try:
                self.vici.call("terminate", {"ike-id": sa["uniqueid"], "force": "yes",
                                             "timeout": 500, "loglevel": 0})
            except vici.Refused:
                pass

    def vanish(self):
        """Forgets every IKE SA, and the other side hears nothing of it."""
        ground.sh("ip", "netns", "exec", self.ns, "nft", "table inet vanished { chain o { "
                  "type filter hook output priority 0; udp dport { 500, 4500 } drop; }; }")
        try:
            self.forget()
        finally:
            ground.sh("ip", "netns", "exec", self.ns, "nft", "delete table inet vanished")

    def sas(self, name=""):
        """IKE SAs, the oldest first: what swanctl --list-sas tells, and "name"."""
        found = [{"name": n, **sa} for event in self.call("list-sas", stream="list-sa")
                 for n, sa in event.items()]
        return sorted((sa for sa in found if name in ("", sa["name"])),
                      key=lambda sa: int(sa["uniqueid"]))

    def sa(self, name=""):
        """The one established IKE SA."""
        up = [sa for sa in self.sas(name) if sa["state"] == "ESTABLISHED"]
        assert len(up) == 1, f"{len(up)} IKE SAs are established: {up}\n{self.tail()}"
        return up[0]

    def children(self, name=""):
        """Installed child SAs of the established IKE SA."""
        return [c for c in self.sa(name)["child-sas"].values() if c["state"] == "INSTALLED"]

    def child(self, name=""):
        found = self.children(name)
        assert len(found) == 1, f"{len(found)} child SAs are installed: {found}\n{self.tail()}"
        return found[0]

    def resolvers(self):
        path = self.dir / "resolv.conf"
        return re.findall(r"^nameserver (\S+)", path.read_text() if path.exists() else "", re.M)

    def ike_keys(self):
        """Of each IKE SA so far, when ike_level is 4: {"ei": hex, "er": .., "ai": .., "ar": ..}."""
        made, lines = [], iter(self.log().splitlines())
        for line in lines:
            match = KEY.search(line)
            if not match:
                continue
            name, size = match[1], int(match[2])
            data = ""
            while len(data) < 2 * size:
                data += "".join(re.search(r"\d+: ((?:[0-9A-F]{2} )+)", next(lines))[1].split())
            if not made or name in made[-1]:
                made.append({})
            made[-1][name] = data.lower()
        return made


class Mark:
    def __init__(self, log, event):
        self.log, self.event = log, event


class KernelCharon(Charon):
    """In a guest, with the ESP of its kernel."""
    plugins = PLUGINS

    def __init__(self, guest, name, where, settings="", ike_level=1):
        self.guest = guest
        self.ns, self.name = ground.ROUTER, name
        self.dir = Path(tempfile.mkdtemp(prefix=f"charon-{name}-", dir=where))
        self.port = 4502
        self.configure(f"tcp://{ground.UML4}:{self.port}", "/run/charon.log", settings, ike_level)
        guest.sh(f"STRONGSWAN_CONF={self.dir}/strongswan.conf {CHARON} >/run/charon.out 2>&1 &\n"
                 "echo $! >/run/charon.own.pid")
        self.connect()

    def alive(self):
        return self.guest.call("sh", script="kill -0 $(cat /run/charon.own.pid)")["rc"] == 0

    def dial(self):
        with inside(self.ns):
            return vici.Connection((ground.UML4, self.port))

    def log(self, since=0):
        return self.guest.call("sh", script="cat /run/charon.log /run/charon.out")["out"][since:]

    def resolvers(self):
        out = self.guest.call("sh", script=f"cat {self.dir}/resolv.conf")["out"]
        return re.findall(r"^nameserver (\S+)", out, re.M)

    def stop(self):
        self.events.close()
        self.vici.close()
        self.guest.sh("kill $(cat /run/charon.own.pid)")
