#!/usr/bin/env python3
"""PyPI `oss2` on routes with a `path`. It writes each slash of a key as %2F, which names the same object.

    routes.py --ossgate PATH

Starts `ossgate demo` for its origin, which verifies signatures, and `ossgate run` in front of it with routes
that have a path: alone, with a guard, with `strip_path`, with `prefix`, with both. A signature covers the key
that the client names. So signed operations work where the route leaves the key alone. With `strip_path` or
`prefix` unsigned ones work, and presigned URLs that were made for the key OSS is sent; other signed ones are
refused by OSS.
"""
import argparse, pathlib, socket, subprocess, sys, tempfile, time, urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import oss2
from matrix import BUCKET, REGION, Demo, md5
from oss2_operations import fetch

HOST = "img.example.test"
READ_ONLY = 'guard = { preset = "read-only" }'
# Path of the route, its rules, and further keys of its origin. A path with the bucket is for path style.
ROUTES = (
    ("/plain", "", ""),
    ("/read%20only/a", READ_ONLY, ""),
    ("/cut", "", "strip_path = true"),
    ("/under", "", 'prefix = "data/"'),
    ("/both", "", 'prefix = "data/"\nstrip_path = true'),
    (f"/{BUCKET}/plain", "", ""),
    (f"/{BUCKET}/read%20only/a", READ_ONLY, ""),
    ("/gate", "", "strip_path = true"),
)

class Gate:
    """The real proxy with the routes above."""
    def __init__(self, binary, origin):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        text = f'[[listener]]\naddress = "127.0.0.1:{self.port}"\nhealth_path = "/healthy"\n'
        for path, rules, keys in ROUTES:
            is_many = path.startswith(f"/{BUCKET}") or path == "/gate"
            hosts = "" if is_many else f'hosts = ["{HOST}"]\n'
            bucket = f'buckets = ["{BUCKET}"]' if is_many else f'bucket = "{BUCKET}"\nhost = "{HOST}"'
            text += f'[[route]]\n{hosts}path = "{path}"\n{rules}\n[route.origin]\n{bucket}\n{keys}\nendpoint = "127.0.0.1:{origin}"\ntls = false\n'
        self.directory = tempfile.TemporaryDirectory()
        config = pathlib.Path(self.directory.name, "ossgate.toml")
        config.write_text(text)
        log = open(pathlib.Path(self.directory.name, "log"), "w+")
        self.process = subprocess.Popen([binary, "run", "-c", str(config)], stdout=log, stderr=log)
        for _ in range(400):
            try:
                if fetch("GET", f"http://127.0.0.1:{self.port}/healthy")[0] == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        log.seek(0)
        raise RuntimeError("the proxy is not ready: " + log.read())

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.directory.cleanup()

def outcome(run):
    """Returns the result, or status and code of a failure."""
    try:
        return run()
    except oss2.exceptions.OssError as error:
        return error.status, error.code

def life(bucket, name):
    """The life of an object: written, read whole and in part, in parts, copied, appended to, linked, deleted."""
    first = bucket.put_object(name, b"one two three", headers={"x-oss-meta-a": "1"})
    whole, part = bucket.get_object(name).read(), bucket.get_object(name, byte_range=(4, 6)).read()
    upload = bucket.init_multipart_upload(name + ".parts").upload_id
    piece = bucket.upload_part(name + ".parts", upload, 1, b"x" * 200000)
    listed = len(bucket.list_parts(name + ".parts", upload).parts)
    bucket.complete_multipart_upload(name + ".parts", upload, [oss2.models.PartInfo(1, piece.etag)])
    copied = bucket.copy_object(BUCKET, name, name + ".copy").etag
    appended = bucket.append_object(name + ".log", 0, b"line").next_position
    bucket.put_symlink(name, name + ".link")
    link = bucket.get_symlink(name + ".link").target_key
    size = bucket.head_object(name + ".parts").content_length
    ends = [bucket.delete_object(name + end).status for end in (".parts", ".copy", ".log", ".link", "")]
    return first.etag, md5(whole), part, listed, copied, appended, link, size, ends

