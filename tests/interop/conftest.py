# SPDX-License-Identifier: MIT
"""What the interop tests stand on: namespaces, a Linux kernel in User Mode Linux that does as
it is told, and sojournd.

      namespace sj-i-host                         guest (User Mode Linux)
     +--------------------+                      +----------------------------+
     | sojournd       tap |======================| eth0   the kernel's XFRM   |
     |           10.9.0.1 |                      | 10.9.0.2, .10 .. .59       |
     |           fd09::1  |                      | fd09::2, ::10 .. ::59      |
     +--------------------+                      +----------------------------+

The guest's kernel is started by uml-run ($SOJOURN_UML, else ../shared/uml/uml-run beside the
project); without it these tests are skipped.
"""
import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SOJOURN_BUILD", ROOT / "build"))
HERE = Path(__file__).resolve().parent
TAG = os.environ.get("SOJOURN_TAG", "i")
HOST = f"sj-{TAG}-host"
TAP = f"sj-{TAG}-tap"
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def sh(*args, check=True, timeout=60):
    done = subprocess.run(args, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=timeout)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(args)}: {done.stdout.strip()}")
    return done


def ns_exec(ns, *args, **kw):
    return sh("ip", "netns", "exec", ns, *args, **kw)


@contextlib.contextmanager
def inside(ns):
    """Sockets made here belong to the namespace."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{ns}", os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        libc.setns(here, CLONE_NEWNET)
        os.close(here)
        os.close(there)


# Tables of algorithms and forms: without `./run check --all` every third row of each test.
LONG = ("test_ike_kernel", "test_kernel_modes", "test_kernel_modes_terminal", "test_kernel_server",
        "test_kernel_terminal")


def pytest_collection_modifyitems(config, items):
    if os.environ.get("SOJOURN_ALL") == "1" or config.getoption("keyword"):
        return
    rows, kept, left = {}, [], []
    for item in items:
        if item.path.stem in LONG and hasattr(item, "callspec"):
            rows[item.function] = rows.get(item.function, -1) + 1
            if rows[item.function] % 3:
                left.append(item)
                continue
        kept.append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept


def wait_for(what, condition, seconds=20, every=0.1):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(every)
    raise AssertionError(f"{what}: not within {seconds} s")


def ping(ns, source, address, size=56, count=1, wait=1, more=()):
    return ns_exec(ns, "ping", "-q", "-n", "-c", str(count), "-i", "0.1", "-W", str(wait),
                   "-s", str(size), "-I", source, *more, address, check=False)


class Daemon:
    """sojournd with a configuration, in a namespace."""

    def __init__(self, ns, name, text, where):
        self.log_path = where / f"{name}.log"
        conf = where / f"{name}.conf"
        self.control = where / f"{name}.control"
        conf.write_text(f'control = "{self.control}"\n' + text)
        conf.chmod(0o600)
        with open(self.log_path, "w") as log:
            self.proc = subprocess.Popen(
                ["ip", "netns", "exec", ns, str(BUILD / "sojournd"), "-c", str(conf)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def log(self):
        return self.log_path.read_text(errors="replace")[-4000:]

    def wait(self):
        """Until it answers; its sockets were asked for before."""
        wait_for("sojournd answers", lambda: self.run("status").returncode == 0)

    def command(self, *args):
        return [str(BUILD / "sojourn"), "-s", str(self.control), *args]

    def run(self, *args):
        return subprocess.run(self.command(*args), capture_output=True, text=True, check=False)

    def cli(self, *args):
        done = self.run(*args)
        assert done.returncode == 0, \
            f"sojourn {' '.join(args)}: {done.stderr or done.stdout}\n{self.log()}"
        return done.stdout

    def ask(self, what):
        return json.loads(self.cli(what, "--json"))

    def stop(self):
        if self.proc.poll() is None:
            self.proc.terminate()
        try:
            return self.proc.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.proc.pid, signal.SIGKILL)
            self.proc.wait()
            raise AssertionError("sojournd did not end after SIGTERM:\n" + self.log())


class Guest:
    """A Linux kernel at one end of a TAP device that exists, with guest.py in it."""

    def __init__(self, uml_run, where, ns=HOST, tap=TAP, addresses=("10.9.0.2/24", "fd09::2/64"),
                 modules="esp4,esp6,ah4,ah6,xfrm_user,tunnel4,tunnel6", name="guest", more=(),
                 memory="192M"):
        """more: further TAP devices, (name, addresses) each."""
        self.path = where / f"{name}.log"
        address = addresses[0].split("/")[0]
        self.out = open(self.path, "w+")
        self.proc = subprocess.Popen(
            ["ip", "netns", "exec", ns, str(uml_run), "-m", memory,
             "-t", f"{tap}={','.join(addresses)}",
             *sum((["-t", f"{t}={','.join(a)}"] for t, a in more), []), "-M", modules,
             "/usr/bin/python3", str(HERE / "guest.py"), address, "7000"],
            stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out, start_new_session=True)

        def reached():
            if self.proc.poll() is not None:
                raise AssertionError("the guest ended:\n" + self.log())
            if "ready" not in self.log():
                return None
            with inside(ns):
                sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.settimeout(90)
            sock.connect((address, 7000))
            return sock
        self.lines = wait_for("the guest's start", reached, 90).makefile("rw")

    def log(self):
        return self.path.read_text(errors="replace")[-4000:]

    def call(self, name, **kw):
        self.lines.write(json.dumps({"call": name, **kw}) + "\n")
        self.lines.flush()
        line = self.lines.readline()
        assert line, "the guest ended:\n" + self.log()
        answer = json.loads(line)
        assert "error" not in answer, f"in the guest, {name}: {answer['error']}"
        return answer["value"]

    def sh(self, script):
        done = self.call("sh", script=script)
        assert done["rc"] == 0, f"in the guest:\n{script}\n{done['out']}"
        return done["out"]

    def stop(self):
        self.proc.terminate()
        try:
            self.proc.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.proc.pid, signal.SIGKILL)
            self.proc.wait()
        self.out.close()


@pytest.fixture(scope="session")
def where(tmp_path_factory):
    path = tmp_path_factory.mktemp("sj-i")
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def ready():
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes network namespaces")
    if not (BUILD / "sojournd").exists():
        pytest.skip(f"{BUILD}/sojournd is not built")


@pytest.fixture(scope="session")
def uml_run(ready):
    path = Path(os.environ.get("SOJOURN_UML", ROOT.parent / "shared/uml/uml-run"))
    if not os.access(path, os.X_OK) or not os.path.exists("/usr/bin/linux.uml"):
        pytest.skip(f"no Linux kernel to talk to: {path} is not there (or set SOJOURN_UML)")
    return path


@pytest.fixture(scope="session")
def guest(uml_run, where):
    """The kernel, set up for every case of both roles; one boot for all."""
    sh("ip", "netns", "del", HOST, check=False)
    sh("ip", "netns", "add", HOST)
    made = None
    try:
        ip = ["ip", "-n", HOST]
        sh(*ip, "link", "set", "lo", "up")
        sh(*ip, "tuntap", "add", TAP, "mode", "tap")
        sh(*ip, "addr", "add", "10.9.0.1/24", "dev", TAP)
        sh(*ip, "addr", "add", "fd09::1/64", "dev", TAP, "nodad")
        sh(*ip, "link", "set", TAP, "up")
        made = Guest(uml_run, where)
        made.call("encap")
        yield made
    finally:
        if made:
            made.stop()
        sh("ip", "netns", "del", HOST, check=False)


@pytest.fixture(scope="session")
def pki(where):
    from pki import Pki
    return Pki(where / "pki")


@pytest.fixture(scope="session")
def strongswan(ready):
    from strongswan import missing
    if missing():
        pytest.skip(missing())


@pytest.fixture(scope="session")
def sojourn_ike(strongswan, where):
    from sojourn_ike import missing
    if missing(where):
        pytest.skip(missing(where))


@pytest.fixture(scope="module")
def ground_of_module(ready):
    from ground import Ground
    with Ground() as made:
        yield made


@pytest.fixture
def ground(ground_of_module):
    """Every cable is in, and nothing is silenced."""
    yield ground_of_module
    ground_of_module.restore()
