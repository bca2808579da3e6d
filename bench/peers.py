# SPDX-License-Identifier: MIT
"""The subjects of the benchmarks: how each is configured, started, and known to do what is
compared.

All carry IPv4 in a tunnel over UDP, handled by processes; no kernel module of any of them is used.
Each has its default inner MTU, over a wire of 1,500 octets.

    sojourn       IKEv2 with a pre-shared key, ESP with AES-GCM-128
    limit_null    the same, but with a transform that does nothing in place of the cryptography
    strongswan    the same as sojourn: charon with kernel-libipsec, OpenSSL's AES-GCM-128
    wireguard_go  ChaCha20-Poly1305, the only one it has
    openvpn       AES-GCM-128, without its kernel module; TLS with certificates
    bare          no tunnel: the wire itself
"""
import json
import os
import re

from lab import ROLES, ROOT, WIRE, cpu_s, sh, wait_for

SECRET = "only for this benchmark"
START_S = 20


class Peer:
    """One subject in its lab.  start() returns when the tunnel answers."""

    inner = {}  # what the traffic talks to

    def __init__(self, lab, binaries=ROOT / "build", mobile=False):
        self.lab, self.binaries, self.mobile = lab, binaries, mobile
        self.pids = []

    def start(self):
        try:
            for role in ROLES:
                self.start_role(role)
            self.connect()
            wait_for("the tunnel's first answer", self.answers, START_S)
            self.verify()
        except (RuntimeError, OSError) as e:
            raise RuntimeError(f"{self.lab.name}: {e}\n{self.lab.logs()}") from None
        self.pids = self.lab.pids()

    def start_role(self, role):
        pass

    def connect(self):
        pass

    def verify(self):
        """That what runs is what is compared."""

    def answers(self):
        return self.lab.pings(self.inner["terminal"], self.inner["server"])

    def inner_mtu(self, role):
        """Of the device by which the traffic of this side leaves."""
        other = ROLES[1 - ROLES.index(role)]
        way = json.loads(self.lab.ip(role, "-j", "route", "get", self.inner[other],
                                     "from", self.inner[role]))[0]
        return json.loads(self.lab.ip(role, "-j", "link", "show", "dev", way["dev"]))[0]["mtu"]

    def cpu_s(self):
        """Of all its processes on both sides."""
        try:
            return cpu_s(self.pids)
        except FileNotFoundError:
            raise RuntimeError(f"{self.lab.name} ended\n{self.lab.logs()}") from None

    def where(self, role):
        path = self.lab.tmp / role
        path.mkdir(exist_ok=True)
        return path

    def write(self, role, name, text):
        path = self.where(role) / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def expect(self, what, there):
        if not there:
            raise RuntimeError(f"it does not run what is to be compared: {what}")


class Bare(Peer):
    def __init__(self, lab, **kw):
        super().__init__(lab, **kw)
        self.inner = lab.outer


# --- Sojourn

