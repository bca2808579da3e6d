# SPDX-License-Identifier: MIT
"""What IKEv2's tests go through, as tables that both roles and both implementations share, and
strongSwan's configuration of each.

A client (alice) proves who it is to a gateway and is given inner addresses; behind the gateway is
host X.  In a Case each end has a Proof.
"""
import dataclasses

from ground import GW4, GW6, X4, X6

CLIENT_ID, GATEWAY_ID = "alice@sojourn.test", "gateway.sojourn.test"
CLIENT_NAMES = [f"email:{CLIENT_ID}"]
GATEWAY_NAMES = [f"DNS:{GATEWAY_ID}", f"IP:{GW4}"]
EAP_USER, EAP_PASSWORD = "alice", "a password of tests"
SECRET = "a shared secret of tests"
PPK_ID, PPK = "ppk-of-tests", "5a" * 32
POOL4, POOL6 = "10.62.0.0/24", "fd62::/120"
INSIDE4, INSIDE6 = "10.3.0.0/24", "fd03::/64"
DNS4, DNS6 = "10.3.0.53", "fd03::53"
IKE_DEFAULT, ESP_DEFAULT = "aes256gcm16-prfsha384-ecp384", "aes128gcm16"


@dataclasses.dataclass(frozen=True)
class Proof:
    by: str             # psk, cert, eap-mschapv2, eap-tls
    key: str = ""       # of the certificate (pki.KEYS)
    scheme: str = ""    # the signature scheme, as strongSwan names it

    def strongswan(self, mine):
        """Its own proof charon makes by the scheme that is told; of others it takes any."""
        if self.by == "cert":
            return f"ike:{self.scheme}" if self.scheme and mine else "pubkey"
        return self.by

    @property
    def logged(self):
        """As charon names what it has verified; the hash of RSA is the signer's choice."""
        if self.by != "cert":
            return {"psk": "pre-shared key"}.get(self.by, "EAP")
        if self.key.startswith("rsa"):
            return "RSA_EMSA_PSS_SHA2_" if "pss" in self.scheme else "RSA_EMSA_PKCS1_SHA2_"
        return {"ecdsa256": "ECDSA_WITH_SHA256_DER", "ecdsa384": "ECDSA_WITH_SHA384_DER",
                "ecdsa521": "ECDSA_WITH_SHA512_DER", "ed25519": "ED25519"}[self.key]


PSK = Proof("psk")
CERT = Proof("cert", "ecdsa256")


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    client: Proof = PSK
    gateway: Proof = PSK
    ppk: bool = False
    ike: str = IKE_DEFAULT
    esp: str = ESP_DEFAULT
    depth: int = 0      # authorities between the root and the leaves

    def __str__(self):
        return self.name


def both(name, key, scheme="", **more):
    return Case(name, Proof("cert", key, scheme), Proof("cert", key, scheme), **more)


AUTHENTICATION = [
    Case("psk"),
    both("rsa-pkcs1-2048", "rsa2048", "rsa-sha256"),
    both("rsa-pkcs1-4096", "rsa4096", "rsa-sha512"),
    both("rsa-pss-2048", "rsa2048", "rsa/pss-sha256"),
    both("rsa-pss-4096", "rsa4096", "rsa/pss-sha384"),
    both("ecdsa-256", "ecdsa256", "ecdsa-sha256"),
    both("ecdsa-384", "ecdsa384", "ecdsa-sha384"),
    both("ecdsa-521", "ecdsa521", "ecdsa-sha512"),
    both("ed25519", "ed25519", "ed25519"),
    Case("psk-for-cert", PSK, CERT),
    Case("cert-for-psk", CERT, PSK),
    Case("rsa-for-ed25519", Proof("cert", "rsa2048"), Proof("cert", "ed25519")),
    Case("eap-mschapv2", Proof("eap-mschapv2"), Proof("cert", "rsa2048")),
    Case("eap-tls", Proof("eap-tls", "ecdsa256"), CERT),
    Case("eap-tls-rsa", Proof("eap-tls", "rsa2048"), Proof("cert", "rsa2048")),
    Case("psk-ppk", ppk=True),
    both("cert-ppk", "ecdsa256", ppk=True),
    both("long-chain", "rsa4096", depth=3),     # in many fragments
]

# RFC 8247's and 8221's of the issue: each cipher, PRF, group and check value at least once.
IKE_PROPOSALS = [
    "aes128gcm16-prfsha256-x25519",
    "aes256gcm16-prfsha512-ecp521",
    "chacha20poly1305-prfsha256-ecp256",
    "aes128-sha256-prfsha256-modp2048",
    "aes192-sha384-prfsha384-ecp384",
    "aes256-sha512-prfsha512-modp3072",
    "aes256-sha256-prfsha384-modp4096",
]
ESP_PROPOSALS = [
    "aes128gcm16",
    "aes256gcm16-x25519",
    "chacha20poly1305-ecp256",
    "aes128-sha256",
    "aes192-sha384-ecp384",
    "aes256-sha512-modp2048",
]


def algorithms():
    return ([Case(f"ike-{p}", ike=p) for p in IKE_PROPOSALS]
            + [Case(f"esp-{p}", esp=p) for p in ESP_PROPOSALS])


ROOTS = {"rsa4096": "rsa2048"}  # a leaf's kind of key -> its root's, where that is another


