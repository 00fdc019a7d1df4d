"""Network namespaces that stand for separate machines. Needs root and iproute2."""

import contextlib
import ctypes
import os
import subprocess

CLONE_NEWNET = 0x40000000


class Skipped(Exception):
    """The reason why a scenario cannot run on this machine."""


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def inside(name):
    """Returns the words that precede a command to run it inside a namespace. The command keeps its process
    id."""
    return ["ip", "netns", "exec", name]


class Network:
    """A set of namespaces and the links between them. The names begin with the id of this process."""

    def __init__(self, *names):
        self.names = {name: f"ossgate-{os.getpid()}-{name}" for name in names}
        self.made = []
        try:
            for name in self.names.values():
                ip("netns", "add", name)
                self.made.append(name)
                ip("-n", name, "link", "set", "lo", "up")
        except OSError:
            self.stop()
            raise Skipped("no network namespaces") from None

    def prefix(self, name):
        return inside(self.names[name])

    def on(self, name, *words):
        ip("-n", self.names[name], *words)

    def link(self, first, first_ip, second, second_ip):
        """Makes a link between two namespaces. Each end has one address of a /30 network."""
        one, other = f"to-{second}", f"to-{first}"
        self.on(first, "link", "add", one, "type", "veth", "peer", "name", other, "netns", self.names[second])
        for name, device, address in ((first, one, first_ip), (second, other, second_ip)):
            self.on(name, "address", "add", f"{address}/30", "dev", device)
            self.on(name, "link", "set", device, "up")

    @contextlib.contextmanager
    def entered(self, name):
        """Moves this thread, and every socket that it opens, into a namespace."""
        libc = ctypes.CDLL(None, use_errno=True)
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.names[name]}", os.O_RDONLY)
        try:
            if libc.setns(there, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            yield
        finally:
            libc.setns(home, CLONE_NEWNET)
            os.close(there)
            os.close(home)

    def stop(self):
        for name in self.made:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        self.made = []
