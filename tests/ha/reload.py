"""Reloads under load: no request fails, no transfer is cut off, and each config soon takes effect."""

import asyncio
import re
import signal
import time

from load import Load, long_get
from process import Origin, Ossgate, fetch, free_ports, until
from settings import ASK_MARKER, marker_of, toml

MIB = 1 << 20


async def run(bench):
    count, rate = (20, 200) if bench.is_quick else (100, 500)
    pause, long = (0.5, 8) if bench.is_quick else (0.6, 20)
    port, extra, admin, origin_port = free_ports(4)
    origin = bench.keep(Origin(bench.directory, ["127.0.3.1", "127.0.3.2", "127.0.3.3"], origin_port))
    await origin.tell(names={"*": origin.addresses})
    node = bench.keep(Ossgate(bench.binary, bench.directory))

    def text(number):
        """Returns a config. Each one has another header rule and route; every second one has another listener."""
        addresses = [f"127.0.0.1:{port}"] + ([f"127.0.0.1:{extra}"] if number % 2 else [])
        route = f'[[route]]\nname = "r{number}"\nhosts = ["h{number}.example.test"]\n' \
                f'origin = {{ bucket = "other-{number}", endpoint = "oss.test:{origin_port}", tls = false }}'
        return toml(origin, addresses, admin, f"m{number}", 'drain_timeout = "60s"', route)

    async def is_in_force(number):
        return marker_of((await fetch("127.0.0.1", port, "/o/9/1", ASK_MARKER))[1]) == f"m{number}"

    async def is_serving(where):
        return (await fetch("127.0.0.1", where, "/o/9/1"))[0] == 200

    async def is_closed():
        return not await is_serving(extra)

    node.start(text(0))
    await node.started_at("127.0.0.1", port)
    load = Load([("127.0.0.1", port)], rate).start().start_long(long, MIB)
    waits, on_removed = [], []
    for number in range(1, count + 1):
        began = time.monotonic()
        node.file.write_text(text(number))
        if number % 2 == 0:
            # This transfer uses the listener that the reload removes. It must end normally.
            on_removed.append(asyncio.create_task(load.one("long on removed listener", slow_transfer, ("127.0.0.1", extra))))
            await asyncio.sleep(0.1)
        if number % 4 < 2:
            node.started[0].signal(signal.SIGHUP)
        else:
            code, output = await node.ask("reload")
            bench.expect(code == 0, f"`ossgate reload` exits with {code}: {output[-300:]}")
        waits.append(await until(lambda: is_in_force(number), 5, f"reload {number} is in force"))
        if number % 2:
            await until(lambda: is_serving(extra), 3, "an added listener serves")
        else:
            await until(is_closed, 5, "a removed listener is closed")
        await asyncio.sleep(max(began + pause - time.monotonic(), 0))

    await broken_files(bench, node, text(count), lambda: is_in_force(count))
    await asyncio.gather(*on_removed)
    tally = await load.stop()
    bench.figures.update(reloads=count, in_force_max_s=round(max(waits), 2), **tally.figures())
    # A request detects which config is in effect. On a busy machine it takes as long as the slowest request.
    slack = 1 + max(tally.times)
    bench.expect(max(waits) <= slack, f"a config was in effect only after {max(waits):.1f} s")
    bench.no_failures(tally)
    bench.expect((await origin.tell(stats=True))["twice"] == [], "an upload arrived twice")
    bench.expect(node.pids() == [node.started[0].pid], "another process than the first serves")


async def slow_transfer(target):
    await long_get(target, MIB, MIB // 2)


async def broken_files(bench, node, good, is_as_before):
    """Checks that a config with a problem changes nothing, and that the command reports the place."""
    lines = good.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("drain_timeout"))
    broken = {
        "unknown key": (lines[:at] + ["no_such_key = 1"] + lines[at:], at + 1),
        "no TOML": (lines[:at] + ["= = ="] + lines[at:], at + 1),
        "missing certificate": (lines + ["[[certificate]]", 'cert = "/nowhere/c.pem"', 'key = "/nowhere/k.pem"'], None),
    }
    for name, (text, line) in broken.items():
        node.file.write_text("\n".join(text) + "\n")
        node.started[0].signal(signal.SIGHUP)
        code, output = await node.ask("reload")
        place = rf"{re.escape(node.file.name)}:{line or '[0-9]+'}"
        bench.expect(code != 0, f"`ossgate reload` of a file with {name} exits with 0")
        bench.expect(re.search(place, output), f"`ossgate reload` of a file with {name} does not print {place}: {output[-300:]}")
        bench.expect(await is_as_before(), f"a file with {name} has changed something")
        bench.expect(node.started[0].is_alive(), f"a file with {name} ended the process")
    node.file.write_text(good)
    code, output = await node.ask("reload")
    bench.expect(code == 0, f"the good file is not loaded after broken ones: {output[-300:]}")
