"""What the Python workers share: name resolution, the recorder of outcomes, normalisation.

An outcome is what a program could notice: statuses, headers, digests of bodies, error codes. What
differs between any two requests (dates, request ids, the name of the host asked) is reduced to
"it was there".
"""

import hashlib
import json
import socket
import sys
import time
import traceback

BUCKET_DOMAIN = "oss.example.test"
CNAME = "img.example.test"
REGION = "cn-hangzhou"

# Different in every answer, but must be there or not be there alike.
PRESENT = {"date", "last-modified", "x-oss-request-id", "x-oss-server-time", "expires"}
# About one connection, not about the object; or the proxy's own.
DROPPED = {"connection", "keep-alive", "x-ossgate-request-id"}


def resolve_locally():
    """Lets every host under example.test be 127.0.0.1, without touching an SDK."""
    original = socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        name = host.decode() if isinstance(host, bytes) else host
        if name and name.endswith(".example.test"):
            host = "127.0.0.1"
        return original(host, *args, **kwargs)

    socket.getaddrinfo = getaddrinfo


def endpoint_of(style, port):
    """The endpoint an SDK is given for a style."""
    host = {"path": "127.0.0.1", "cname": CNAME, "virtual": BUCKET_DOMAIN}[style]
    return f"http://{host}:{port}"


def md5(data):
    return hashlib.md5(data).hexdigest()


def md5_of_file(path):
    digest = hashlib.md5()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def normal_headers(pairs):
    """Headers as a sorted list, volatile values reduced to their presence."""
    kept = []
    for name, value in pairs:
        name = name.lower()
        if name in DROPPED:
            continue
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        kept.append([name, "*" if name in PRESENT else value])
    return sorted(kept)


def step(status, headers, **more):
    """One exchange, as compared."""
    return {"status": status, "headers": normal_headers(headers), **more}


def header(of, name):
    """The first value of a header of a step."""
    return next((value for key, value in of["headers"] if key == name), None)


class Unsound(Exception):
    """The outcome is not what OSS does, so that comparing it would prove nothing."""


class Steps(list):
    """The exchanges of one operation, in order."""

    def want(self, one, *statuses, **fields):
        """Records a step that must have one of these statuses and these fields."""
        self.append(one)
        if statuses and one["status"] not in statuses:
            raise Unsound(f"status {one['status']}, wanted {statuses}: {json.dumps(one)[:600]}")
        for name, value in fields.items():
            if one.get(name) != value:
                raise Unsound(f"{name} is {one.get(name)!r}, wanted {value!r}")
        return one

    def note(self, condition, text):
        if not condition:
            raise Unsound(text)


def run_all(operations, context):
    """Runs operations in order, one JSON line each; never stops at a failing one."""
    for name, operation in operations:
        steps, unsound, began = Steps(), None, time.monotonic()
        try:
            operation(context, steps)
        except Unsound as error:
            unsound = str(error)
        except Exception as error:  # an SDK raised something that is no answer
            steps.append({"raised": type(error).__name__})
            unsound = "".join(traceback.format_exception_only(error)).strip()
            where = traceback.extract_tb(error.__traceback__)[-1]
            unsound += f" at {where.filename.rsplit('/', 1)[-1]}:{where.lineno}"
        line = {"op": name, "steps": steps, "unsound": unsound, "seconds": round(time.monotonic() - began, 3)}
        # The prefix of keys names the run, so it must not count.
        text = json.dumps(line, ensure_ascii=True).replace(context.prefix.rstrip("/"), "PREFIX")
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
