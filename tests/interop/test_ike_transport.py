# SPDX-License-Identifier: MIT
"""Transport mode by IKEv2 with strongSwan in a guest, whose kernel carries the traffic.

The kernel sees the outer addresses (behind a NAT its own private one), Sojourn's own stack the
client's fixed address and the home agent's; both verify their checksums.
"""
import contextlib
import threading

import pytest

from conftest import inside, ns_exec, ping, wait_for
from ground import CLIENT, GATEWAY, GW4, GW6, ROUTER, UML4, UML6
from ike_cases import CLIENT_ID, GATEWAY_ID, SECRET, Case, Credentials
from sojourn_ike import AGENTS, Sojourn, server_text, terminal_text
from test_ike_kernel import kernel, state  # noqa: F401 (a fixture)
import transfer

ESP = "aes128gcm16-x25519"
PORT = "local_ts = dynamic[udp/1701]\n            remote_ts = dynamic[udp/1701]"
SIZES = (0, 56, 1200, 1350, 3000)
TRANSFER = 1 << 20
NAT = """
table ip umlnat {
    chain post {
        type nat hook postrouting priority 100;
        iifname "uml" oifname "wan" masquerade random
    }
}
"""


@contextlib.contextmanager
def natted(on):
    if on:
        ns_exec(ROUTER, "nft", NAT)
    try:
        yield
    finally:
        ns_exec(ROUTER, "nft", "delete table ip umlnat", check=False)
        ns_exec(ROUTER, "conntrack", "-F", check=False)


def client_text(server, local, name="tr", ident=CLIENT_ID, ts=""):
    return f"""
connections {{
    {name} {{
        version = 2
        local_addrs = {local}
        remote_addrs = {server}
        proposals = aes256gcm16-prfsha384-ecp384
        mobike = no
        local {{ auth = psk
                id = {ident} }}
        remote {{ auth = psk
                 id = {GATEWAY_ID} }}
        children {{ {name} {{
            mode = transport
            esp_proposals = {ESP}
            {ts} }} }}
    }}
}}
secrets {{ ike-1 {{ secret = "{SECRET}" }} }}
"""


@pytest.fixture(scope="module")
def server(sojourn_ike, kernel, where, pki):
    case = Case("all", esp=ESP)
    none = Credentials(pki, case)
    text = server_text(case, none, terminal_lines=["mode = transport"])
    with Sojourn(GATEWAY, "transport", text, where) as made:
        yield made


def home_of(server, family):
    def found():
        homes = [b["home_address"] for b in server.ask("bindings")["bindings"] if b["connections"]]
        return [h for h in homes if (":" in h) == (family == 6)]
    return wait_for("a binding", found)[0]


def drops(server):
    harmless = {"no-binding", "dummy", "unknown-spi"}
    return {k: v for k, v in server.ask("counters")["drops"].items() if v and k not in harmless}


@pytest.mark.parametrize("family,nat", [(4, False), (4, True), (6, False)],
                         ids=["v4", "v4-nat", "v6"])
def test_client(server, kernel, family, nat):
    local, outer = (UML4, GW4) if family == 4 else (UML6, GW6)
    agent = AGENTS[family == 6]
    kernel.load(client_text(outer, local))
    with natted(nat):
        try:
            kernel.initiate("tr")
            child = kernel.child("tr")
            assert child["mode"].lower() == "transport", child
            assert (child.get("encap") == "yes") == nat
            connection, = server.ask("connections")["connections"]
            assert connection["mode"] == "transport"
            home = home_of(server, family)
            check(server, kernel, local, outer, agent, home)
            kernel.rekey(child="tr")
            server.cli("rekey", "alice")
            kernel.rekey(ike="tr")
            check(server, kernel, local, outer, agent, home)
            assert not drops(server), drops(server)
            kernel.terminate("tr")
            server.wait_sas(0)
        finally:
            kernel.forget()


