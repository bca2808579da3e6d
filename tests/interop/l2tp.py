# SPDX-License-Identifier: MIT
"""L2TP's world: a home server and two clients, each a Linux kernel of its own in User Mode Linux
with xl2tpd, pppd and the kernel's PPP and L2TP; what they have beside is Sojourn or strongSwan.

                                                sj-l-core
   c  eth1 192.168.1.7 --- sj-l-c NAT 100.64.0.2 ---+
                                                    +--- NAT 203.0.113.254 --- eth1 203.0.113.1  s
   d  eth1 192.168.1.7 --- sj-l-d NAT 100.64.0.3 ---+
   c  eth2 192.168.2.7 -----------------------------+--- NAT 203.0.113.253

So c and d are behind one NAT with one private address.  eth0 of each is for the tests' own words
(10.254.N.2).
"""

from conftest import BUILD, Guest, ns_exec, sh, wait_for

CORE, C_NET, D_NET = "sj-l-core", "sj-l-c", "sj-l-d"
SERVER = "203.0.113.1"
PRIVATE, SECOND = "192.168.1.7", "192.168.2.7"
LNS, PPP_SERVER = "10.64.0.1", "172.30.0.1"
MODULES = "tun,l2tp_ppp,ppp_async,esp4,xfrm_user"
RULES = """
table ip nat {{
    chain post {{
        type nat hook postrouting priority 100;
        {rules}
    }}
}}
"""
# No longer than five seconds of silence: a session that survives has not noticed much.
PPP_OPTIONS = """noauth
noccp
nobsdcomp
nodeflate
nodefaultroute
noipv6
mtu 1280
mru 1280
lcp-echo-interval 1
lcp-echo-failure 5
"""


def remove():
    for ns in (CORE, C_NET, D_NET):
        sh("ip", "netns", "del", ns, check=False)


