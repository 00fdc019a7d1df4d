"""The operations of the matrix, written once for both Python SDKs.

An adapter (`sdk_oss2`, `sdk_v2`) makes each call and answers with a step; what must be true of any
OSS is demanded here, so that two equal failures do not pass for fidelity.
"""

import json
import os
import pathlib

import plain
from common import header, md5, md5_of_file

CASES = json.loads(pathlib.Path(__file__).with_name("cases.json").read_text(encoding="utf-8"))
SMALL = bytes(range(256)) * 40 + b"the end"
MIB = 1 << 20


def put(x, s):
    sent = s.want(x.sdk.put(x.key("basic.bin"), SMALL, {"Content-Type": "application/x-test"}), 200)
    s.note(header(sent, "etag") == f'"{md5(SMALL).upper()}"', "the ETag is not the MD5")
    s.note(header(sent, "x-oss-hash-crc64ecma"), "no CRC-64")


def get(x, s):
    s.want(x.sdk.get(x.key("basic.bin")), 200, md5=md5(SMALL))


def head(x, s):
    one = s.want(x.sdk.head(x.key("basic.bin")), 200)
    s.note(header(one, "content-length") == str(len(SMALL)), "the length of a HEAD is wrong")


def object_meta(x, s):
    one = s.want(x.sdk.meta(x.key("basic.bin")), 200)
    s.note(header(one, "content-length") == str(len(SMALL)), "the length of the meta is wrong")


def put_empty(x, s):
    s.want(x.sdk.put(x.key("empty"), b""), 200)
    s.want(x.sdk.get(x.key("empty")), 200, md5=md5(b""), size=0)


def put_chunked(x, s):
    pieces = [SMALL[at:at + 1000] for at in range(0, len(SMALL), 1000)]
    s.want(x.sdk.put_stream(x.key("chunked"), pieces), 200)
    s.want(x.sdk.get(x.key("chunked")), 200, md5=md5(SMALL))


def delete(x, s):
    s.want(x.sdk.put(x.key("gone"), b"x"), 200)
    s.want(x.sdk.delete(x.key("gone")), 204)
    s.want(x.sdk.head(x.key("gone")), 404)
    s.want(x.sdk.delete(x.key("gone")), 204)


def multipart(x, s):
    """64 MiB in 8 parts; one list of parts; one upload that is given up."""
    key, part_size = x.key("multipart"), 8 * MIB
    one, upload = x.sdk.initiate(key)
    s.want(one, 200)
    parts = []
    with open(x.big, "rb") as file:
        number = 0
        while data := file.read(part_size):
            number += 1
            one, etag = x.sdk.part(key, upload, number, data)
            s.want(one, 200)
            parts.append((number, etag))
    s.want(x.sdk.list_parts(key, upload), 200, parts=len(parts))
    done = s.want(x.sdk.complete(key, upload, parts), 200)
    s.note((header(done, "etag") or "").endswith(f'-{len(parts)}"'), "the ETag is not a multipart one")
    s.want(x.sdk.get_file_md5(key), 200, md5=x.big_md5)
    one, upload = x.sdk.initiate(key)
    s.want(one, 200)
    s.want(x.sdk.abort(key, upload), 204)
    s.want(x.sdk.list_parts(key, upload), 404, code="NoSuchUpload")


def resumable_upload(x, s):
    """Broken off in the middle, then resumed from the SDK's own checkpoint."""
    s.append(x.sdk.upload_file(x.key("resumable"), x.big, x.tmp, break_off=True))
    s.note(s[-1]["broken"], "the upload was not broken off")
    one = s.want(x.sdk.upload_file(x.key("resumable"), x.big, x.tmp), 200)
    s.note(header(one, "etag"), "no ETag")
    s.want(x.sdk.head(x.key("resumable")), 200)


def resumable_download(x, s):
    target = os.path.join(x.tmp, "download")
    s.append(x.sdk.download_file(x.key("resumable"), target, x.tmp, break_off=True))
    s.append(x.sdk.download_file(x.key("resumable"), target, x.tmp))
    found = md5_of_file(target)
    os.unlink(target)
    s.append({"md5": found})
    s.note(found == x.big_md5, "the download differs from the upload")


def append(x, s):
    key = x.key("append")
    s.want(x.sdk.append(key, 0, b"first "), 200, next=6)
    s.want(x.sdk.append(key, 6, b"second"), 200, next=12)
    refused = s.want(x.sdk.append(key, 3, b"wrong"), 409, code="PositionNotEqualToLength")
    s.note(header(refused, "x-oss-next-append-position") == "12", "the right position is not told")
    s.want(x.sdk.get(key), 200, md5=md5(b"first second"))