class Sojourn(Peer):
    inner = {"terminal": "10.72.0.2", "server": "10.72.0.1"}
    binary = "sojournd"
    TEXT = {"terminal": """role = terminal
control = "%(control)s"
log-level = "%(log)s"
routes = { "%(server)s/32" }
ike {
	server = "%(outer)s"
	server-id = "vpn.bench.test"
	id = "terminal@bench.test"
	secret = "%(secret)s"
	esp-proposals = { "aes128gcm16-esn" }
}
%(connections)s
""", "server": """role = home-server
control = "%(control)s"
log-level = "%(log)s"
listen = { "%(outer)s" }
home-agent = { "%(server)s" }
ike {
	id = "vpn.bench.test"
	esp-proposals = { "aes128gcm16-esn" }
}
terminal bench {
	home-address = { "%(terminal)s" }
	id = "terminal@bench.test"
	secret = "%(secret)s"
}
"""}

    def interfaces(self):
        return self.lab.uplinks if self.mobile else (WIRE,)

    def start_role(self, role):
        connections = "".join(f'connection {name} {{ interface = "{name}" }}\n'
                              for name in self.interfaces())
        conf = self.write(role, "sojourn.conf", self.TEXT[role] % {
            "control": self.where(role) / "control", "outer": self.lab.outer["server"],
            "secret": SECRET, "connections": connections, **self.inner,
            "log": "info" if self.mobile else "warning"})
        if role == "server":  # on the terminal Sojourn does this itself
            self.lab.ip(role, "addr", "add", self.inner[role] + "/32", "dev", "lo")
        binary = self.binaries / self.binary
        if not binary.exists():
            raise RuntimeError(f"there is no {binary}: build it first")
        self.lab.start(role, "sojournd", binary, "-c", conf)

    def ask(self, role, *command):
        return json.loads(sh(str(self.binaries / "sojourn"), "-s",
                             str(self.where(role) / "control"), "--json", *command))

    def verify(self):
        connections = self.ask("terminal", "connections")["connections"]
        active = [c for c in connections if c["state"] == "active"]
        self.expect("AES-GCM-128 in UDP: " + json.dumps(connections),
                    active and all(c["cipher"] == "aes128-gcm" and c["encapsulation"] == "udp"
                                   for c in active))


class LimitNull(Sojourn):
    """A packet is as long as with AES-GCM, and the daemon says AES-GCM, too."""

    inner = {"terminal": "10.70.0.2", "server": "10.70.0.1"}
    binary = "bench/sojournd-null"


# --- strongSwan

class Strongswan(Peer):
    inner = {"terminal": "10.71.0.2", "server": "10.71.0.1"}
    CHARON = """charon {
    load = random nonce openssl aes sha2 hmac kdf kernel-libipsec kernel-netlink \
           socket-default vici
    install_routes = yes
    install_virtual_ip_on = ipsec0
    prefer_best_path = yes
    plugins { vici { socket = unix://%(dir)s/vici } }
    filelog { stderr { default = 1
                       flush_line = yes } }
}
"""
    SWANCTL = {"terminal": """connections { bench {
    version = 2
    remote_addrs = %(outer)s
    proposals = aes128gcm16-prfsha256-x25519
    encap = yes
    mobike = %(mobike)s
    vips = %(terminal)s
    local { auth = psk
            id = terminal }
    remote { auth = psk
             id = server }
    children { net {
        remote_ts = %(server)s/32
        esp_proposals = aes128gcm16
    } }
} }
secrets { ike-1 { secret = "%(secret)s" } }
""", "server": """connections { bench {
    version = 2
    local_addrs = %(outer)s
    proposals = aes128gcm16-prfsha256-x25519
    encap = yes
    mobike = %(mobike)s
    pools = homes
    local { auth = psk
            id = server }
    remote { auth = psk
             id = terminal }
    children { net {
        local_ts = %(server)s/32
        esp_proposals = aes128gcm16
    } }
} }
pools { homes { addrs = %(terminal)s/32 } }
secrets { ike-1 { secret = "%(secret)s" } }
"""}

    def env(self, role):
        return {**os.environ, "STRONGSWAN_CONF": str(self.where(role) / "strongswan.conf")}

    def start_role(self, role):
        self.write(role, "strongswan.conf", self.CHARON % {"dir": self.where(role)})
        conf = self.write(role, "swanctl.conf", self.SWANCTL[role] % {
            "outer": self.lab.outer["server"], "secret": SECRET,
            "mobike": "yes" if self.mobile else "no", **self.inner})
        if role == "server":
            self.lab.ip(role, "addr", "add", self.inner[role] + "/32", "dev", "lo")
        # A mount namespace with a /run of its own: charon's process file is there.
        self.lab.start(role, "charon", "unshare", "-m", "sh", "-c",
                       "mount -t tmpfs tmpfs /run && exec /usr/lib/ipsec/charon",
                       env=self.env(role))
        wait_for("charon's start", (self.where(role) / "vici").exists)
        self.swanctl(role, "--load-all", "--noprompt", "--file", str(conf))

    def swanctl(self, role, *args):
        return sh("swanctl", *args, "--uri", f"unix://{self.where(role)}/vici",
                  env=self.env(role))

    def connect(self):
        self.swanctl("terminal", "--initiate", "--child", "net", "--timeout", "10")

    def verify(self):
        sas = self.swanctl("terminal", "--list-sas")
        self.expect("AES-GCM-128 in UDP:\n" + sas, "AES_GCM_16-128" in sas and "TUNNEL-in-UDP" in sas)


