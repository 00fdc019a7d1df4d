"""The internal endpoint fails and comes back. Meanwhile the public endpoint serves all requests.

The scenario runs in a network namespace, in which port 80 and both addresses are free.
"""

import asyncio
import time

from load import Load
from namespaces import Network
from process import Origin, Ossgate, until

INTERNAL, PUBLIC = "100.64.7.1", "203.0.113.7"
NAMES = {"examplebucket.oss-cn-hangzhou-internal.aliyuncs.com": [INTERNAL],
         "examplebucket.oss-cn-hangzhou.aliyuncs.com": [PUBLIC],
         "oss-cn-hangzhou-internal.aliyuncs.com": [INTERNAL],
         "oss-cn-hangzhou.aliyuncs.com": [PUBLIC]}
TOML = """
[server]
workers = 2
[dns]
servers = ["127.0.0.1:5353"]
min_ttl = "1s"
max_ttl = "5s"
timeout = "500ms"
[log]
access = "off"
[[listener]]
address = "127.0.0.1:8000"
[[route]]
[route.origin]
bucket = "examplebucket"
region = "cn-hangzhou"
network = "internal"
tls = false
fallback = [{ network = "public" }]
"""
SWITCH_SECONDS, RETURN_SECONDS = 5, 60
READS = {"keep", "new", "h2"}


async def run(bench):
    network = bench.keep(Network("tiers"))
    for address in (INTERNAL, PUBLIC):
        network.on("tiers", "address", "add", f"{address}/32", "dev", "lo")
    with network.entered("tiers"):
        await switches(bench)


async def switches(bench):
    rate = 150 if bench.is_quick else 300
    origin = bench.keep(Origin(bench.directory, [INTERNAL, PUBLIC], 80, ("127.0.0.1", 5353)))
    await origin.tell(names=NAMES)
    for mode in ("blackhole",) if bench.is_quick else ("refuse", "blackhole"):
        node = bench.keep(Ossgate(bench.binary, bench.directory, mode))
        node.start(TOML)
        await node.started_at("127.0.0.1", 8000)
        await one_switch(bench, origin, rate, mode)
        node.stop()
    bench.expect((await origin.tell(stats=True))["twice"] == [], "an upload arrived twice")


async def one_switch(bench, origin, rate, mode):
    async def served(address):
        return (await origin.tell(stats=True))[address].get("requests", 0)

    async def share(address, seconds=0.5):
        """Returns the share of requests that arrive at `address` within `seconds`."""
        before = await served(INTERNAL), await served(PUBLIC)
        await asyncio.sleep(seconds)
        grown = {INTERNAL: await served(INTERNAL) - before[0], PUBLIC: await served(PUBLIC) - before[1]}
        return grown[address] / max(sum(grown.values()), 1)

    async def has_switched():
        return await share(PUBLIC) > 0.95

    async def is_back():
        return await share(INTERNAL) > 0.95

    load = Load([("127.0.0.1", 8000)], rate).start()
    await until(is_back, 5, "the internal endpoint serves at first")
    moment = time.monotonic()
    await origin.fault(INTERNAL, mode)
    took = await until(has_switched, SWITCH_SECONDS + 1, f"{mode}: the public endpoint serves")
    await asyncio.sleep(6)
    bench.expect(await has_switched(), f"{mode}: the traffic did not stay with the public endpoint")
    await origin.fault(INTERNAL, "ok")
    back = await until(is_back, RETURN_SECONDS + 5, f"{mode}: the internal endpoint serves again")
    await asyncio.sleep(1)
    tally = await load.stop()
    late = [one for one in tally.after(moment + min(took, SWITCH_SECONDS)) if one.kind in READS]
    bench.problems += [f"{mode}, after the switch: {line}" for line in tally.problems(late)]
    early = [one for one in tally.failures if one.began < moment and one.ended < moment]
    bench.problems += [f"{mode}, before: {line}" for line in tally.problems(early)]
    bench.expect(took <= SWITCH_SECONDS + 0.5, f"{mode}: the switch took {took:.1f} s")
    bench.expect(back <= RETURN_SECONDS, f"{mode}: the return took {back:.1f} s")
    bench.figures.update({f"{mode}_switch_s": round(took, 1), f"{mode}_back_s": round(back, 1),
                          f"{mode}_requests": tally.total, f"{mode}_failed_in_switch": len(tally.failures) - len(late)})
