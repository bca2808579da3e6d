# SPDX-License-Identifier: MIT
"""Sojourn as terminal, the Linux kernel at the other end of the tunnel: a home agent written from
RFC 5944 and RFC 6275 alone answers the registrations that come through it.
"""
import time

import pytest

from conftest import HOST, TAP, Daemon, ping, wait_for
from kernel import (REG_KEY, Case, check_pings, check_transfers, connection, kernel_tunnel, needs,
                    outer, stats)
import rfc5944

# Every cipher, every integrity algorithm; native and in UDP,
# over both families.
CASES = [
    Case(1, "aes128-cbc", "hmac-sha-256-128", 4, True),
    Case(2, "aes256-cbc", "hmac-sha-512-256", 4, False),
    Case(3, "null", "hmac-sha-384-192", 6, True, window=0),
    Case(4, "aes128-cbc", "hmac-sha-1-96", 6, False),
    Case(5, "aes128-cbc", "hmac-sha-256-128", 4, True, skew_s=3600),
    Case(6, "null", "hmac-sha-256-128", 4, False, protocol="ah"),
    Case(7, "null", "hmac-sha-384-192", 6, False, protocol="ah", window=0),
    Case(8, "null", "hmac-sha-1-96", 4, False, protocol="ah"),
    Case(9, "aes128-cbc", "hmac-sha-256-128", 4, False, protocol="ah+esp"),
    Case(10, "aes256-cbc", "hmac-sha-512-256", 6, False, protocol="ah+esp"),
]


class Terminal:
    def __init__(self, guest, case, where):
        self.case = case
        self.homes = [f"10.60.{case.n}.2", f"fd60:{case.n}::2"]
        self.agents = [f"10.60.{case.n}.1", f"fd60:{case.n}::1"]
        guest.sh(kernel_tunnel(case, self.agents, self.homes))
        guest.call("home_agent", address=self.agents[0], homes=self.homes, spi=300, key=REG_KEY,
                   skew_s=case.skew_s)
        guest.call("home_agent6", address=self.agents[1], homes=self.homes)
        lead = f"""interface = "{TAP}"
        server = "{outer(case)[1]}" """
        self.daemon = Daemon(HOST, f"terminal-{case.n}", f"""
            role = terminal
            home-address = {{ "{self.homes[0]}", "{self.homes[1]}" }}
            home-agent = {{ "{self.agents[0]}", "{self.agents[1]}" }}
            registration-spi = 300
            registration-key = "0x{REG_KEY}"
            routes = {{ "{self.agents[0]}/32", "{self.agents[1]}/128" }}
            connection kernel {{ {connection(case, lead)} }}
        """, where)


@pytest.fixture(scope="module", params=CASES, ids=str)
def terminal(request, guest, where):
    t = Terminal(guest, request.param, where)
    yield t
    assert t.daemon.stop() == 0, t.daemon.log()


def test_terminal_registers_ipv4(guest, terminal):
    """Our request is what RFC 5944 says, to someone who knows only the RFC."""
    needs(terminal.case, terminal.homes[0])
    def accepted():
        seen = guest.call("seen", address=terminal.agents[0])
        return seen if any(r.get("code") == 0 for r in seen) else None
    try:
        seen = wait_for("an accepted registration", accepted)
    except AssertionError as e:
        raise AssertionError(f"{e}: {guest.call('seen', address=terminal.agents[0])}\n"
                             + terminal.daemon.log() + stats(guest))
    assert not [r for r in seen if "fault" in r], seen
    good = [r for r in seen if r["code"] == 0][0]
    assert good["home"] == terminal.homes[0] and good["agent"] == terminal.agents[0]
    assert good["flags"] & 0x20, "a co-located care-of address sets D"
    assert not good["flags"] & 0x05, "reserved bits are 0"
    assert 0 < good["lifetime"] <= 65535
    if terminal.case.outer == 4:
        assert good["care_of"] == "10.9.0.1"
    if terminal.case.skew_s:    # 5.7.1: denied, then in step with the home agent's clock
        assert seen[0]["code"] == 133
        assert abs(rfc5944.seconds_of(good["ident"]) - time.time() - terminal.case.skew_s) < 7


def test_terminal_registers_ipv6(guest, terminal):
    needs(terminal.case, terminal.homes[1])
    def accepted():
        seen = guest.call("seen", address=terminal.agents[1])
        return seen if any(r.get("code") == 0 for r in seen) else None
    try:
        seen = wait_for("an accepted Binding Update", accepted)
    except AssertionError as e:
        raise AssertionError(f"{e}: {guest.call('seen', address=terminal.agents[1])}\n"
                             + terminal.daemon.log())
    assert not [r for r in seen if "fault" in r], seen
    good = [r for r in seen if r["code"] == 0][0]
    assert good["home"] == terminal.homes[1]
    assert good["flags"] & 0xc000 == 0xc000, "a home registration sets A and H"


def test_terminal_pings(guest, terminal):
    check_pings(guest, terminal.case, terminal.homes, terminal.agents, terminal.daemon)


def test_terminal_tcp(guest, terminal):
    check_transfers(guest, terminal.homes, terminal.agents, terminal.case)


@pytest.mark.parametrize("terminal", CASES[:1], indirect=True, ids=str)
def test_terminal_stays(guest, terminal):
    """A peer that answers no probe is still served after a while of silence."""
    def heard():
        connection, = terminal.daemon.ask("connections")["connections"]
        return connection["rx"]["packets"]
    before = heard()
    wait_for("probes in vain, then a registration again", lambda: heard() > before)
    for ours, kernels in zip(terminal.homes, terminal.agents):
        assert ping(HOST, ours, kernels, count=3, wait=2).returncode == 0, terminal.daemon.log()
