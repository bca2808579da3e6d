# SPDX-License-Identifier: MIT
"""Transport and BEET mode with the Linux kernel's own IPsec: Sojourn as home server, the kernel as
terminal, for each family, native and in UDP.

In BEET mode both sides see the fixed addresses.  In transport mode the kernel sees the outer ones,
and Sojourn the fixed ones: each checksum on the wire must be right for the addresses that the
kernel has.
"""
import dataclasses
import threading

import pytest

from conftest import HOST, Daemon, inside, ping, sh
from kernel import REG_KEY, Case, connection, kernel_sa, outer, spi, stats
import transfer

SIZES = [0, 1, 56, 1000, 1300, 1450, 3000, 8000]
TRANSFER = 1 << 20
AGENTS = {4: "10.63.0.1", 6: "fd63::1"}


@dataclasses.dataclass
class ModeCase(Case):
    mode: str = "beet"
    inside: int = 4

    def __str__(self):
        return f"{self.mode}-inside{self.inside}-v{self.outer}-{'udp' if self.udp else 'esp'}"

    @property
    def home(self):
        """What Sojourn calls the kernel."""
        return f"10.63.{self.n}.2" if self.inside == 4 else f"fd63:{self.n}::2"

    @property
    def agent(self):
        return AGENTS[self.inside]

    def kernels(self):
        """What the kernel sees: (itself, us)."""
        ours, theirs = outer(self)
        return (self.home, self.agent) if self.mode == "beet" else (theirs, ours)


ALGS = ("aes128-cbc", "hmac-sha-256-128")
CASES = [
    ModeCase(21, *ALGS, 4, True, mode="beet", inside=4),
    ModeCase(22, *ALGS, 4, False, mode="beet", inside=4),
    ModeCase(23, *ALGS, 6, True, mode="beet", inside=6),
    ModeCase(24, *ALGS, 6, False, mode="beet", inside=6),
    ModeCase(25, *ALGS, 6, False, mode="beet", inside=4),
    ModeCase(26, *ALGS, 4, False, mode="beet", inside=6),
    ModeCase(27, *ALGS, 4, True, mode="transport", inside=4),
    ModeCase(28, *ALGS, 4, False, mode="transport", inside=4),
    ModeCase(29, *ALGS, 6, True, mode="transport", inside=6),
    ModeCase(30, *ALGS, 6, False, mode="transport", inside=6),
]


def kernel_half(case):
    """Two SAs and their policies.  In transport mode what carries them is between the same two
    addresses: it and the search for neighbours go beside."""
    ours, theirs = outer(case)
    me, other = case.kernels()
    script = "set -e\n"
    script += f"ip addr add {theirs}/{24 if case.outer == 4 else 64} dev eth0 " \
              f"{'nodad' if case.outer == 6 else ''}\n"
    for src, dst, way in ((ours, theirs, "to-kernel"), (theirs, ours, "to-us")):
        sa = kernel_sa(case, src, dst, spi(case, way), case.key(way)).rstrip()
        sa = sa.replace("mode tunnel flag af-unspec", f"mode {case.mode}")
        ends = (other, me) if way == "to-kernel" else (me, other)
        script += sa + f" sel src {ends[0]} dst {ends[1]}\n"
    tmpl = f"proto esp reqid {case.n} mode {case.mode}"
    script += f"""
        ip xfrm policy add dir out src {me} dst {other} priority 100 tmpl src {theirs} dst {ours} {tmpl}
        ip xfrm policy add dir in src {other} dst {me} priority 100 tmpl src {ours} dst {theirs} {tmpl}
    """
    if case.mode == "beet":
        return script + f"""
            ip addr add {me} dev lo {'nodad' if ':' in me else ''}
            ip route add {other} dev eth0 src {me} table {case.n}
            ip {'-6' if ':' in me else '-4'} rule add from {me} table {case.n}
        """
    beside = ["proto udp dport 4500"] if case.udp else []
    beside += [f"proto ipv6-icmp type {t}" for t in (135, 136)] if case.outer == 6 else []
    for what in beside:
        script += f"""
            ip xfrm policy add dir out src {me} dst {other} {what} priority 1 action allow
            ip xfrm policy add dir in src {other} dst {me} {what} priority 1 action allow
        """
    return script


