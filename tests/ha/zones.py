"""Two nodes behind a load balancer. Each machine is a network namespace.

The balancer is HAProxy. It balances at layer 4 (by connection) and at layer 7 (by request), with PROXY
protocol v2 and a health check every half second. The links:

    client and balancer --- a ---\\
                        \\-- b --- OSS, three addresses
"""

import asyncio
import csv
import shutil
import signal
import time

from load import Load
from namespaces import Network, Skipped
from process import Origin, Ossgate, Process, until
from settings import toml

OSS = ["100.64.9.1", "100.64.9.2", "100.64.9.3"]
NODES = {"a": ("10.99.1.1", "10.99.1.2", "100.64.1.1", "100.64.1.2"), "b": ("10.99.2.1", "10.99.2.2", "100.64.2.1", "100.64.2.2")}
LAYER4, LAYER7 = ("127.0.0.1", 8080), ("127.0.0.1", 8081)
# The maximum time until the balancer detects a failure: two failed checks, half a second apart, after a check
# that has just passed.
HEALTH_SECONDS = 1.6
# The seconds that a node stays cut off after the balancer has detected it. A connect without a response times
# out after 3.5 s, and clients may wait longer.
CUT_SECONDS = 13
HAPROXY = """
global
    stats socket {socket}
    maxconn 4000
defaults
    timeout connect 1s
    timeout client 90s
    timeout server 90s
    timeout check 1s
    retries 3
    option redispatch 1
    option httpchk GET /health
    default-server check inter 500ms fall 2 rise 2 send-proxy-v2
listen layer4
    mode tcp
    bind 127.0.0.1:8080
    server a 10.99.1.2:8000
    server b 10.99.2.2:8000
listen layer7
    mode http
    bind 127.0.0.1:8081
    server a 10.99.1.2:8000
    server b 10.99.2.2:8000
"""
LISTENER = 'proxy_protocol = "v2"\ntrusted_proxies = ["10.99.0.0/16"]\nhealth_path = "/health"'
# The delay is longer than the balancer needs to detect that the node is draining.
SERVER = 'drain_delay = "3s"\ndrain_timeout = "30s"'


async def run(bench):
    if not shutil.which("haproxy"):
        raise Skipped("no haproxy")
    network = bench.keep(Network("slb", "a", "b", "oss"))
    for address in (*OSS, "100.64.9.53"):
        network.on("oss", "address", "add", f"{address}/32", "dev", "lo")
    for name, (slb_side, node_side, node_out, oss_side) in NODES.items():
        network.link("slb", slb_side, name, node_side)
        network.link(name, node_out, "oss", oss_side)
        network.on(name, "route", "add", "100.64.9.0/24", "via", oss_side)
    with network.entered("slb"):
        await Zones(bench, network).run()


