# SPDX-License-Identifier: MIT
"""Transport and BEET mode with the Linux kernel's own IPsec, Sojourn as terminal: the other way
round than in test_kernel_modes.py.
"""
import dataclasses

import pytest

from conftest import TAP, HOST, Daemon, inside, ping, wait_for
from kernel import REG_KEY, connection, outer
from test_kernel_modes import ALGS, SIZES, TRANSFER, ModeCase, kernel_half
import transfer

TERMINALS = [
    ModeCase(31, *ALGS, 4, True, mode="beet", inside=4),
    ModeCase(32, *ALGS, 4, False, mode="beet", inside=6),
    ModeCase(33, *ALGS, 6, False, mode="transport", inside=6),
]


class Turned(ModeCase):
    """The kernel is the home server: the fixed addresses change sides."""

    def kernels(self):
        ours, theirs = outer(self)
        return (self.agent, self.home) if self.mode == "beet" else (theirs, ours)

    @property
    def agent(self):
        return f"10.64.{self.n}.1" if self.inside == 4 else f"fd64:{self.n}::1"


@pytest.mark.parametrize("case", TERMINALS, ids=str)
def test_terminal(guest, where, case):
    case = Turned(**dataclasses.asdict(case))
    ours, theirs = outer(case)
    me, other = case.kernels()
    guest.sh(kernel_half(case))
    if case.inside == 4:
        guest.call("home_agent", address=me, homes=[other], spi=300, key=REG_KEY)
    else:
        guest.call("home_agent6", address=me, homes=[other])
    lead = f"""interface = "{TAP}"
        mode = {case.mode}
        server = "{theirs}" """
    daemon = Daemon(HOST, f"mode-terminal-{case.n}", f"""
        role = terminal
        home-address = "{case.home}"
        home-agent = "{case.agent}"
        registration-spi = 300
        registration-key = "0x{REG_KEY}"
        connection kernel {{ {connection(case, lead)} }}
    """, where)
    try:
        try:
            wait_for("a registration", lambda: any(r.get("code") == 0 for r in
                                                   guest.call("seen", address=me)))
        except AssertionError as e:
            raise AssertionError(f"{e}: {guest.call('seen', address=me)}\n{daemon.log()}")
        for size in SIZES:
            assert ping(HOST, case.home, case.agent, size, count=2, wait=2).returncode == 0, size
        guest.call("serve", address=me, port=8300 + case.n, size=TRANSFER)
        with inside(HOST):
            transfer.fetch(case.home, case.agent, 8300 + case.n, TRANSFER)
    finally:
        assert daemon.stop() == 0, daemon.log()