def copy(x, s):
    target = x.key("copy of + 拷贝")
    s.want(x.sdk.copy(x.key(CASES["keys"]["key-unicode"]), target), 404, code="NoSuchKey")
    s.want(x.sdk.put(x.key("copy/源 +%"), SMALL, {"x-oss-meta-kept": "yes"}), 200)
    s.want(x.sdk.copy(x.key("copy/源 +%"), target), 200)
    one = s.want(x.sdk.get(target), 200, md5=md5(SMALL))
    s.note(header(one, "x-oss-meta-kept") == "yes", "the copy lost its metadata")


def copy_part(x, s):
    key = x.key("part-copy")
    one, upload = x.sdk.initiate(key)
    s.want(one, 200)
    middle = 5000
    parts = []
    for number, (first, last) in enumerate([(0, middle - 1), (middle, len(SMALL) - 1)], 1):
        one, etag = x.sdk.part_copy(key, upload, number, x.key("basic.bin"), first, last)
        s.want(one, 200)
        parts.append((number, etag))
    # OSS demands 100 KiB of every part but the last; an origin may be milder. Either is compared.
    done = s.want(x.sdk.complete(key, upload, parts), 200, 400)
    if done["status"] == 200:
        s.want(x.sdk.get(key), 200, md5=md5(SMALL))


def ranges(x, s):
    key = x.key("basic.bin")
    for text, wanted in [("0-99", SMALL[:100]), ("100-100", SMALL[100:101]), ("10240-", SMALL[10240:]), ("-7", SMALL[-7:])]:
        one = s.want(x.sdk.get(key, {"Range": f"bytes={text}"}), 206, md5=md5(wanted))
        s.note(header(one, "content-range"), "no Content-Range")


def ranges_wrong(x, s):
    """Without the standard behaviour OSS answers the whole object; with it, 416."""
    key = x.key("basic.bin")
    for text in ["20000-30000", "5-2", "0-99,200-299"]:
        s.want(x.sdk.get(key, {"Range": f"bytes={text}"}), 200, 206)
        s.want(x.sdk.get(key, {"Range": f"bytes={text}", "x-oss-range-behavior": "standard"}), 200, 206, 416)
    one = x.sdk.get(key, {"Range": "bytes=20000-30000", "x-oss-range-behavior": "standard"})
    s.want(one, 416, code="InvalidRange")
    # The end beyond the object: whole by default, cut with the standard behaviour.
    s.want(x.sdk.get(key, {"Range": "bytes=10000-99999"}), 200, md5=md5(SMALL))
    s.want(x.sdk.get(key, {"Range": "bytes=10000-99999", "x-oss-range-behavior": "standard"}), 206, md5=md5(SMALL[10000:]))


def conditions(x, s):
    key, etag = x.key("basic.bin"), f'"{md5(SMALL).upper()}"'
    past, future = "Mon, 01 Jan 2024 00:00:00 GMT", "Fri, 01 Jan 2027 00:00:00 GMT"
    for call in (x.sdk.get, x.sdk.head):
        s.want(call(key, {"If-Match": etag}), 200)
        s.want(call(key, {"If-Match": '"00000000000000000000000000000000"'}), 412)
        s.want(call(key, {"If-None-Match": etag}), 304)
        s.want(call(key, {"If-None-Match": '"00000000000000000000000000000000"'}), 200)
        s.want(call(key, {"If-Modified-Since": past}), 200)
        s.want(call(key, {"If-Unmodified-Since": past}), 412)
        # A date in the future is a matter of the origin; equal it must be.
        s.want(call(key, {"If-Modified-Since": future}), 200, 304)


def listing(x, s):
    for name in CASES["listing"]:
        s.want(x.sdk.put(x.key("list/" + name), name.encode()), 200)


def list_v1(x, s):
    listing(x, s)
    found, marker = [], ""
    for _ in range(20):
        one = s.want(x.sdk.list_v1(x.key("list/"), "/", marker, 2), 200)
        found += one["keys"] + one["prefixes"]
        marker = one.pop("marker")
        if not one["truncated"]:
            break
    tops = {name.split("/")[0] + ("/" if "/" in name else "") for name in CASES["listing"]}
    s.note(sorted(found) == sorted(x.key("list/" + top) for top in tops), f"listed {found}")


def list_v2(x, s):
    found, token = [], ""
    for _ in range(20):
        one = s.want(x.sdk.list_v2(x.key("list/"), "", token, 3), 200)
        found += one["keys"]
        token = one.pop("token")
        if not one["truncated"]:
            break
    s.note(found == sorted((x.key("list/" + name) for name in CASES["listing"]), key=lambda key: key.encode()), f"listed {found}")
    s.want(x.sdk.list_v2(x.key("list/"), "/", "", 100), 200)