class Credentials:
    """The certificates of a case."""

    def __init__(self, pki, case):
        self.case = case
        self.client = self.gateway = None
        self.client_root = self.gateway_root = None
        if case.client.key:
            self.client, self.client_root = self.make(pki, case.client.key, "alice", CLIENT_NAMES)
        if case.gateway.key:
            self.gateway, self.gateway_root = self.make(pki, case.gateway.key, "gateway",
                                                        GATEWAY_NAMES)

    def make(self, pki, key, name, names):
        root = issuer = pki.root(ROOTS.get(key, key))
        for n in range(self.case.depth):
            issuer = issuer.authority(f"between-{n}", "rsa2048")
        return issuer.issue(name, key, names), root

    def of(self, leaf, *roots):
        """load()'s leaves and authorities."""
        seen = {r.name: r for r in roots if r}
        return {"leaves": [leaf] if leaf else [], "authorities": list(seen.values())}

    def for_client(self):
        eap_root = self.gateway_root
        return self.of(self.client, self.gateway_root, eap_root)

    def for_gateway(self):
        return self.of(self.gateway, self.client_root, self.gateway_root)


def bad_leaf(kind, root, pki, names):
    """An ECDSA leaf that `root`'s believers must refuse, and the CRLs that they have."""
    kind_of_key = "ecdsa256"
    label = f"{kind}-{names[0].split('@')[0].split(':')[1]}"
    if kind == "expired":
        return root.expired(label, kind_of_key, names), []
    if kind == "revoked":
        leaf = root.issue(label, kind_of_key, names)
        root.revoke(leaf)
        return leaf, [root.crl()]
    if kind == "stranger":
        return pki.root(kind_of_key, "root-of-strangers").issue(label, kind_of_key, names), []
    assert kind == "misnamed", kind
    return root.issue(label, kind_of_key, ["email:bob@sojourn.test", "DNS:bob.sojourn.test"]), []


def indented(lines):
    return "".join(f"        {line}\n" for line in lines if line)


def block(name, lines):
    return f"        {name} {{\n{indented(lines)}        }}\n"


def secrets(case, name):
    text = ""
    if "psk" in (case.client.by, case.gateway.by):
        text += (f'ike-{name} {{\n id-1 = {CLIENT_ID}\n id-2 = {GATEWAY_ID}\n'
                 f' secret = "{SECRET}"\n}}\n')
    if case.client.by == "eap-mschapv2":
        text += f'eap-{name} {{\n id = {EAP_USER}\n secret = "{EAP_PASSWORD}"\n}}\n'
    if case.ppk:
        text += f'ppk-{name} {{\n id = {PPK_ID}\n secret = 0x{PPK}\n}}\n'
    return f"secrets {{\n{text}}}\n"


def proof_lines(proof, who, leaf, mine):
    lines = [f"auth = {proof.strongswan(mine)}", f"id = {who}"]
    if leaf:
        lines.append(f"certs = {leaf.cert.name}")
    return lines


def strongswan_client(case, credentials, name="net", remote=GW4, lines=(), child_lines=(),
                      vips="0.0.0.0, ::", children=None):
    """`lines` go into the connection, `child_lines` into its children (name: selectors there)."""
    children = children or {name: f"{INSIDE4}, {INSIDE6}"}
    local = proof_lines(case.client, CLIENT_ID, credentials.client, True)
    if case.client.by.startswith("eap"):
        local.append(f"eap_id = {EAP_USER if case.client.by == 'eap-mschapv2' else CLIENT_ID}")
        if case.client.by == "eap-tls":
            local.append(f"aaa_id = {GATEWAY_ID}")
    remote_lines = proof_lines(case.gateway, GATEWAY_ID, None, False)
    return f"""connections {{
    {name} {{
        version = 2
        remote_addrs = {remote}
        vips = {vips}
        proposals = {case.ike}
        {f'ppk_id = {PPK_ID}' if case.ppk else ''}
        {'ppk_required = yes' if case.ppk else ''}
{indented(lines)}
        local {{
{indented(local)}
        }}
        remote {{
{indented(remote_lines)}
        }}
        children {{
{"".join(block(n, [f"remote_ts = {ts}", f"esp_proposals = {case.esp}", *child_lines])
         for n, ts in children.items())}
        }}
    }}
}}
{secrets(case, name)}"""


def strongswan_gateway(case, credentials, name="net", lines=(), child_lines=(),
                       local=f"{GW4}, {GW6}", remote_lines=(), inside=(X4, X6)):
    local_proof = proof_lines(case.gateway, GATEWAY_ID, credentials.gateway, True)
    remote_proof = proof_lines(case.client, CLIENT_ID, None, False)
    if case.client.by.startswith("eap"):
        remote_proof.append("eap_id = %any")
    return f"""connections {{
    {name} {{
        version = 2
        local_addrs = {local}
        pools = four, six
        proposals = {case.ike}
        send_cert = always
        {f'ppk_id = {PPK_ID}' if case.ppk else ''}
        {'ppk_required = yes' if case.ppk else ''}
{indented(lines)}
        local {{
{indented(local_proof)}
        }}
        remote {{
{indented([*remote_proof, *remote_lines])}
        }}
        children {{ {name} {{
            local_ts = {inside[0]}/32, {inside[1]}/128
            esp_proposals = {case.esp}
{indented(child_lines)}
        }} }}
    }}
}}
pools {{
    four {{
        addrs = {POOL4}
        dns = {DNS4}
    }}
    six {{
        addrs = {POOL6}
        dns = {DNS6}
    }}
}}
{secrets(case, name)}"""
