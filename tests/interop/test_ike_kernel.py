# SPDX-License-Identifier: MIT
"""strongSwan in a guest, whose kernel carries the traffic (User Mode Linux): in both roles, with
extended sequence numbers, which charon's own ESP lacks; over ESP without UDP where there is no NAT.
"""
import pytest

from conftest import Guest, ping, wait_for
import ground as g
from ground import CLIENT, GATEWAY, GW4, ROUTER, UML4, UML6, X4, X6, Y4, Y6
from ike_cases import AUTHENTICATION, Case, Credentials, strongswan_client, strongswan_gateway
from sojourn_ike import Sojourn, server_text, terminal_text
from strongswan import Charon, KernelCharon

BY_NAME = {c.name: c for c in AUTHENTICATION}
ESP = ["aes256gcm16-x25519-esn", "chacha20poly1305-esn", "aes128-sha256-ecp256-esn",
       "aes192-sha384-noesn", "aes128gmac-esn", "aes256gmac-noesn", "null-sha256-esn"]
SIZES = (0, 56, 1200, 1372, 1450, 3000)
BAD = ("XfrmInError", "XfrmInHdrError", "XfrmInStateProtoError", "XfrmInStateModeError",
       "XfrmInStateSeqError", "XfrmInNoPols", "XfrmInPolBlock", "XfrmInTmplMismatch")


@pytest.fixture(scope="module")
def kernel(strongswan, uml_run, ground_of_module, where):
    """charon in the guest; its own ESP is the kernel's."""
    guest = Guest(uml_run, where, ROUTER, "uml", (f"{UML4}/24", f"{UML6}/64"),
                  "esp4,esp6,ah4,ah6,xfrm_user", "ike-guest")
    try:
        guest.sh(f"""set -e
            ip route add default via {g.UML4_VIA}
            ip -6 route add default via {g.UML6_VIA}
            ip addr add {Y4}/32 dev lo
            ip addr add {Y6}/128 dev lo nodad""")
        for agent in ("10.61.0.1", "fd61::1"):
            ground_of_module.add(GATEWAY, "lo", agent)
        with KernelCharon(guest, "kernel", where) as charon:
            yield charon
    finally:
        guest.stop()


def stats(kernel):
    out = kernel.guest.sh("cat /proc/net/xfrm_stat")
    return {name: int(n) for name, n in (line.split() for line in out.splitlines())}


def state(kernel):
    """What its kernel does with packets, for a failure's message."""
    return kernel.guest.sh("ip -s xfrm state; ip xfrm policy; "
                           "grep -v '[[:space:]]0$' /proc/net/xfrm_stat || :")


def pinged(kernel, vips, there, sizes=SIZES):
    """Each size, in both families, from the guest; those that got lost."""
    script = "".join(f"ping -q -n -c 1 -W 2 -s {size} -I {vip} {to} >/dev/null"
                     f" || echo {vip} {to} {size}\n"
                     for vip, to in zip(vips, there) for size in sizes)
    return kernel.guest.call("sh", script=script)["out"].splitlines()


def test_the_guest_itself(kernel, where, pki):
    """charon there against charon here: the instrument works."""
    case = BY_NAME["psk"]
    none = Credentials(pki, case)
    with Charon(GATEWAY, "for-the-guest", where) as gateway:
        gateway.load(strongswan_gateway(case, none))
        kernel.load(strongswan_client(case, none))
        kernel.initiate("net")
        assert not pinged(kernel, kernel.sa()["local-vips"], (X4, X6))
        kernel.terminate("net")


@pytest.fixture
def clients(kernel, pki):
    """Its configuration as c0, c1, ...; another test may have put one of its own in its place."""
    none = Credentials(pki, Case("all"))
    kernel.load("".join(strongswan_client(Case(e, esp=e), none, name=f"c{n}")
                        for n, e in enumerate(ESP)))


@pytest.fixture(scope="module")
def server(sojourn_ike, kernel, where, pki):
    case = Case("all", esp=", ".join(ESP))
    none = Credentials(pki, case)
    with Sojourn(GATEWAY, "for-the-kernel", server_text(case, none), where) as made:
        yield made


@pytest.mark.parametrize("n,esp", list(enumerate(ESP)), ids=ESP)
def test_kernel_as_client(server, kernel, clients, ground, n, esp):
    before = stats(kernel)
    name = f"c{n}"
    try:
        kernel.initiate(name)
    except Exception as e:
        raise AssertionError(f"{e}\n{server.tail()}")
    try:
        vips = kernel.sa(name)["local-vips"]
        assert not pinged(kernel, vips, (X4, X6)), server.tail()
        child = kernel.child(name)
        assert child.get("esn", "no") == ("no" if "noesn" in esp else "1"), child
        assert child.get("encap") != "yes", "ESP in UDP though there is no NAT"
        # From this side, while both rekey.
        pings = [g.spawn(GATEWAY, "ping", "-q", "-c", "60", "-i", "0.02", "-I", x, vip)
                 for x, vip in zip((X4, X6), vips)]
        kernel.rekey(child=name)
        server.cli("rekey", "alice")
        kernel.rekey(ike=name)
        assert [p.wait(20) for p in pings] == [0, 0], server.tail()
        assert not pinged(kernel, vips, (X4, X6), (1200,)), server.tail()
        kernel.terminate(name)
        server.wait_sas(0)
    finally:
        kernel.forget()
    after = stats(kernel)
    assert not {k for k in BAD if after[k] != before[k]}, (before, after)


