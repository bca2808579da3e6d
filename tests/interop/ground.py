# SPDX-License-Identifier: MIT
"""The ground that IKEv2's tests play on: a client with three ways to a gateway, made of network
namespaces.

      sj-k-client                     sj-k-router                      sj-k-gateway
     +-----------------------+       +--------------------------+      +-------------------+
     | open  198.51.100.2    |=======| .1          203.0.113.254|======| wan 203.0.113.1   |
     |       2001:db8:a::2   |=======| ::1       2001:db8:1::fe |======|     2001:db8:1::1 |
     | nat   192.168.77.2    |=======| .1  masqueraded          |      |                   |
     | six   2001:db8:c::2   |=======| ::1                      |      | lo  10.3.0.1      |
     +-----------------------+       +--------------------------+      |     fd03::1       |
                                                                       +-------------------+

A guest (User Mode Linux), where there is one, is a second gateway on the router's TAP device `uml`:
203.0.114.1 and 2001:db8:2::1, with 10.4.0.1 and fd04::1 on its loopback.

`nat` has no IPv6 and `six` no IPv4.  What is behind the gateway (host X) is on its loopback.
Routes prefer `open`, then `nat`, then `six`; Ground.use pulls the cables of the ways not named.
The router forgets its NAT's mappings and gives other ports on request.
"""
import ctypes
import os
import signal
import subprocess

from conftest import ns_exec, sh

TAG = os.environ.get("SOJOURN_TAG", "k")
CLIENT, ROUTER, GATEWAY = (f"sj-{TAG}-{n}" for n in ("client", "router", "gateway"))
WAYS = {  # interface: addresses of the client's end and the router's, with bits
    "open": [("198.51.100.2", "198.51.100.1", 24), ("2001:db8:a::2", "2001:db8:a::1", 64)],
    "nat": [("192.168.77.2", "192.168.77.1", 24)],
    "six": [("2001:db8:c::2", "2001:db8:c::1", 64)],
}
OPEN4, OPEN6 = (end[0] for end in WAYS["open"])
SIX = WAYS["six"][0][0]
NAT = "203.0.113.254"
GW4, GW6 = "203.0.113.1", "2001:db8:1::1"
UML4, UML6, UML4_VIA, UML6_VIA = "203.0.114.1", "2001:db8:2::1", "203.0.114.254", "2001:db8:2::fe"
X4, X6 = "10.3.0.1", "fd03::1"
Y4, Y6 = "10.4.0.1", "fd04::1"      # behind the guest
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)

MASQUERADE = """
table ip nat {
    chain post {
        type nat hook postrouting priority 100;
        iifname "nat" udp dport { 500, 4500 } masquerade to :PORTS
        iifname "nat" masquerade
    }
}
"""


def address(ns, interface, text, bits):
    sh("ip", "-n", ns, "addr", "add", f"{text}/{bits}", "dev", interface,
       *(["nodad"] if ":" in text else []))


def spawn(ns, *args, **kw):
    """A process in the namespace, which ends with this one."""
    def orphaned():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    kw = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL,
          "stderr": subprocess.DEVNULL, "start_new_session": True, **kw}
    return subprocess.Popen(["ip", "netns", "exec", ns, *map(str, args)],
                            preexec_fn=orphaned, **kw)


