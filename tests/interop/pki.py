# SPDX-License-Identifier: MIT
"""Certificates for the tests of IKEv2, made by the openssl command.

An Authority issues leaves and further authorities, revokes, and signs a CRL; what was issued once
under a name is given again, and a name has one key of each kind.  Everything is below one
directory and goes with it.

      root = Pki(directory).root("ecdsa256")
      gateway = root.issue("gateway", "rsa2048", ["DNS:gateway.test"])
      gateway.cert, gateway.key, gateway.chain, gateway.subject
"""
import dataclasses
import datetime
import pathlib
import subprocess

KEYS = {  # name: arguments of `openssl genpkey`
    "rsa2048": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "rsa4096": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"],
    "ecdsa256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "ecdsa384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "ecdsa521": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
    "ed25519": ["-algorithm", "ED25519"],
}
DIGESTS = {"ecdsa384": "sha384", "ecdsa521": "sha512", "ed25519": "null"}

CONFIG = """
[ca]
default_ca = this
[this]
database = {dir}/index.txt
serial = {dir}/serial
crlnumber = {dir}/crlnumber
new_certs_dir = {dir}
certificate = {cert}
private_key = {key}
default_md = {digest}
default_crl_days = 7
crl_extensions = crl
unique_subject = no
policy = any
copy_extensions = copy
[any]
organizationName = optional
commonName = supplied
[req]
distinguished_name = empty
prompt = no
[empty]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[crl]
authorityKeyIdentifier = keyid
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


def openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise RuntimeError(f"openssl {' '.join(map(str, args))}: {done.stdout}")
    return done.stdout


def moment(days):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return when.strftime("%Y%m%d%H%M%SZ")


@dataclasses.dataclass
class Leaf:
    subject: str
    cert: pathlib.Path
    key: pathlib.Path
    chain: list         # certificates of the authorities between it and the root

    def bundle(self):
        """The leaf and its chain in one file."""
        path = self.cert.with_suffix(".bundle.pem")
        path.write_text("".join(p.read_text() for p in [self.cert, *self.chain]))
        return path


class Authority:
    def __init__(self, pki, directory, name, kind, parent=None):
        self.pki, self.name, self.kind, self.parent = pki, name, kind, parent
        self.dir = directory / name
        self.dir.mkdir(parents=True)
        self.subject = f"O=Sojourn tests, CN={name}"
        self.cert, self.key = self.dir / "cert.pem", pki.key(f"{name}.authority", kind)
        self.issued = {}
        self.revoked = set()
        for file, text in (("index.txt", ""), ("index.txt.attr", ""), ("serial", "1000\n"),
                           ("crlnumber", "01\n")):
            (self.dir / file).write_text(text)
        self.config = self.dir / "openssl.cnf"
        self.config.write_text(CONFIG.format(
            dir=self.dir, cert=self.cert, key=self.key, digest=DIGESTS.get(kind, "sha256")))
        if parent:
            parent.sign(self.key, self.cert, name, "authority", [], -1, 3650)
        else:
            openssl("req", "-new", "-x509", "-config", self.config, "-extensions", "root",
                    "-key", self.key, "-out", self.cert, "-days", 3650,
                    "-subj", f"/O=Sojourn tests/CN={name}")

    @property
    def chain(self):
        """From this one up to the root, without the root."""
        return [] if self.parent is None else [self.cert, *self.parent.chain]

    def sign(self, key, cert, name, section, names, first_day, last_day):
        request = cert.with_suffix(".req")
        more = ["-addext", "subjectAltName=" + ",".join(names)] if names else []
        openssl("req", "-new", "-config", self.config, "-key", key, "-out", request,
                "-subj", f"/O=Sojourn tests/CN={name}", *more)
        openssl("ca", "-batch", "-notext", "-config", self.config, "-extensions", section,
                "-in", request, "-out", cert,
                "-startdate", moment(first_day), "-enddate", moment(last_day))

    def authority(self, name, kind="ecdsa256"):
        if name not in self.issued:
            self.issued[name] = Authority(self.pki, self.dir, name, kind, self)
        return self.issued[name]

    def issue(self, name, kind="ecdsa256", names=(), first_day=-1, last_day=365):
        """A leaf; names as in "DNS:gateway.test", "email:a@b", "IP:10.0.0.1"."""
        if name not in self.issued:
            cert, key = self.dir / f"{name}.pem", self.pki.key(name, kind)
            self.sign(key, cert, name, "leaf", list(names), first_day, last_day)
            self.issued[name] = Leaf(f"O=Sojourn tests, CN={name}", cert, key, self.chain)
        return self.issued[name]

    def expired(self, name, kind="ecdsa256", names=()):
        return self.issue(name, kind, names, -60, -30)

    def revoke(self, leaf):
        if leaf.cert not in self.revoked:
            openssl("ca", "-config", self.config, "-revoke", leaf.cert)
            self.revoked.add(leaf.cert)

    def crl(self):
        """A list made now, in PEM."""
        path = self.dir / "crl.pem"
        openssl("ca", "-config", self.config, "-gencrl", "-out", path)
        return path


class Pki:
    """Roots by the kind of their key (or a name), made when first asked for."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.roots = {}

    def root(self, kind="ecdsa256", name=""):
        name = name or f"root-{kind}"
        if name not in self.roots:
            self.roots[name] = Authority(self, self.dir, name, kind)
        return self.roots[name]

    def key(self, name, kind):
        path = self.dir / f"{name}.{kind}.key.pem"
        if not path.exists():
            self.dir.mkdir(exist_ok=True)
            openssl("genpkey", *KEYS[kind], "-out", path)
            path.chmod(0o600)
        return path
