# SPDX-License-Identifier: MIT
"""OpenIKED in a guest (openiked.py), in both roles, with a secret and with certificates: addresses,
traffic, rekeying, the end.  No moves: its SAs stay where PF_KEY put them.
"""
import dataclasses

import pytest

from conftest import Guest, ping, wait_for
import ground as g
from ground import CLIENT, GATEWAY, ROUTER, UML4, UML6, X4, Y4
import ike_cases
from ike_cases import AUTHENTICATION, Credentials
import openiked
from openiked import Iked
from sojourn_ike import AGENTS, Sojourn, server_text, terminal_text

CASES = [dataclasses.replace(c, ike=openiked.IKE, esp=openiked.ESP)
         for c in AUTHENTICATION if c.name in ("psk", "ecdsa-256")]


@pytest.fixture(scope="module")
def guest(sojourn_ike, uml_run, ground_of_module, where):
    if openiked.missing():
        pytest.skip(openiked.missing())
    made = Guest(uml_run, where, ROUTER, "uml", (f"{UML4}/24", f"{UML6}/64"), openiked.MODULES,
                 "iked-guest")
    try:
        made.sh(f"""set -e
            ip route add default via {g.UML4_VIA}
            ip addr add {Y4}/32 dev lo""")
        for agent in AGENTS:
            ground_of_module.add(GATEWAY, "lo", agent)
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("case,encapsulation", zip(CASES, ("udp", "auto")), ids=str)
def test_iked_as_gateway(guest, ground, where, pki, case, encapsulation):
    credentials = Credentials(pki, case)
    text = terminal_text(case, credentials, server=UML4, routes=("10.4.0.0/24",),
                         ike_lines=[f"encapsulation = {encapsulation}"])
    with Iked(guest, where, openiked.gateway(case), credentials.gateway,
              credentials.client_root) as iked, Sojourn(CLIENT, "iked-s", text, where) as terminal:
        try:
            terminal.wait_sas(1)
            home = wait_for("a home address", lambda: (terminal.homes() or [None])[0])
            wait_for(f"{Y4} answers", lambda: ping(CLIENT, home, Y4).returncode == 0)
            for _ in range(2):
                terminal.cli("rekey", terminal.sas()[0]["peer"])
                terminal.wait_sas(1)
                wait_for(f"{Y4} answers", lambda: ping(CLIENT, home, Y4).returncode == 0)
                assert ping(CLIENT, home, Y4, 1000, count=5).returncode == 0
        except Exception as e:
            raise AssertionError(f"{e}\n{terminal.tail()}\n--- iked\n{iked.log()[-6000:]}")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_iked_as_client(guest, where, pki, case):
    credentials = Credentials(pki, case)
    with Sojourn(GATEWAY, "of-iked", server_text(case, credentials), where) as server, \
            Iked(guest, where, openiked.client(case), credentials.client,
                 credentials.gateway_root) as iked:
        try:
            server.wait_sas(1, 20)
            home = iked.wait_log(r"obtained lease: (\S+)")[-1]
            assert home.startswith(ike_cases.POOL4.rsplit(".", 1)[0])

            def pinged():
                return guest.call("sh", script=f"ping -q -n -c 3 -i 0.1 -W 1 -I {home} {X4}"
                                  )["rc"] == 0
            wait_for(f"{X4} answers", pinged)
            for _ in range(2):
                server.cli("rekey", "alice")
                server.wait_sas(1)
                wait_for(f"{X4} answers", pinged)
                assert ping(GATEWAY, X4, home, 1000, count=5).returncode == 0
        except Exception as e:
            raise AssertionError(f"{e}\n{server.tail()}\n--- iked\n{iked.log()[-6000:]}")