def delete_many(x, s):
    keys = [x.key("many/" + name) for name in CASES["listing"]]
    for key in keys:
        s.want(x.sdk.put(key, b"x"), 200)
    one = s.want(x.sdk.delete_many(keys + [x.key("many/never was")]), 200)
    s.note(len(one["deleted"]) == len(keys) + 1, "not all were deleted")
    s.want(x.sdk.list_v2(x.key("many/"), "", "", 100), 200, keys=[])


def tagging(x, s):
    key = x.key("basic.bin")
    s.want(x.sdk.put_tags(key, {"colour": "blue", "size+": "10/1"}), 200)
    s.want(x.sdk.get_tags(key), 200, tags={"colour": "blue", "size+": "10/1"})
    s.want(x.sdk.put(x.key("tagged"), b"x", {"x-oss-tagging": "a=1&b=%2B"}), 200)
    s.want(x.sdk.get_tags(x.key("tagged")), 200, tags={"a": "1", "b": "+"})
    s.want(x.sdk.delete_tags(key), 204)


def symlink(x, s):
    s.want(x.sdk.put(x.key("目标 +"), b"target"), 200)
    s.want(x.sdk.put_symlink(x.key("link"), x.key("目标 +")), 200)
    s.want(x.sdk.get_symlink(x.key("link")), 200, target=x.key("目标 +"))
    s.want(x.sdk.get(x.key("link")), 200, md5=md5(b"target"))


def fetch(x, method, key, headers=None, params=None, body=None, expires=300, sdk=None, more=None):
    """Presigns with the SDK, fetches without it."""
    url, signed = (sdk or x.sdk).presign(method, key, headers or {}, params or {}, expires)
    return plain.exchange(method, url, {**signed, **(more or {})}, body)


def presigned_get(x, s):
    for name in ("basic.bin", "目标 +"):
        s.want(fetch(x, "GET", x.key(name)), 200)
    s.want(fetch(x, "HEAD", x.key("basic.bin")), 200)
    s.want(fetch(x, "GET", x.key("basic.bin"), more={"Range": "bytes=1-3"}), 206, md5=md5(SMALL[1:4]))
    one = s.want(fetch(x, "GET", x.key("basic.bin"), params={"response-content-disposition": "inline; filename=a b+c.txt"}), 200)
    s.note(header(one, "content-disposition") == "inline; filename=a b+c.txt", "the override is lost")


def presigned_put(x, s):
    key = x.key("presigned +照")
    headers = {"Content-Type": "text/x-put", "x-oss-meta-by": "url"}
    s.want(fetch(x, "PUT", key, headers, body=SMALL), 200)
    one = s.want(x.sdk.get(key), 200, md5=md5(SMALL))
    s.note(header(one, "x-oss-meta-by") == "url", "the signed header is lost")
    s.want(fetch(x, "PUT", key, headers, body=SMALL, more={"x-oss-meta-by": "changed"}), 403, code="SignatureDoesNotMatch")
    if x.version == "v1":
        s.want(fetch(x, "GET", key, expires=-60), 403, code="AccessDenied")


def sts(x, s):
    s.want(x.sts.put(x.key("sts"), b"by token"), *x.sts_statuses)
    s.want(x.sts.get(x.key("basic.bin")), *x.sts_statuses)
    s.want(fetch(x, "GET", x.key("basic.bin"), sdk=x.sts), 200, md5=md5(SMALL))


def post_form(x, s):
    url = plain.form_url(x.style, x.port, x.bucket)
    fields = {"key": x.key("form +照.bin"), "x-oss-meta-form": "yes"}
    good = {**fields, **plain.policy_fields(x.version, x.key_id, x.secret, x.bucket)}
    s.want(plain.post_form(url, good, SMALL), 200, 204)
    s.want(x.sdk.get(fields["key"]), 200, md5=md5(SMALL))
    s.want(plain.post_form(url, {**good, "success_action_status": "201"}, SMALL), 201)
    bad = {**fields, **plain.policy_fields(x.version, x.key_id, "wrong", x.bucket)}
    s.want(plain.post_form(url, bad, SMALL), 403)


def content_md5(x, s):
    s.want(x.sdk.put(x.key("md5"), b"right", {"Content-MD5": plain.b64md5(b"right")}), 200)
    s.want(x.sdk.put(x.key("md5"), b"right", {"Content-MD5": plain.b64md5(b"wrong")}), 400, code="InvalidDigest")
    s.want(x.sdk.put(x.key("md5"), b"right", {"Content-MD5": "not base64!"}), 400, code="InvalidDigest")


