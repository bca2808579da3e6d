# SPDX-License-Identifier: MIT
"""OpenIKED in a guest, with the ESP of its kernel.

On Linux it hands SAs to the kernel by PF_KEY, which knows neither AEADs nor extended sequence
numbers nor both families in one SA: AES-CBC with HMAC-SHA-2-512 and IPv4 inside is what it can do.
"""
import os
import re
from pathlib import Path

from conftest import wait_for
from ground import GW4, UML4, X4, Y4
from ike_cases import CLIENT_ID, DNS4, GATEWAY_ID, POOL4, SECRET

IKE, ESP = "aes256gcm16-prfsha384-ecp384", "aes256-sha512"
MODULES = "esp4,esp6,ah4,ah6,xfrm_user,af_key"
TRANSFORMS = """ikesa enc aes-256-gcm prf hmac-sha2-384 group ecp384 \\
    childsa enc aes-256 auth hmac-sha2-512 %snoesn"""


def missing():
    return "" if os.path.exists("/usr/sbin/iked") else "OpenIKED is not installed"


def gateway(case, pfs=False):
    return f"""set fragmentation
set mobike
ikev2 "net" passive tunnel esp from {Y4}/32 to dynamic local {UML4} peer any \\
    {TRANSFORMS % ('group curve25519 ' if pfs else '')} \\
    srcid {GATEWAY_ID} dstid {CLIENT_ID} \\
    {f'psk "{SECRET}"' if case.client.by == 'psk' else 'ecdsa256'} \\
    config address {POOL4} config name-server {DNS4}
"""


def client(case, pfs=False):
    return f"""set fragmentation
set mobike
ikev2 "net" active tunnel esp from any to {X4}/32 local {UML4} peer {GW4} \\
    {TRANSFORMS % ('group curve25519 ' if pfs else '')} \\
    srcid {CLIENT_ID} dstid {GATEWAY_ID} \\
    {f'psk "{SECRET}"' if case.client.by == 'psk' else 'ecdsa256'} \\
    request address any iface lo
"""


class Iked:
    """With a configuration, and what proves it (a leaf of ike_cases.Credentials)."""

    count = 0

    def __init__(self, guest, where, text, leaf=None, root=None):
        self.guest = guest
        Iked.count += 1     # the guest would show what a file of the same name held before
        conf = Path(where) / f"iked-{Iked.count}.conf"
        conf.write_text(text)
        conf.chmod(0o600)
        script = "set -e; mkdir -p /var/empty; rm -rf /etc/iked/ca/* /etc/iked/certs/*\n"
        if leaf:
            script += f"""cp {leaf.cert} /etc/iked/certs/local.crt
                cp {leaf.key} /etc/iked/private/local.key
                openssl ec -in {leaf.key} -pubout -out /etc/iked/local.pub
                cp {root.cert} /etc/iked/ca/ca.crt\n"""
        guest.sh(f"{script} iked -d -vv -f {conf} >/run/iked.log 2>&1 &\n"
                 "echo $! >/run/iked.own.pid")
        # At first the kernel looks for a module for each algorithm it might have.
        self.wait_log("config_getstatic: .*stickyaddress", 40)
        wait_for("iked's start", lambda: self.control("show sa") is not None, 40)

    def control(self, what):
        done = self.guest.call("sh", script=f"timeout 10 ikectl {what}")
        return done["out"] if done["rc"] == 0 else None

    def log(self):
        return self.guest.call("sh", script="cat /run/iked.log")["out"]

    def wait_log(self, pattern, seconds=10, count=1):
        def found():
            hits = re.findall(pattern, self.log())
            return hits if len(hits) >= count else None
        try:
            return wait_for(f"iked logs {pattern!r}", found, seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log()[-4000:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.guest.sh("kill $(cat /run/iked.own.pid) || :\n"
                      "for i in $(seq 50); do pgrep -x iked >/dev/null || break; sleep 0.1; done\n"
                      "ip xfrm state flush; ip xfrm policy flush")