def read(bucket, name):
    found = bucket.get_object(name)
    return found.status, md5(found.read()), bucket.head_object(name).content_length, bucket.get_object(name, byte_range=(1, 3)).read()

def cases(is_v4, demo, gate):
    """Yields a name, what came through the proxy, and what is right."""
    auth = (oss2.AuthV4 if is_v4 else oss2.Auth)(demo.facts["key-id"], demo.facts["key-secret"])
    def bucket(auth, port, host=HOST):
        return oss2.Bucket(auth, f"http://{host}:{port}", BUCKET, is_cname=host == HOST, region=REGION, connect_timeout=30)
    direct = bucket(auth, demo.origin)
    through = {"bound domain": bucket(auth, gate.port), "path style": bucket(auth, gate.port, "127.0.0.1")}
    anonymous = bucket(oss2.AnonymousAuth(), gate.port)
    odd = "plain/\u76ee\u5f55/a+b c%2Fd//e"
    for style, one in through.items():
        for name in ("plain/a/b.txt", odd):
            yield f"signed, {style}, {name}", outcome(lambda: life(one, name)), life(direct, name)
        direct.put_object("read only/a/x", b"only read")
        yield f"guarded read, {style}", outcome(lambda: one.get_object("read only/a/x").read()), b"only read"
        yield f"guarded write, {style}", outcome(lambda: one.put_object("read only/a/x", b"x").status), (403, "ProxyAccessDenied")
        direct.put_object(odd, b"odd")
        for slashes in (True, False):
            url = one.sign_url("GET", odd, 600, slash_safe=slashes)
            yield f"presigned, {style}, slash_safe={slashes}", fetch("GET", url), (200, md5(b"odd"))
    for key in ("data/x/y.txt", "data/under/x/y.txt"):
        direct.put_object(key, b"0123456789")
    right = read(direct, "data/x/y.txt")
    for name, key in (("cut/data/x/y.txt", "data/x/y.txt"), ("under/x/y.txt", "data/under/x/y.txt"), ("both/x/y.txt", "data/x/y.txt")):
        yield f"unsigned, {name}", outcome(lambda: read(anonymous, name)), right
        yield f"signed for the client's key, {name}", outcome(lambda: read(through["bound domain"], name)), (403, "SignatureDoesNotMatch")
        url = urllib.parse.urlsplit(direct.sign_url("GET", key, 600))
        asked = urllib.parse.quote(name, safe="")
        url = f"http://{HOST}:{gate.port}/{asked}?{url.query}"
        yield f"presigned for OSS's key, {name}", fetch("GET", url), (200, md5(b"0123456789"))
    # Path style below a path: the SDK cannot be given one, so the URL is changed.
    url = urllib.parse.urlsplit(direct.sign_url("GET", odd, 600))
    asked = urllib.parse.quote(f"gate/{BUCKET}/{odd}", safe="")
    yield "presigned, strip_path in path style", fetch("GET", f"http://127.0.0.1:{gate.port}/{asked}?{url.query}"), (200, md5(b"odd"))
    # A key below none of the paths.
    yield "no route", outcome(lambda: through["bound domain"].get_object("elsewhere/x").read()), (404, "UnknownHost")

def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--ossgate", required=True)
    binary = arguments.parse_args().ossgate
    demo, passed, failed = Demo(binary), 0, 0
    try:
        gate = Gate(binary, demo.origin)
        try:
            for is_v4 in (False, True):
                for name, got, expected in cases(is_v4, demo, gate):
                    same = got == expected
                    passed, failed = passed + same, failed + (not same)
                    if not same:
                        print(f"DIFF {'v4' if is_v4 else 'v1'}, {name}:\n  expected {expected}\n  got      {got}")
        finally:
            gate.stop()
    finally:
        demo.stop()
    print(f"oss2 on routes with a path: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0

if __name__ == "__main__":
    sys.exit(main())
