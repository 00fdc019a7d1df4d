#!/usr/bin/env python3
"""The official SDKs through ossgate: every operation must have the same outcome as without it.

    matrix.py --ossgate PATH [--sdk NAME[,NAME]]

Starts `ossgate demo` (the real proxy in front of an OSS-like origin), runs the same operations with
each SDK directly against the origin and through the proxy in three styles, and compares the
results: status, error code and EC, ETag, CRC, headers, the MD5 of bodies. Styles: path by IP, a domain
bound to the bucket, virtual host. The SDKs are not modified. Name resolution is, so that
*.example.test leads to this machine.
"""
import argparse, hashlib, json, pathlib, random, re, socket, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
BUCKET, REGION = "examplebucket", "cn-hangzhou"

_resolve = socket.getaddrinfo
def _local(host, *rest, **more):
    name = host.decode() if isinstance(host, bytes) else host
    return _resolve("127.0.0.1" if name and name.endswith(".example.test") else host, *rest, **more)
socket.getaddrinfo = _local

STYLES = ("path by IP", "bound domain", "virtual host")

def endpoint(style, port):
    """Returns the endpoint, and whether the SDK treats it as a bound domain."""
    return {
        "path by IP": (f"http://127.0.0.1:{port}", False),
        "bound domain": (f"http://img.example.test:{port}", True),
        "virtual host": (f"http://oss.example.test:{port}", False),
    }[style]

class Demo:
    def __init__(self, binary):
        self.process = subprocess.Popen([binary, "demo"], stdout=subprocess.PIPE, text=True)
        self.facts = {}
        for line in self.process.stdout:
            found = re.match(r"(proxy|origin)\s+http://127\.0\.0\.1:(\d+)", line) or re.match(r"([a-z-]+)=(.+)", line)
            if found:
                self.facts[found[1]] = found[2].strip()
            if "Ctrl-C ends" in line:
                break
        self.proxy, self.origin = int(self.facts["proxy"]), int(self.facts["origin"])
    def stop(self):
        self.process.terminate()
        self.process.wait(20)

def outcome(run):
    """Returns the outcome of an operation, without the parts that differ between two runs."""
    try:
        return ("ok", run())
    except Exception as error:  # noqa: BLE001: every failure is an outcome that is compared
        return ("failed",) + describe(error)

def describe(error):
    inner = error
    for _ in range(4):
        if getattr(inner, "code", None) and getattr(inner, "status_code", getattr(inner, "status", None)):
            break
        inner = getattr(inner, "unwrap", lambda: None)() or inner.__cause__ or inner
    status = getattr(inner, "status_code", None) or getattr(inner, "status", None)
    return (type(inner).__name__, status, getattr(inner, "code", None), getattr(inner, "ec", None))

def large():
    """Returns 64 MiB that are the same in every run."""
    return random.Random(7).randbytes(1 << 20) * 64

# Operations that must fail, directly and through the proxy. All others must succeed on both ways.
REFUSED = {"head of nothing", "get of nothing", "wrong secret", "unknown key id", "not modified", "precondition failed",
           "content-md5 wrong", "forbid overwrite", "append at the wrong position", "standard range past the end"}

# One SDK refuses to make a presigned URL by IP.
NO_URL_BY_IP = "presigned put and get"

def md5(data):
    return hashlib.md5(data).hexdigest()

def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--ossgate", required=True)
    arguments.add_argument("--sdk", default="oss2-v1,oss2-v4,v2-v1,v2-v4,ali-oss-v1,ali-oss-v4")
    options = arguments.parse_args()
    import oss2_operations, v2_operations
    demo = Demo(options.ossgate)
    table, failed, passed = {}, 0, 0
    sdks = options.sdk.split(",")
    try:
        for sdk in sdks:
            def results(style, port, tag):
                where = endpoint(style, port)
                if sdk.startswith("ali-oss"):
                    return node(sdk, where, style, tag, demo.facts)
                module = oss2_operations if sdk.startswith("oss2") else v2_operations
                with tempfile.TemporaryDirectory() as directory:
                    runs = module.operations(sdk.endswith("v4"), where, tag, demo.facts, directory)
                    return {name: outcome(run) for name, run in runs}
            for style in STYLES:
                # Both ways use the same keys, one after the other, so both find the same origin.
                # No name leads to the origin in virtual-host style. By IP, ali-oss sends the Host of the
                # region with the bucket in the path, which OSS itself cannot serve.
                own = "bound domain" if sdk.startswith("ali-oss") else "path by IP" if style == "virtual host" else style
                direct = results(own, demo.origin, "k")
                through = results(style, demo.proxy, "k")
                for name, expected in direct.items():
                    if name == NO_URL_BY_IP and name not in through:
                        continue
                    got = through.get(name)
                    same = json.dumps(got, default=str) == json.dumps(expected, default=str)
                    same = same and expected[0] == ("failed" if name in REFUSED else "ok")
                    table.setdefault(name, {})[(sdk, style)] = same
                    passed, failed = passed + same, failed + (not same)
                    if not same:
                        print(f"DIFF {sdk}, {style}, {name}:\n  direct  {expected}\n  through {got}")
    finally:
        demo.stop()
    columns = [(sdk, style) for sdk in sdks for style in STYLES]
    print("\noperation".ljust(33) + " ".join(f"{sdk}:{style.split()[0]}".ljust(17) for sdk, style in columns))
    for name, cells in table.items():
        row = ["-" if column not in cells else "ok" if cells[column] else "DIFF" for column in columns]
        print(name.ljust(32) + " ".join(cell.ljust(17) for cell in row))
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0

def node(sdk, where, style, tag, facts):
    request = {"endpoint": where[0], "cname": where[1], "style": style, "v4": sdk.endswith("v4"), "tag": tag,
               "bucket": BUCKET, "region": REGION, "facts": facts}
    done = subprocess.run(["node", str(HERE / "ali-oss.mjs")], input=json.dumps(request), text=True, capture_output=True, timeout=240)
    if done.returncode:
        raise RuntimeError(f"the Node half failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout)

if __name__ == "__main__":
    sys.exit(main())