@pytest.fixture(scope="module")
def server(guest, where):
    for agent in AGENTS.values():
        sh("ip", "-n", HOST, "addr", "add", agent, "dev", "lo", *(["nodad"] if ":" in agent else []))
    text = f"""
        role = home-server
        listen = {{ "10.9.0.1", "fd09::1" }}
        home-agent = {{ "{AGENTS[4]}", "{AGENTS[6]}" }}
    """
    for case in CASES:
        guest.sh(kernel_half(case))
        lead = f"""care-of = any
            mode = {case.mode}
            server = "{outer(case)[0]}" """
        text += f"""
            terminal t{case.n} {{
                home-address = "{case.home}"
                registration-spi = {300 + case.n}
                registration-key = "0x{REG_KEY}"
                connection c{case.n} {{ {connection(case, lead)} }}
            }}
        """
    daemon = Daemon(HOST, "modes", text, where)
    daemon.wait()
    yield daemon
    assert daemon.stop() == 0, daemon.log()
    for agent in AGENTS.values():
        sh("ip", "-n", HOST, "addr", "del", agent, "dev", "lo", check=False)


@pytest.fixture(scope="module", params=CASES, ids=str)
def peer(request, server, guest):
    """Registered."""
    case = request.param
    me, other = case.kernels()
    if case.inside == 4:
        reply = guest.call("register", home=case.home, agent=case.agent, care_of="10.9.0.99",
                           spi=300 + case.n, key=REG_KEY, lifetime=300, source=me, to=other)
        assert reply and reply["code"] == 0, f"{reply}\n{server.log()}{stats(guest)}"
    else:
        reply = guest.call("update", home=me, agent=other, sequence=7 + case.n)
        assert reply and reply["status"] == 0, f"{reply}\n{server.log()}{stats(guest)}"
    return case


def drops(server):
    harmless = {"no-binding", "dummy"}
    return {k: v for k, v in server.ask("counters")["drops"].items() if v and k not in harmless}


def test_pings(guest, peer, server):
    me, other = peer.kernels()
    lost = []
    for size in SIZES:
        if ping(HOST, peer.agent, peer.home, size, count=2, wait=2).returncode:
            lost.append(f"ours, {size} bytes")
    lost += guest.call("sh", script="".join(
        f"ping -q -n -c 2 -i 0.1 -W 2 -s {size} -I {me} {other} | grep -q ' 0% packet loss'"
        f" || echo 'of the kernel, {size} bytes'\n" for size in SIZES))["out"].splitlines()
    assert not lost, f"lost: {lost}\n{drops(server)}\n{server.log()}{stats(guest)}"


def test_tcp(guest, peer, server):
    me, other = peer.kernels()
    port = 8000 + peer.n
    guest.call("serve", address=me, port=port, size=TRANSFER)
    with inside(HOST):
        transfer.fetch(peer.agent, peer.home, port, TRANSFER)
        listener = transfer.listen(peer.agent, port + 100)
    thread = threading.Thread(target=transfer.serve, args=(listener, TRANSFER))
    thread.start()
    guest.call("fetch", source=me, address=other, port=port + 100, size=TRANSFER)
    thread.join(30)
    assert not thread.is_alive()


def test_udp(guest, peer, server):
    """Datagrams with a checksum, which the kernel verifies in native transport mode."""
    me, other = peer.kernels()
    port = 9000 + peer.n
    guest.call("echo", address=me, port=port)
    with inside(HOST):
        for size in (0, 1, 512, 1300, 5000):
            assert transfer.ask(peer.agent, peer.home, port, size), f"{size} bytes: {drops(server)}"
    script = f"cat /proc/net/snmp{'6' if peer.outer == 6 else ''} | grep -i udp"
    counts = guest.sh(script)
    assert "InCsumErrors" in counts
    if peer.outer == 6:
        bad = [line for line in counts.splitlines() if "InCsumErrors" in line]
        assert all(line.split()[1] == "0" for line in bad), counts
    else:
        head, values = (line.split() for line in counts.splitlines()[:2])
        assert values[head.index("InCsumErrors")] == "0", counts


def test_nothing_was_dropped(guest, server):
    assert not drops(server), drops(server)
    bad = [line for line in stats(guest).splitlines()
           if line.split()[0] in ("XfrmInStateModeError", "XfrmInStateSeqError", "XfrmInNoStates",
                                  "XfrmInNoPols", "XfrmInPolBlock", "XfrmInBufferError",
                                  "XfrmInHdrError", "XfrmInStateMismatch", "XfrmInTmplMismatch")]
    assert not bad, bad