# --- WireGuard

class WireguardGo(Peer):
    inner = {"terminal": "10.73.0.2", "server": "10.73.0.1"}
    PORT = 51820

    def device(self, role):
        # The control sockets of all namespaces are in one directory, by this name.
        return f"sj-wg-{role[0]}"

    def start_role(self, role):
        device = self.device(role)
        self.lab.start(role, "wireguard-go", "wireguard-go", "-f", device,
                       env={**os.environ, "WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "error"})
        socket = f"/var/run/wireguard/{device}.sock"
        wait_for("wireguard-go's start", lambda: os.path.exists(socket))
        self.write(role, "private", sh("wg", "genkey"))

    def public(self, role):
        return sh("wg", "pubkey", input=(self.where(role) / "private").read_text()).strip()

    def connect(self):
        for role, other in (ROLES, ROLES[::-1]):
            device = self.device(role)
            to = ["endpoint", f"{self.lab.outer['server']}:{self.PORT}"] if role == "terminal" else []
            self.lab.run(role, "wg", "set", device, "listen-port", str(self.PORT),
                         "private-key", str(self.where(role) / "private"),
                         "peer", self.public(other), "allowed-ips", self.inner[other] + "/32", *to)
            self.lab.ip(role, "addr", "add", self.inner[role] + "/24", "dev", device)
            self.lab.ip(role, "link", "set", device, "up")

    def verify(self):
        shows = self.lab.run("terminal", "wg", "show", self.device("terminal"))
        self.expect("a handshake:\n" + shows, "latest handshake" in shows)


# --- OpenVPN

class Openvpn(Peer):
    inner = {"terminal": "10.74.0.2", "server": "10.74.0.1"}
    COMMON = ["--dev", "tun0", "--proto", "udp4", "--disable-dco", "--data-ciphers", "AES-128-GCM",
              "--sndbuf", "4194304", "--rcvbuf", "4194304", "--txqueuelen", "1000",
              "--persist-tun", "--keepalive", "10", "60", "--verb", "4"]

    def certificate(self, role):
        where = self.where(role)
        sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
           "-nodes", "-days", "7", "-subj", f"/CN={role}", "-keyout", str(where / "key"),
           "-out", str(where / "cert"), stdin=None)

    def fingerprint(self, role):
        text = sh("openssl", "x509", "-in", str(self.where(role) / "cert"), "-noout",
                  "-fingerprint", "-sha256")
        return text.strip().split("=", 1)[1]

    def connect(self):
        for role in ROLES:
            self.certificate(role)
        for role, other in (ROLES, ROLES[::-1]):
            outer = self.lab.outer["server"]
            own = (["--client", "--nobind", "--remote", outer, "1194"] if role == "terminal" else
                   ["--server", "10.74.0.0", "255.255.255.0", "--topology", "subnet",
                    "--dh", "none", "--local", outer, "--port", "1194",
                    *(["--float"] if self.mobile else [])])
            self.lab.start(role, "openvpn", "openvpn", *self.COMMON, *own,
                           "--cert", self.where(role) / "cert", "--key", self.where(role) / "key",
                           "--peer-fingerprint", self.fingerprint(other))

    def verify(self):
        log = (self.lab.tmp / "openvpn-terminal.log").read_text()
        self.expect("AES-GCM-128 without DCO", re.search(
            r"Data Channel: cipher 'AES-128-GCM'", log) and "TUN/TAP device tun0 opened" in log)


SUBJECTS = {"sojourn": Sojourn, "limit_null": LimitNull, "wireguard_go": WireguardGo,
            "strongswan": Strongswan, "openvpn": Openvpn, "bare": Bare}