def end(process, seconds=10):
    """Its status after SIGTERM."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise AssertionError(f"{process.args} did not end after SIGTERM")


class Ground:
    def __init__(self):
        self.ports = 20000
        self.down = set()

    def __enter__(self):
        self.remove()
        try:
            self.make()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_):
        self.remove()

    @staticmethod
    def remove():
        for ns in (CLIENT, ROUTER, GATEWAY):
            sh("ip", "netns", "del", ns, check=False)

    def make(self):
        for ns in (CLIENT, ROUTER, GATEWAY):
            sh("ip", "netns", "add", ns)
            forward = int(ns != CLIENT)
            ns_exec(ns, "sh", "-ec", f"""
                ip link set lo up
                cd /proc/sys/net
                for where in all default; do
                    echo 0 >ipv4/conf/$where/rp_filter
                    echo 0 >ipv6/conf/$where/accept_dad
                    echo {forward} >ipv6/conf/$where/forwarding
                done
                echo {forward} >ipv4/ip_forward""")
        index = 300     # ends with indices of their own: the kernel tells a lost carrier at once
        for name, ns in [(way, CLIENT) for way in WAYS] + [("wan", GATEWAY)]:
            index += 2
            sh("ip", "link", "add", name, "index", str(index), "netns", ns, "type", "veth",
               "peer", "name", name, "index", str(index + 1), "netns", ROUTER)
            for side in (ns, ROUTER):
                ns_exec(side, "ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off",
                        "gro", "off")
                sh("ip", "-n", side, "link", "set", name, "up")
        for metric, (way, ends) in enumerate(WAYS.items(), 1):
            for client, router, bits in ends:
                address(CLIENT, way, client, bits)
                address(ROUTER, way, router, bits)
        for text, router, bits in ((GW4, NAT, 24), (GW6, "2001:db8:1::fe", 64)):
            address(GATEWAY, "wan", text, bits)
            address(ROUTER, "wan", router, bits)
            sh("ip", "-n", GATEWAY, "route", "add", "default", "via", router)
        for text, bits in ((X4, 32), (X6, 128)):
            address(GATEWAY, "lo", text, bits)
        sh("ip", "-n", ROUTER, "tuntap", "add", "uml", "mode", "tap")
        address(ROUTER, "uml", UML4_VIA, 24)
        address(ROUTER, "uml", UML6_VIA, 64)
        sh("ip", "-n", ROUTER, "link", "set", "uml", "up")
        for way in WAYS:
            self.route(way)
        self.masquerade()

    @staticmethod
    def add(ns, interface, text):
        """One more address, of one host."""
        address(ns, interface, text, 128 if ":" in text else 32)

    def route(self, way):
        """A lost cable took them."""
        metric = 100 * (1 + list(WAYS).index(way))
        for client, router, bits in WAYS[way]:
            if ":" in client:
                sh("ip", "-n", CLIENT, "addr", "replace", f"{client}/{bits}", "dev", way, "nodad")
            sh("ip", "-n", CLIENT, "route", "replace", "default", "via", router, "dev", way,
               "src", client, "metric", str(metric))

    def masquerade(self):
        """Mappings that were made before end; new ones get other ports."""
        ns_exec(ROUTER, "nft", "flush ruleset")
        sh("ip", "netns", "exec", ROUTER, "nft",
           MASQUERADE.replace("PORTS", f"{self.ports}-{self.ports + 99}"))
        ns_exec(ROUTER, "conntrack", "-F", check=False)
        self.ports += 100

    def cable(self, way, on):
        """Pulls the cable of one way, or puts it back."""
        if on:
            sh("ip", "-n", ROUTER, "link", "set", way, "up")
            for client, router, bits in WAYS[way]:
                if ":" in router:
                    sh("ip", "-n", ROUTER, "addr", "replace", f"{router}/{bits}", "dev", way,
                       "nodad")
            sh("ip", "-n", CLIENT, "link", "set", way, "up")
            self.route(way)
            self.down.discard(way)
        else:
            sh("ip", "-n", CLIENT, "link", "set", way, "down")
            sh("ip", "-n", ROUTER, "link", "set", way, "down")
            self.down.add(way)

    def use(self, *ways):
        """The ways that there are from now; what comes, comes before something goes."""
        for way in WAYS:
            if way in ways and way in self.down:
                self.cable(way, True)
        for way in WAYS:
            if way not in ways and way not in self.down:
                self.cable(way, False)

    def restore(self):
        self.silence(False)
        self.use(*WAYS)

    def silence(self, on):
        """Nothing passes the router any more, though every cable is in; or again."""
        sh("ip", "netns", "exec", ROUTER, "nft", "delete table inet silence", check=False)
        if on:
            ns_exec(ROUTER, "nft", "add table inet silence; add chain inet silence f "
                    "{ type filter hook forward priority 0; policy drop; }")