class Zones:
    def __init__(self, bench, network):
        self.bench, self.network = bench, network
        self.rate = 150 if bench.is_quick else 300
        self.socket = bench.directory / "haproxy.sock"
        self.origin = bench.keep(Origin(bench.directory, OSS, 8000, ("100.64.9.53", 53), network.prefix("oss")))
        text = toml(self.origin, ["0.0.0.0:8000"], 9180, server=SERVER, listener_more=LISTENER)
        self.nodes = {name: bench.keep(Ossgate(bench.binary, bench.directory, name, network.prefix(name))) for name in NODES}
        for node in self.nodes.values():
            node.start(text)
        file = bench.directory / "haproxy.cfg"
        file.write_text(HAPROXY.format(socket=self.socket))
        self.haproxy = bench.keep(Process(["haproxy", "-db", "-f", file], bench.directory / "haproxy.log"))
        self.haproxy.stop = self.haproxy.kill

    async def status(self, node):
        """Returns the states of a node at both layers of the balancer, or an empty set before the balancer
        runs."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self.socket))
        except OSError:
            return set()
        writer.write(b"show stat\n")
        rows = csv.DictReader((await reader.read()).decode().lstrip("# ").splitlines())
        writer.close()
        return {row["status"].split(" ")[0] for row in rows if row["svname"] == node}

    async def is_seen(self, node, status, seconds):
        async def is_so():
            for name, one in self.nodes.items():
                if not one.started[-1].is_alive() and name != node:
                    self.bench.expect(False, f"node {name} ended: {one.started[-1].last_words()}")
            return await self.status(node) == {status}
        what = f"the balancer sees {node} {status}; its log ends: {self.nodes[node].started[-1].last_words()[-400:]}"
        return await until(is_so, seconds, what, 0.05)

    def load(self, with_long=False):
        four = Load([LAYER4], self.rate / 2).start()
        seven = Load([LAYER7], self.rate / 2, {"keep": 50, "new": 25, "put": 25}, seed=2).start()
        if with_long:
            four.start_long(6, 1 << 20)
        return four, seven

    async def run(self):
        await self.origin.tell(names={"*": OSS})
        for name in NODES:
            await self.is_seen(name, "UP", 20)
        for phase in (self.drained, self.told_to_end, self.killed, self.cut_off):
            await phase()
        self.bench.expect((await self.origin.tell(stats=True))["twice"] == [], "an upload arrived twice")

    async def judge(self, name, loads, excused=lambda one: False):
        requests = failed = 0
        for layer, load in zip(("layer 4", "layer 7"), loads):
            tally = await load.stop()
            bad = [one for one in tally.failures if not excused(one)]
            self.bench.problems += [f"{name}, {layer}: {line}" for line in tally.problems(bad)]
            requests, failed = requests + tally.total, failed + len(tally.failures)
        self.bench.figures[name] = f"{failed}/{requests}"

    async def drained(self):
        """Drains and undrains a node with the admin commands."""
        loads = self.load(with_long=True)
        code, output = await self.nodes["a"].ask("drain")
        self.bench.expect(code == 0, f"`ossgate drain` exits with {code}: {output[-300:]}")
        self.bench.figures["drain_seen_s"] = round(await self.is_seen("a", "DOWN", 5), 2)
        await asyncio.sleep(1)
        code, output = await self.nodes["a"].ask("undrain")
        self.bench.expect(code == 0, f"`ossgate undrain` exits with {code}: {output[-300:]}")
        await self.is_seen("a", "UP", 5)
        await self.judge("drain_failed", loads)

    async def told_to_end(self):
        loads = self.load(with_long=True)
        node = self.nodes["a"]
        node.started[-1].signal(signal.SIGTERM)
        await self.is_seen("a", "DOWN", 3)
        code = await node.started[-1].exit_code(40)
        self.bench.expect(code == 0, f"the drained node ended with {code}")
        node.start()
        await self.is_seen("a", "UP", 10)
        await asyncio.sleep(1)
        await self.judge("term_failed", loads)

    async def killed(self):
        loads = self.load()
        await asyncio.sleep(2)
        moment = time.monotonic()
        self.nodes["a"].started[-1].signal(signal.SIGKILL)
        await self.is_seen("a", "DOWN", 5)
        await asyncio.sleep(2)
        self.nodes["a"].start()
        await self.is_seen("a", "UP", 10)
        late = [one.began - moment for load in loads for one in load.tally.after(moment)]
        self.bench.figures.update(began_after_kill=len(late), last_of_them_s=round(max(late, default=0), 2))
        # Requests in flight on the killed node are lost. Requests that ended before, or began after its
        # removal, must not fail.
        await self.judge("kill_failed", loads, lambda one: one.began < moment + HEALTH_SECONDS and one.ended >= moment)

    async def cut_off(self):
        """Drops every packet from OSS to the node. The balancer can still reach the node."""
        loads = self.load()
        await asyncio.sleep(2)
        self.network.on("oss", "route", "add", "blackhole", "100.64.1.1/32")
        try:
            self.bench.figures["cut_seen_s"] = round(await self.is_seen("a", "DOWN", 40), 1)
            settled = time.monotonic()
            await asyncio.sleep(CUT_SECONDS)
        finally:
            self.network.on("oss", "route", "delete", "blackhole", "100.64.1.1/32")
        self.bench.figures["heal_seen_s"] = round(await self.is_seen("a", "UP", 40), 1)
        await asyncio.sleep(2)
        # At layer 4, the balancer keeps connections to a node that is down, but the node has already closed
        # them.
        await self.judge("cut_failed", loads, lambda one: one.began <= settled)
        self.bench.figures["cut_failed_later"] = sum(len(load.tally.after(settled)) for load in loads)
