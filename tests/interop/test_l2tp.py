# SPDX-License-Identifier: MIT
"""L2TP over transport mode (RFC 3193) with the system's own daemons: xl2tpd and pppd, which never
notice where a client is (l2tp.py has the world, doc/l2tp.md the whole story).
"""
import hashlib
import shutil

import pytest

from conftest import wait_for
import l2tp
from l2tp import LNS, PPP_SERVER, PRIVATE, SERVER
from strongswan import CHARON, PLUGINS, SETTINGS

HOME = "10.64.1.2"
GATEWAY_ID, SECRET = "gateway.sojourn.test", "a shared secret of tests"

pytestmark = pytest.mark.skipif(not shutil.which("xl2tpd", path="/usr/sbin") or
                                not shutil.which("pppd", path="/usr/sbin"),
                                reason="xl2tpd and ppp are not installed")


@pytest.fixture(scope="module")
def world(uml_run, where):
    with l2tp.World(uml_run, where) as made:
        yield made


def key(what, size=48):
    return "0x" + hashlib.shake_128(f"l2tp {what}".encode()).hexdigest(size)


def connection(name, n, client):
    ins, outs = ("down", "up") if client else ("up", "down")
    spi = {"up": 0x4000 + n, "down": 0x5000 + n}
    where = f"""interface = eth{n}
            server = "{SERVER}" """ if client else ""
    return f"""connection {name} {{
            {where}
            mode = transport
            cipher = aes128-cbc
            integrity = hmac-sha-256-128
            spi-in = {spi[ins]:#x}
            key-in = "{key(f'{n} {ins}')}"
            spi-out = {spi[outs]:#x}
            key-out = "{key(f'{n} {outs}')}"
        }}
"""


REGISTRATION = f"""
        home-address = "{HOME}"
        registration-spi = 300
        registration-key = "{key('registration', 32)}"
"""
SERVER_TEXT = f"""
role = home-server
listen = "{SERVER}"
home-agent = "{LNS}"
ike {{ id = "{GATEWAY_ID}" }}
pool l2tp {{ address = "10.64.9.0/24" }}
terminal c {{ {REGISTRATION}
        {connection("first", 1, False)} {connection("second", 2, False)} }}
terminal stock {{
        id = "%any"
        mode = transport
        pool = l2tp
        secret = "{SECRET}"
}}
"""
CLIENT_TEXT = f"""
role = terminal
home-agent = "{LNS}"
{REGISTRATION}
{connection("first", 1, True)}
{connection("second", 2, True)}
"""


@pytest.fixture
def server(world):
    world.sojourn("s", SERVER_TEXT)
    world.lns()
    yield world
    world.end("c", "d", "s")


def finished(world, node, name, others=("s",)):
    try:
        return wait_for("the end of the transfer",
                        lambda: world.guests[node].call("result", what=name), 60)
    except AssertionError as e:
        raise AssertionError(f"{e}\n{world.logs(node, *others)}")


def test_moves_under_ppp(world, server):
    """One PPP session and one TCP connection in it, while the client goes to another network and
    back, breaking before it makes."""
    world.sojourn("c", CLIENT_TEXT)
    world.wait("c", "connections --json", '"active"')
    world.lac("c", LNS)
    address = world.ppp("c")
    guest = world.guests["c"]
    pppd = guest.sh("pidof pppd")
    assert world.pinged("c", address, PPP_SERVER)
    world.guests["s"].call("pour", address=PPP_SERVER, port=8000, seconds=14, rate=200_000)
    guest.call("drink", what="transfer", source=address, address=PPP_SERVER, port=8000)
    for on, off, gateway, active in (("eth2", "eth1", "192.168.2.1", "second"),
                                     ("eth1", "eth2", "192.168.1.1", "first")):
        world.cable(False, off, "")
        world.cable(True, on, gateway)
        world.wait("c", "status --json", f'"{active}"')
        assert world.pinged("c", address, PPP_SERVER), world.logs("c", "s")
    got = finished(world, "c", "transfer")
    assert got.get("whole") and got["bytes"] > 1_000_000, got
    assert got["longest_s"] < 4, got
    assert guest.sh("pidof pppd") == pppd, "another PPP session"
    assert guest.call("sh", script="grep -c 'Connection.*closed\\|Terminat' /run/xl2tpd.log")["out"].strip() == "0"
    # The server's xl2tpd sees one client, under its fixed address.
    assert f"{HOME}" in world.guests["s"].sh("cat /run/xl2tpd.log")


def charon(world, node):
    conf = world.where / f"l2tp-strongswan-{node}.conf"
    conf.write_text(SETTINGS % {"dir": "/run", "plugins": " ".join(PLUGINS), "log": "/run/charon.log",
                                "socket": "unix:///run/charon.vici", "settings": "", "ike_level": 1})
    swan = world.where / f"l2tp-swanctl-{node}.conf"
    # As a stock client is: its name is its (private) address.
    swan.write_text(f"""
connections {{ l2tp {{
    version = 2
    local_addrs = {PRIVATE}
    remote_addrs = {SERVER}
    proposals = aes256-sha256-x25519
    local {{ auth = psk }}
    remote {{ auth = psk
             id = {GATEWAY_ID} }}
    children {{ l2tp {{
        mode = transport
        local_ts = dynamic[udp/1701]
        remote_ts = dynamic[udp/1701]
        esp_proposals = aes128gcm16-x25519 }} }}
}} }}
secrets {{ ike-1 {{ secret = "{SECRET}" }} }}
""")
    world.guests[node].sh(f"""export STRONGSWAN_CONF={conf}
        setsid {CHARON} >/run/charon.out 2>&1 &
        echo $! >/run/charon.own.pid
        for i in $(seq 100); do [ -S /run/charon.vici ] && break; sleep 0.1; done
        swanctl --load-all --noprompt --file {swan} --uri unix:///run/charon.vici
        swanctl --initiate --child l2tp --timeout 10 --uri unix:///run/charon.vici""")


def test_stock_clients_with_one_address(world, server):
    """strongSwan and xl2tpd, twice, behind one NAT with one private address: both work at once."""
    addresses = {}
    for node in ("c", "d"):
        try:
            charon(world, node)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{world.logs(node, 's')}")
        world.lac(node, SERVER)
        addresses[node] = world.ppp(node)
    assert len(set(addresses.values())) == 2, addresses
    for n, (node, address) in enumerate(addresses.items()):
        world.guests["s"].call("pour", address=PPP_SERVER, port=8100 + n, seconds=4, rate=200_000)
        world.guests[node].call("drink", what="both", source=address, address=PPP_SERVER,
                                port=8100 + n)
    for node, address in addresses.items():
        assert world.pinged(node, address, PPP_SERVER), world.logs(node, "s")
        got = finished(world, node, "both")
        assert got.get("whole") and got["bytes"] > 500_000, (got, world.logs(node, "s"))
    homes = [line for line in world.tell("s", "bindings")["out"].splitlines() if "10.64.9." in line]
    assert len(homes) == 2, homes