class World:
    def __init__(self, uml_run, where):
        self.uml_run, self.where = uml_run, where
        self.guests = {}

    def __enter__(self):
        remove()
        try:
            self.make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for guest in self.guests.values():
            guest.stop()
        remove()

    def make(self):
        for ns in (CORE, C_NET, D_NET):
            sh("ip", "netns", "add", ns)
            ns_exec(ns, "sh", "-ec", "ip link set lo up; echo 1 >/proc/sys/net/ipv4/ip_forward; "
                    "for w in all default; do echo 0 >/proc/sys/net/ipv4/conf/$w/rp_filter; done")
        for n, (name, taps) in enumerate((("s", ("s1",)), ("c", ("c1", "c2")), ("d", ("d1",)))):
            self.boot(n + 1, name, taps)
        for ns, tap, host in ((C_NET, "c1", 2), (D_NET, "d1", 3)):
            sh("ip", "-n", CORE, "link", "set", tap, "netns", ns)
            sh("ip", "link", "add", "uplink", "netns", ns, "type", "veth", "peer", "name", f"p{host}",
               "netns", CORE)
            ns_exec(CORE, "sh", "-ec", f"ip link set p{host} master br0 up")
            ns_exec(ns, "sh", "-ec", f"""
                ip link set {tap} up; ip addr add 192.168.1.1/24 dev {tap}
                ip link set uplink up; ip addr add 100.64.0.{host}/24 dev uplink
                ip route add default via 100.64.0.1""")
            ns_exec(ns, "nft", RULES.format(rules='oifname "uplink" masquerade random'))
        for node in ("c", "d"):
            self.guests[node].sh(f"""ip addr add {PRIVATE}/24 dev eth1
                ip route add default via 192.168.1.1 dev eth1""")
        self.guests["s"].sh(f"""ip addr add {SERVER}/24 dev eth1
            ip route add default via 203.0.113.254""")

    def boot(self, n, name, taps):
        if n == 1:
            ns_exec(CORE, "sh", "-ec", "ip link add br0 type bridge; ip link set br0 up; "
                    "ip addr add 100.64.0.1/24 dev br0")
        for tap in (f"{name}0", *taps):
            sh("ip", "-n", CORE, "tuntap", "add", tap, "mode", "tap")
            sh("ip", "-n", CORE, "link", "set", tap, "up")
        sh("ip", "-n", CORE, "addr", "add", f"10.254.{n}.1/24", "dev", f"{name}0")
        if name == "s":
            for address in ("203.0.113.254/24", "203.0.113.253/24"):
                sh("ip", "-n", CORE, "addr", "add", address, "dev", "s1")
            ns_exec(CORE, "nft", RULES.format(rules="""
                ip saddr 100.64.0.0/24 oifname "s1" snat to 203.0.113.254 random
                ip saddr 192.168.2.0/24 oifname "s1" snat to 203.0.113.253 random"""))
        if name == "c":
            sh("ip", "-n", CORE, "addr", "add", "192.168.2.1/24", "dev", "c2")
        self.guests[name] = Guest(
            self.uml_run, self.where, CORE, f"{name}0", (f"10.254.{n}.2/24",), MODULES,
            f"l2tp-{name}", [(tap, ()) for tap in taps], "256M")

    def cable(self, on, interface, gateway):
        """Of c.  Its links stay up: User Mode Linux opens its TAP device again, where that no
        longer is."""
        if on:
            self.guests["c"].sh(f"""
                ip addr replace {gateway[:-1]}7/24 dev {interface}
                ip route replace default via {gateway} dev {interface} metric {interface[-1]}00""")
        else:
            self.guests["c"].sh(f"ip addr flush dev {interface}")

    # -- what runs in a guest ------------------------------------------------------------------

    def sojourn(self, node, text):
        conf = self.where / f"l2tp-{node}.conf"
        conf.write_text('control = "/run/sojourn.control"\n' + text)
        conf.chmod(0o600)
        self.guests[node].sh(f"""setsid {BUILD}/sojournd -c {conf} >/run/sojourn.log 2>&1 &
            echo $! >/run/sojourn.own""")
        self.wait(node, "status")

    def tell(self, node, what):
        return self.guests[node].call(
            "sh", script=f"{BUILD}/sojourn -s /run/sojourn.control {what}")

    def wait(self, node, what, pattern="", seconds=30):
        try:
            return wait_for(f"{node}: {what} {pattern}", lambda: (
                lambda a: a["rc"] == 0 and pattern in a["out"])(self.tell(node, what)), seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.logs(node)}")

    def logs(self, *nodes):
        return "\n".join(f"--- {n}\n" + self.guests[n].call("sh", script="tail -n 40 /run/sojourn.log "
                         "/run/xl2tpd.log /run/charon.log; ip -br addr; ip route; "
                         "cat /proc/net/pppol2tp; grep -v '[[:space:]]0$' /proc/net/xfrm_stat")["out"]
                         for n in nodes)

    def l2tp(self, node, text):
        conf = "/run/xl2tpd.conf"
        self.guests[node].sh(f"""mkdir -p /run/xl2tpd
            cat >/run/ppp.options <<'END'
{PPP_OPTIONS}END
            cat >{conf} <<'END'
{text}
END
            setsid xl2tpd -D -c {conf} -p /run/xl2tpd.pid -C /run/xl2tpd/control >/run/xl2tpd.log 2>&1 &""")

    def lns(self, first=10):
        self.l2tp("s", f"""[global]
listen-addr = {LNS}
[lns default]
ip range = 172.30.0.{first}-172.30.0.{first + 9}
local ip = {PPP_SERVER}
require authentication = no
pppoptfile = /run/ppp.options""")

    def lac(self, node, lns):
        self.l2tp(node, f"""[global]
[lac work]
lns = {lns}
autodial = yes
require authentication = no
pppoptfile = /run/ppp.options""")

    def ppp(self, node, seconds=30):
        """The client's address inside, once there is one."""
        def there():
            out = self.guests[node].call("sh", script="ip -4 -o addr show dev ppp0")["out"]
            return out.split()[3].split("/")[0] if "inet " in out and "peer" in out else None
        try:
            return wait_for(f"{node}: ppp0", there, seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.logs(node, 's')}")

    def end(self, *nodes):
        """Nothing of it runs any more."""
        for node in nodes:
            self.guests[node].call("sh", script="""
                for f in /run/xl2tpd.pid /run/sojourn.own /run/charon.own.pid; do
                    [ ! -e $f ] || { kill $(cat $f); rm -f $f; }
                done
                for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
                    pidof xl2tpd sojournd charon pppd >/dev/null || break
                    sleep 0.2
                done; true""")

    def pinged(self, node, source, target, count=3):
        return self.guests[node].call(
            "sh", script=f"ping -q -n -c {count} -i 0.2 -W 2 -I {source} {target}")["rc"] == 0
