#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs in the guest: does what the tests ask for, over a plain TCP connection beside the
tunnels.  One JSON object a line each way: {"call": NAME, ...} -> {"value": ...} or {"error"}.
"""
import json
import os
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import rfc5944  # noqa: E402
import transfer  # noqa: E402

UDP_ENCAP, UDP_ENCAP_ESPINUDP = 100, 2
keep = {}       # sockets and threads that stay, by name


def sh(script):
    done = subprocess.run(["bash", "-c", script], text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return {"rc": done.returncode, "out": done.stdout}


def encap():
    """The kernel takes ESP in UDP only from a socket that says so."""
    for kind, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        sock = socket.socket(kind, socket.SOCK_DGRAM)
        if kind == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, 4500))
        sock.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
        keep["encap", kind] = sock


def home_agent(address, homes, spi, key, skew_s=0):
    keep[address] = rfc5944.HomeAgent(address, homes, spi, bytes.fromhex(key), skew_s)
    keep[address].start()


def home_agent6(address, homes):
    keep[address] = rfc5944.HomeAgent6(address, homes)
    keep[address].start()


def seen(address):
    return keep[address].seen


def register(key, extra="", **kw):
    return rfc5944.register(key=bytes.fromhex(key), extra=bytes.fromhex(extra), **kw)


def raw(source, address, protocol, options, data):
    """One datagram of an IP protocol behind socket options (level, option, hex)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_RAW, protocol) as sock:
        sock.bind((source, 0))
        for level, option, value in options:
            sock.setsockopt(level, option, bytes.fromhex(value))
        sock.sendto(bytes.fromhex(data), (address, 0))


def serve(address, port, size):
    listener = transfer.listen(address, port)
    threading.Thread(target=transfer.serve, args=(listener, size), daemon=True).start()


def echo(address, port):
    """Stays; asked for twice it is there once."""
    if (address, port) in keep:
        return
    keep[address, port] = True
    threading.Thread(target=transfer.echo, args=(transfer.datagrams(address, port),), daemon=True).start()


def pour(address, port, seconds, rate):
    listener = transfer.listen(address, port)
    threading.Thread(target=transfer.pour, args=(listener, seconds, rate), daemon=True).start()


def drink(what, source, address, port):
    """Begins; `result` gives what came of it."""
    def run():
        try:
            keep[what] = transfer.drink(source, address, port)
        except Exception as e:
            keep[what] = {"error": f"{type(e).__name__}: {e}"}
    keep[what] = None
    threading.Thread(target=run, daemon=True).start()


def result(what):
    return keep[what]


CALLS = {"sh": sh, "encap": encap, "home_agent": home_agent, "home_agent6": home_agent6,
         "seen": seen, "register": register, "update": rfc5944.update, "serve": serve, "raw": raw,
         "fetch": transfer.fetch, "echo": echo,
         "pour": pour, "drink": drink, "result": result}


def main():
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((sys.argv[1], int(sys.argv[2])))
    listener.listen(1)
    print("ready", flush=True)
    sock, _ = listener.accept()
    with sock.makefile("rw") as lines:
        for line in lines:
            request = json.loads(line)
            try:
                answer = {"value": CALLS[request.pop("call")](**request)}
            except Exception as e:
                answer = {"error": f"{type(e).__name__}: {e}"}
            lines.write(json.dumps(answer) + "\n")
            lines.flush()


main()