def test_kernel_moves_on_our_server(server, kernel, clients):
    """The guest's address changes under an IKE SA; MOBIKE tells the server."""
    fresh = "203.0.114.9"
    kernel.guest.sh(f"""set -e
        ip addr add {fresh}/24 dev eth0
        ip route add {GW4} via {g.UML4_VIA} src {fresh}""")
    try:
        kernel.initiate("c0")
        vips = kernel.sa("c0")["local-vips"]
        assert kernel.sa("c0")["local-host"] == fresh
        mark = kernel.mark()
        kernel.guest.sh(f"ip addr del {fresh}/24 dev eth0; ip route del {GW4} || :")
        kernel.wait_log(r"UPD_SA_ADDR", mark)
        wait_for("pings after the move", lambda: not pinged(kernel, vips, (X4, X6), (56,)))
        assert fresh not in server.sas()[0]["remote"], server.sas()
    finally:
        kernel.guest.sh(f"ip route del {GW4} || :; ip addr del {fresh}/24 dev eth0 || :")
        kernel.forget()


@pytest.mark.parametrize("esp,way,encapsulation", [
    ("aes256gcm16-esn", "open", "auto"), ("aes128-sha256-esn", "six", "auto"),
    ("chacha20poly1305-esn", "nat", "auto"), ("aes128gcm16-esn", "open", "udp"),
    ("aes192gmac-esn", "open", "auto"), ("aes256gmac-esn", "nat", "auto"),
    ("null-sha384-esn", "six", "auto"),
], ids=str)
def test_kernel_as_gateway(sojourn_ike, kernel, ground, where, pki, esp, way, encapsulation):
    case = Case("gateway", esp=esp)
    none = Credentials(pki, case)
    kernel.load(strongswan_gateway(case, none, local=f"{UML4}, {UML6}", inside=(Y4, Y6)))
    ground.use(way)
    mark = kernel.mark()
    before = stats(kernel)
    text = terminal_text(case, none, server=UML6 if way == "six" else UML4,
                         routes=("10.4.0.0/24", "fd04::/64"),
                         ike_lines=[f"encapsulation = {encapsulation}"])
    with Sojourn(CLIENT, "at-the-kernel", text, where) as terminal:
        kernel.wait("child-updown", lambda m: m.get("up") == "yes", mark)
        vips = kernel.sa()["remote-vips"]
        terminal.wait_sas(1)
        child = kernel.child()
        assert child.get("esn", "no") == "1", child
        assert (child.get("encap") == "yes") == (way == "nat" or encapsulation == "udp"), child
        pings = [g.spawn(CLIENT, "ping", "-q", "-c", "60", "-i", "0.02", "-I", vip, y)
                 for vip, y in zip(vips, (Y4, Y6))]
        kernel.rekey(child="net")
        kernel.rekey(ike="net")
        assert [p.wait(20) for p in pings] == [0, 0], terminal.tail()
        for vip, y in zip(vips, (Y4, Y6)):
            for size in SIZES:
                assert ping(CLIENT, vip, y, size, wait=2).returncode == 0, (y, size)
        assert not pinged(kernel, (Y4, Y6), vips), terminal.tail()
    kernel.forget()
    after = stats(kernel)
    assert not {k for k in BAD if after[k] != before[k]}, (before, after)


def test_terminal_moves_at_the_kernel(sojourn_ike, kernel, ground, where, pki):
    """The kernel's SAs change between ESP in UDP and ESP, and from IPv4 to IPv6.  Not back: then
    the policies that charon leaves for IPv6 inside fit none of its SAs (XfrmInTmplMismatch)."""
    case = Case("moving", esp="aes128gcm16-esn")
    none = Credentials(pki, case)
    kernel.load(strongswan_gateway(case, none, local=f"{UML4}, {UML6}", inside=(Y4, Y6)))
    ground.use("nat")
    mark = kernel.mark()
    text = terminal_text(case, none, server=f"{UML4}, {UML6}",
                         routes=("10.4.0.0/24", "fd04::/64"), ike_lines=["encapsulation = auto"])
    with Sojourn(CLIENT, "moving", text, where) as terminal:
        kernel.wait("child-updown", lambda m: m.get("up") == "yes", mark)
        spi = kernel.sa()["initiator-spi"]
        vips = kernel.sa()["remote-vips"]
        for way in ("open", "nat", "six"):
            ground.use(way)
            for vip, y in zip(vips, (Y4, Y6)):
                try:
                    wait_for(f"{y} over {way}", lambda: ping(CLIENT, vip, y).returncode == 0)
                except AssertionError as e:
                    raise AssertionError(f"{e}\n{terminal.tail()}\n{state(kernel)}")
            assert not pinged(kernel, (Y4, Y6), vips, (56, 1450)), f"{way}\n{terminal.tail()}"
            assert kernel.sa()["initiator-spi"] == spi
    kernel.forget()
