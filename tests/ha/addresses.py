"""One of three OSS addresses fails, in each possible way. No read may fail."""

from load import Load, long_get
from process import Origin, Ossgate, free_ports, until
from settings import toml

SICK = "127.0.3.1"
MIX = {"keep": 60, "new": 25, "put": 15}
# The number of slow downloads in flight, spread over all addresses, when one address begins to fail.
DOWNLOADS = 24
FAULTS = {
    "refuse": {},
    "blackhole": {},
    "delay": {"seconds": 5},
    # Only every fourth request is reset. Otherwise the proxy would avoid the address after the first one.
    "reset": {"after": 1000, "every": 4},
}


async def run(bench):
    count, rate = (2400, 250) if bench.is_quick else (12_000, 400)
    origin = bench.keep(Origin(bench.directory, [SICK, "127.0.3.2", "127.0.3.3"], free_ports(1)[0]))
    await origin.tell(names={"*": origin.addresses})
    for name, facts in FAULTS.items():
        await one_fault(bench, origin, name, facts, count // len(FAULTS), rate)
    bench.expect((await origin.tell(stats=True))["twice"] == [], "an upload arrived twice")


async def one_fault(bench, origin, name, facts, count, rate):
    """Starts a node, sends load until all three addresses are in use, and applies the fault under load."""
    port = free_ports(1)[0]
    node = bench.keep(Ossgate(bench.binary, bench.directory, name))
    node.start(toml(origin, [f"127.0.0.1:{port}"]))
    await node.started_at("127.0.0.1", port)

    async def stats():
        every = await origin.tell(stats=True)
        return {**every[SICK], "all_ranges": sum(every[one].get("ranges", 0) for one in origin.addresses)}

    load = Load([("127.0.0.1", port)], rate, MIX)
    await load.loop(rate)
    used = await stats()
    bench.expect(used.get("requests", 0) > 0, f"{name}: the address was not used while it was well")
    for _ in range(DOWNLOADS):
        load.spawn("long get", lambda where: long_get(where, 2 << 20, 1 << 19), ("127.0.0.1", port))
    await until(lambda: is_downloading(stats, used.get("large", 0)), 5, f"{name}: a download runs from the address")
    await origin.fault(SICK, name, **facts)
    await load.loop(count)
    # The fault lasts until all requests have ended, so that slow responses arrive and are not replaced.
    await load.settle()
    during = await stats()
    await origin.fault(SICK, "ok")
    judge(bench, name, load.tally)
    bench.figures["resumed"] = during.get("all_ranges", 0)
    figures = load.tally.figures()
    bench.figures.update({f"{name}_p99_ms": figures["p99_ms"], f"{name}_max_ms": figures["max_ms"]})
    if name in ("delay", "reset"):
        bench.figures[f"{name}_tries"] = during["requests"] - used["requests"]
    if name == "refuse" and not bench.is_quick:
        used = await stats()

        async def is_back():
            # These are more concurrent requests than idle connections to the other addresses.
            await Load([("127.0.0.1", port)], 5000, MIX).run(200)
            return (await stats()).get("requests", 0) > used.get("requests", 0)
        bench.figures["back_s"] = round(await until(is_back, 70, f"{name}: the address is used again"), 1)
    load.close()
    node.stop()


async def is_downloading(stats, before):
    return (await stats()).get("large", 0) > before


def judge(bench, name, tally):
    puts = [one for one in tally.failures if one.kind == "put"]
    reads = [one for one in tally.failures if one.kind != "put"]
    bench.figures["reads"] = bench.figures.get("reads", 0) + tally.total - tally.done["put"] - len(puts)
    bench.figures["puts"] = bench.figures.get("puts", 0) + tally.done["put"] + len(puts)
    bench.figures["puts_failed"] = bench.figures.get("puts_failed", 0) + len(puts)
    bench.problems += [f"{name}: {line}" for line in tally.problems(reads)]
    # An upload may fail only after its first byte was sent, and only with a status. A slow response breaks no
    # upload. A failed connect has sent no byte, so only uploads in flight at that moment may fail.
    without_code = [one for one in puts if one.reason not in ("5xx", "status")]
    bench.problems += [f"{name}, without a code: {line}" for line in tally.problems(without_code)]
    most = {"delay": 0, "refuse": 4, "blackhole": 4}.get(name, len(puts))
    if len(puts) > most:
        bench.problems += [f"{name}: {line}" for line in tally.problems(puts)]
