"""Objects whose bytes are computed from size and seed, by the client and by the origin.

The length of the period is a prime number, so a body that is resumed at a wrong offset has a wrong MD5.
"""

import functools
import hashlib
import random

PERIOD = 1_000_003
BASE = random.Random(7).randbytes(PERIOD)
TWICE = BASE + BASE
STEP = 64 * 1024


def piece(seed, start, stop):
    """Returns the bytes of object `seed` from `start` to before `stop`, at most one period."""
    at = (start + seed * 7919) % PERIOD
    return TWICE[at : at + stop - start]


def pieces(seed, start, stop, step=STEP):
    while start < stop:
        end = min(start + step, stop)
        yield piece(seed, start, end)
        start = end


@functools.lru_cache(maxsize=4096)
def md5(size, seed):
    digest = hashlib.md5()
    for part in pieces(seed, 0, size):
        digest.update(part)
    return digest.hexdigest()


def path(size, seed):
    return f"/o/{size}/{seed}"
