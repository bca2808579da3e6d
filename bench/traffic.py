# SPDX-License-Identifier: MIT
"""What is sent through a tunnel to measure it, the same for all subjects."""
import itertools
import json
import signal
import subprocess
import time

from lab import TOOLS, wait_for

IP_UDP = 28             # octets of both headers
LOSS_MAX, LOSS_HOPELESS = 0.005, 0.05
STEP, STEP_AGAIN = 1.25, 1.1  # of the search, when nothing is known, and later
STEPS_MAX = 20
PRECISION = 1.03        # of the rate
PPS_MAX = 4_000_000
DRAIN_S = 0.05          # more than any queue holds
UDP_PORT = 5300
_tags = itertools.count(1)


class Result:
    """payload: octets that came, seconds: it took, cpu_s: of the subject's processes."""

    def __init__(self, payload, seconds, cpu_s):
        self.gbit_s = payload * 8 / seconds / 1e9
        self.cpu_s_per_gib = cpu_s * 2**30 / payload if payload else float("inf")


class Tcp:
    """iperf3 between the inner addresses of a peer; its server stays."""

    def __init__(self, peer):
        self.peer, self.lab = peer, peer.lab
        self.lab.start("server", "iperf3", "iperf3", "-s", "-B", peer.inner["server"])
        wait_for("iperf3's start", lambda: ":5201" in self.lab.run("server", "ss", "-Htln"))

    def measure(self, flows, down, seconds):
        inner = self.peer.inner
        before = self.peer.cpu_s()
        out = self.lab.run("terminal", "iperf3", "-J", "-c", inner["server"], "-B",
                           inner["terminal"], "-t", str(seconds), "-P", str(flows),
                           *(["-R"] if down else []), timeout=seconds + 30)
        cpu = self.peer.cpu_s() - before
        came = json.loads(out)["end"]["sum_received"]
        return Result(came["bytes"], came["seconds"], cpu)


class Trial(Result):
    """One rate of datagrams, for a time: what came of it.  Octets are those of IP packets."""

    def __init__(self, peer, size, down, pps, seconds):
        lab, inner, tag = peer.lab, peer.inner, next(_tags)
        source, target = ROLES_OF[down]
        receiver = subprocess.Popen(
            lab.within(target, TOOLS / "udp_load", "receive", inner[target], UDP_PORT, tag),
            stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            if not receiver.stdout.readline():
                raise RuntimeError("udp_load does not receive")
            before = peer.cpu_s()
            sent = json.loads(lab.run(source, TOOLS / "udp_load", "send", inner[source],
                                      inner[target], UDP_PORT, tag, size - IP_UDP, int(pps), seconds,
                                      timeout=seconds + 30))
            time.sleep(DRAIN_S)
            cpu = peer.cpu_s() - before
            receiver.send_signal(signal.SIGTERM)
            came = json.loads(receiver.communicate(timeout=10)[0])
        finally:
            receiver.kill()
            receiver.wait()
        # A queue that empties after the sending has ended is no speed.
        took = max(sent["seconds"], came["seconds"])
        super().__init__(came["received"] * size, took, cpu)
        self.sent_pps = sent["sent"] / sent["seconds"]
        self.pps = came["received"] / took
        self.loss = 1 - came["received"] / sent["sent"] if sent["sent"] else 1
        self.overflow = came["overflow"]
        self.passes = self.loss < LOSS_MAX


ROLES_OF = {False: ("terminal", "server"), True: ("server", "terminal")}


def highest_rate(peer, size, down, seconds, guess=None, say=lambda text: None):
    """The trial with the highest rate that came with less loss than allowed.

    In steps downwards until one rate passes, and upwards until one does not; then by halves.  A
    rate that fails by little is tried once more: the machine may have done something else."""

    def passes(pps):
        nonlocal best
        for _ in range(2):
            t = Trial(peer, size, down, pps, seconds)
            say(f"{peer.lab.name}: {size} B {'down' if down else 'up'}: {pps / 1e3:.1f} kpps "
                f"offered, {t.sent_pps / 1e3:.1f} sent, {t.pps / 1e3:.1f} came, "
                f"{100 * t.loss:.2f} % lost ({t.overflow} at the receiver)")
            if t.passes and (best is None or t.pps > best.pps):
                best = t
            if t.passes or t.loss > LOSS_HOPELESS:
                return t.passes
        return False

    best, low, high, step = None, guess, None, STEP_AGAIN
    if guess is None:
        overload, step = Trial(peer, size, down, PPS_MAX, seconds), STEP
        low = min(2 * overload.pps, overload.sent_pps)
    low = max(low, 1000)
    for _ in range(STEPS_MAX):
        if passes(low):
            break
        low, high = low / step, low
    if best is None:
        raise RuntimeError(f"{peer.lab.name}: no rate of {size} B was found that loses little")
    while high is None:
        if low < PPS_MAX and passes(low * step):
            low *= step
        else:
            high = low * step
    while high / low > PRECISION:
        middle = (low * high) ** 0.5
        if passes(middle):
            low = middle
        else:
            high = middle
    return best