def forbid_overwrite(x, s):
    headers = {"x-oss-forbid-overwrite": "true"}
    s.want(x.sdk.put(x.key("once"), b"1", headers), 200)
    s.want(x.sdk.put(x.key("once"), b"2", headers), 409, code="FileAlreadyExists")


def no_such_key(x, s):
    s.want(x.sdk.get(x.key("nothing")), 404, code="NoSuchKey")
    s.want(x.sdk.head(x.key("nothing")), 404)
    s.want(x.sdk.get_tags(x.key("nothing")), 404)


def wrong_secret(x, s):
    one = s.want(x.stranger.get(x.key("basic.bin")), 403, code="SignatureDoesNotMatch")
    s.note(one["ec"], "no EC")
    s.want(x.stranger.put(x.key("never"), SMALL), 403, code="SignatureDoesNotMatch")
    s.want(x.stranger.head(x.key("basic.bin")), 403)
    s.want(fetch(x, "GET", x.key("basic.bin"), sdk=x.stranger), 403, code="SignatureDoesNotMatch")


def key_case(name, text):
    def one_key(x, s):
        key = x.key(text)
        allowed = x.odd_statuses.get(name, (200,))
        body = text.encode()
        if s.want(x.sdk.put(key, body), *allowed)["status"] != 200:
            return
        s.want(x.sdk.get(key), 200, md5=md5(body))
        s.want(x.sdk.head(key), 200)
        s.want(x.sdk.list_v2(key, "", "", 10), 200, keys=[key])
        s.want(fetch(x, "GET", key), 200, md5=md5(body))
        s.want(x.sdk.delete(key), 204)
        s.want(x.sdk.get(key), 404, code="NoSuchKey")

    return name, one_key


def metadata_60(x, s):
    headers = {f"x-oss-meta-name-{n:02}": f"value {n} " + "v" * 20 for n in range(60)}
    s.want(x.sdk.put(x.key("meta60"), b"x", headers), 200)
    one = s.want(x.sdk.head(x.key("meta60")), 200)
    found = {name: value for name, value in one["headers"] if name.startswith("x-oss-meta-")}
    s.note(found == headers, f"{len(found)} metadata headers came back")


def big_header(x, s):
    value = "0123456789abcdef" * 448  # 7 KiB of the 8 KiB that OSS keeps as metadata
    s.want(x.sdk.put(x.key("bigmeta"), b"x", {"x-oss-meta-big": value}), 200)
    one = s.want(x.sdk.get(x.key("bigmeta")), 200)
    s.note(header(one, "x-oss-meta-big") == value, "the big header came back changed")
    s.want(fetch(x, "GET", x.key("basic.bin"), more={"X-Pad": "p" * 16000, "Cookie": "c=" + "q" * 8000}), 200, md5=md5(SMALL))


def raw_header_bytes(x, s):
    """Bytes that are no ASCII in a header, sent and read back without an SDK."""
    key, value = x.key("raw"), CASES["raw_value"]
    for sent in (value.encode(), "attachment; filename=caf\u00e9.txt".encode("latin-1")):
        s.want(fetch(x, "PUT", key, body=b"x", more={"Content-Disposition": sent}), 200)
        for method in ("GET", "HEAD"):
            one = s.want(fetch(x, method, key), 200)
            s.note(header(one, "content-disposition") == sent.decode("latin-1"), "the bytes came back changed")


BULK = [("multipart-64m", multipart), ("resumable-upload", resumable_upload), ("resumable-download", resumable_download)]

OPERATIONS = [
    ("put", put), ("get", get), ("head", head), ("object-meta", object_meta), ("put-empty", put_empty),
    ("put-chunked", put_chunked), ("delete", delete), *BULK, ("append", append), ("copy", copy),
    ("part-copy", copy_part), ("ranges", ranges), ("ranges-wrong", ranges_wrong), ("conditions", conditions),
    ("list-v1", list_v1), ("list-v2", list_v2), ("delete-many", delete_many), ("tagging", tagging),
    ("symlink", symlink), ("presigned-get", presigned_get), ("presigned-put", presigned_put), ("sts", sts),
    ("post-form", post_form), ("content-md5", content_md5), ("forbid-overwrite", forbid_overwrite),
    ("no-such-key", no_such_key), ("wrong-secret", wrong_secret),
    *(key_case(name, text) for name, text in CASES["keys"].items()), key_case("key-900-bytes", "长" * 300),
    ("metadata-60", metadata_60), ("big-header", big_header), ("raw-header-bytes", raw_header_bytes),
]