def check(server, kernel, local, outer, agent, home):
    lost = kernel.guest.call("sh", script="".join(
        f"ping -q -n -c 1 -W 2 -s {size} -I {local} {outer} >/dev/null || echo 'theirs {size}'\n"
        for size in SIZES))["out"].splitlines()
    lost += [f"ours {size}" for size in SIZES
             if ping(GATEWAY, agent, home, size, wait=2).returncode]
    assert not lost, f"{lost}\n{drops(server)}\n{server.tail()}\n{state(kernel)}"
    port = check.port = check.port + 1
    kernel.guest.call("serve", address=local, port=port, size=TRANSFER)
    with inside(GATEWAY):
        transfer.fetch(agent, home, port, TRANSFER)
        listener = transfer.listen(agent, port)
    thread = threading.Thread(target=transfer.serve, args=(listener, TRANSFER))
    thread.start()
    kernel.guest.call("fetch", source=local, address=outer, port=port, size=TRANSFER)
    thread.join(30)
    assert not thread.is_alive()


check.port = 8100


def test_one_port(server, kernel):
    """RFC 3193's selectors: UDP 1701 alone.  The narrowed ones say so."""
    kernel.load(client_text(GW4, UML4, ts=PORT))
    try:
        kernel.initiate("tr")
        child = kernel.child("tr")
        assert child["local-ts"] == [f"{UML4}/32[udp/l2f]"] and \
            child["remote-ts"] == [f"{GW4}/32[udp/l2f]"], child
        kernel.guest.call("echo", address=UML4, port=1701)
        with inside(GATEWAY):
            assert transfer.ask(AGENTS[0], home_of(server, 4), 1701, 700, 1701)
        kernel.terminate("tr")
        server.wait_sas(0)
    finally:
        kernel.forget()


def test_tunnel_where_transport_is_meant(server, kernel):
    """A client that asks for a tunnel to the outer addresses gets none: nothing would be its own."""
    kernel.load(client_text(GW4, UML4).replace("mode = transport", "mode = tunnel"))
    try:
        assert "TS_UNACCEPT" in kernel.refused("tr")
    finally:
        kernel.forget()


HOME, AGENT = "10.66.0.7", "10.66.0.1"


@pytest.mark.parametrize("way", ["open", "nat"])
def test_terminal(sojourn_ike, kernel, ground, where, pki, way):
    """Sojourn as client of strongSwan's gateway: the host it talks with is the gateway itself, under
    a fixed address that only the client knows.  Behind its NAT it has the address of the tests' own
    words to the guest, so there it is UDP 1701 alone."""
    case = Case("gateway", esp=ESP)
    ts = "" if way == "open" else PORT
    kernel.load(client_text("%any", UML4, ts=ts).replace(f"id = {CLIENT_ID}", "id = SWAP").replace(
        f"id = {GATEWAY_ID}", f"id = {CLIENT_ID}").replace("id = SWAP", f"id = {GATEWAY_ID}"))
    ground.use(way)
    mark = kernel.mark()
    text = terminal_text(case, Credentials(pki, case), server=UML4,
                         ike_lines=["mode = transport", "encapsulation = auto"],
                         lines=[f'home-address = "{HOME}"', f'home-agent = "{AGENT}"'],
                         routes=(f"{AGENT}/32",))
    try:
        with Sojourn(CLIENT, "transport", text, where) as terminal:
            kernel.wait("child-updown", lambda m: m.get("up") == "yes", mark)
            terminal.wait_sas(1)
            assert kernel.child()["mode"].lower() == "transport"
            assert (kernel.child().get("encap") == "yes") == (way == "nat")
            if way == "nat":
                kernel.guest.call("echo", address=UML4, port=1701)
                with inside(CLIENT):
                    for size in (1, 512, 1300, 3000):
                        assert transfer.ask(HOME, AGENT, 1701, size, 1701), terminal.tail()
                return
            for size in SIZES:
                assert ping(CLIENT, HOME, AGENT, size, wait=2).returncode == 0, \
                    f"{size}\n{terminal.tail()}\n{state(kernel)}"
            port = check.port = check.port + 1
            kernel.guest.call("serve", address=UML4, port=port, size=TRANSFER)
            with inside(CLIENT):
                transfer.fetch(HOME, AGENT, port, TRANSFER)
            kernel.rekey(child="tr")
            assert ping(CLIENT, HOME, AGENT, count=3, wait=2).returncode == 0, terminal.tail()
    finally:
        kernel.forget()
