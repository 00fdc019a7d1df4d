"""The operations of PyPI `oss2`, as (name, function) pairs; each function gives what is compared."""
import base64, hashlib, os, urllib.parse, urllib.request
import oss2
from oss2.models import BatchDeleteObjectsResult  # noqa: F401: proves that the SDK is the real one
from matrix import BUCKET, REGION, large as same_large, md5

ODD_KEYS = ["目录/照片 1+2.jpg", "a%2Fb%20c", "x//y", "x/../y", "trailing/", "k" * 900, "q?a=b&c#d", "~!$'()*,;:@"]

def fetch(method, url, body=None, headers=None):
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, md5(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.read().split(b"<Code>")[-1].split(b"</Code>")[0].decode()

def facts_of(result):
    return result.status, result.etag, getattr(result, "crc", None), bool(result.request_id)

def operations(is_v4, where, tag, facts, directory):
    url, is_cname = where
    def client(key_id, secret, token=None):
        if token:
            auth = oss2.StsAuth(key_id, secret, token, auth_version="v4" if is_v4 else "v1")
        else:
            auth = (oss2.AuthV4 if is_v4 else oss2.Auth)(key_id, secret)
        return oss2.Bucket(auth, url, BUCKET, is_cname=is_cname, region=REGION, connect_timeout=30)
    bucket = client(facts["key-id"], facts["key-secret"])
    small, large = b"hello world" * 100, same_large()
    large_file, copy_file = os.path.join(directory, "large"), os.path.join(directory, "copy")
    with open(large_file, "wb") as file:
        file.write(large)
    large_sum = md5(large)
    key = lambda name: f"{tag}/oss2/{is_v4}/{name}"

    def get(name, **more):
        result = bucket.get_object(name, **more)
        body = result.read()
        return result.status, md5(body), result.headers.get("etag"), result.headers.get("content-range"), result.headers.get("content-type")

    def put_and_get(name, body, headers=None):
        return facts_of(bucket.put_object(name, body, headers=headers)), get(name)

    def append():
        name = key("append")
        bucket.delete_object(name)
        first = bucket.append_object(name, 0, b"one")
        second = bucket.append_object(name, first.next_position, b"two", init_crc=first.crc)
        return first.next_position, second.next_position, second.crc, get(name)[1]

    def multipart():
        name = key("multipart")
        upload = bucket.init_multipart_upload(name, headers={"content-type": "text/plain"}).upload_id
        parts = []
        for number in range(1, 65):
            piece = large[(number - 1) << 20:number << 20]
            parts.append(oss2.models.PartInfo(number, bucket.upload_part(name, upload, number, piece).etag, size=len(piece)))
        listed = len(bucket.list_parts(name, upload, max_parts=1000).parts)
        result = bucket.complete_multipart_upload(name, upload, parts)
        return listed, facts_of(result), hashlib.md5(bucket.get_object(name).read()).hexdigest() == large_sum

    def resumable():
        name = key("resumable")
        up = oss2.resumable_upload(bucket, name, large_file, multipart_threshold=1 << 20, part_size=4 << 20, num_threads=2,
                                   store=oss2.ResumableStore(root=directory))
        oss2.resumable_download(bucket, name, copy_file, multiget_threshold=1 << 20, part_size=4 << 20, num_threads=2,
                                store=oss2.ResumableDownloadStore(root=directory))
        with open(copy_file, "rb") as file:
            return up.status, up.etag, md5(file.read()) == large_sum

    def copy_part():
        name, source = key("copied-parts"), key("multipart")
        upload = bucket.init_multipart_upload(name).upload_id
        part = bucket.upload_part_copy(BUCKET, source, (0, 1048575), name, upload, 1)
        done = bucket.complete_multipart_upload(name, upload, [oss2.models.PartInfo(1, part.etag)])
        return facts_of(done), get(name)[1]

    def listing():
        for number in range(7):
            bucket.put_object(key(f"list/d{number % 2}/{number}"), b"x")
        names = [o.key for o in oss2.ObjectIterator(bucket, prefix=key("list/"), max_keys=2)]
        v2 = [o.key for o in oss2.ObjectIteratorV2(bucket, prefix=key("list/"), max_keys=3)]
        tops = bucket.list_objects(prefix=key("list/"), delimiter="/").prefix_list
        return names, v2, tops

    def tagging():
        rule = oss2.models.TaggingRule()
        rule.add("a", "1")
        rule.add("b c", "2+3")
        bucket.put_object_tagging(key("small"), oss2.models.Tagging(rule))
        tags = dict(bucket.get_object_tagging(key("small")).tag_set.tagging_rule)
        bucket.delete_object_tagging(key("small"))
        return tags, dict(bucket.get_object_tagging(key("small")).tag_set.tagging_rule)

    def symlink():
        bucket.put_symlink(key("small"), key("link"))
        return bucket.get_symlink(key("link")).target_key, get(key("link"))[1]

    def metadata():
        headers = {f"x-oss-meta-{number}": "v" * 100 for number in range(60)}
        bucket.put_object(key("meta"), b"x", headers=headers)
        return sorted((n, v) for n, v in bucket.head_object(key("meta")).headers.items() if n.lower().startswith("x-oss-meta"))

    def presigned():
        put = bucket.sign_url("PUT", key("signed"), 600, slash_safe=True, headers={"content-type": "text/plain"})
        first = fetch("PUT", put, b"signed body", {"content-type": "text/plain"})
        url = bucket.sign_url("GET", key("signed"), 600, slash_safe=True, params={"response-content-disposition": "inline"})
        return first, fetch("GET", url), fetch("GET", url.replace("inline", "attachment"))

    def sts():
        temporary = client(facts["sts-id"], facts["sts-secret"], facts["sts-token"])
        wrong = client(facts["sts-id"], facts["sts-secret"], "another")
        done = temporary.put_object(key("sts"), b"sts")
        try:
            wrong.get_object(key("sts"))
        except oss2.exceptions.OssError as error:
            return facts_of(done), error.status, error.code

    yield "put and get", lambda: put_and_get(key("small"), small, {"content-type": "text/plain", "cache-control": "no-cache"})
    yield "zero bytes", lambda: put_and_get(key("empty"), b"")
    yield "head", lambda: (bucket.head_object(key("small")).content_length, bucket.head_object(key("small")).server_crc)
    yield "object meta", lambda: bucket.get_object_meta(key("small")).content_length
    yield "head of nothing", lambda: bucket.head_object(key("nothing"))
    yield "get of nothing", lambda: bucket.get_object(key("nothing"))
    yield "wrong secret", lambda: client(facts["key-id"], "wrong").get_object(key("small"))
    yield "unknown key id", lambda: client("nobody", "wrong").get_object(key("small"))
    for number, odd in enumerate(ODD_KEYS):
        yield f"odd key {number}", lambda odd=odd: put_and_get(f"{tag}/{odd}", odd.encode())
    yield "range", lambda: get(key("small"), byte_range=(3, 9))
    yield "suffix range", lambda: get(key("small"), byte_range=(None, 5))
    yield "range past the end", lambda: get(key("small"), byte_range=(1000, 9999))
    yield "standard range past the end", lambda: get(key("small"), byte_range=(5000, 9999), headers={"x-oss-range-behavior": "standard"})
    yield "not modified", lambda: bucket.get_object(key("small"), headers={"if-none-match": "*"})
    yield "precondition failed", lambda: bucket.get_object(key("small"), headers={"if-match": '"0"'})
    yield "content-md5 good", lambda: put_and_get(key("md5"), b"x", {"Content-MD5": base64.b64encode(hashlib.md5(b"x").digest()).decode()})
    yield "content-md5 wrong", lambda: bucket.put_object(key("md5"), b"y", headers={"Content-MD5": base64.b64encode(hashlib.md5(b"x").digest()).decode()})
    yield "forbid overwrite", lambda: bucket.put_object(key("small"), b"x", headers={"x-oss-forbid-overwrite": "true"})
    yield "append", append
    yield "append at the wrong position", lambda: bucket.append_object(key("append"), 1, b"x")
    yield "multipart 64 MiB", multipart
    yield "resumable 64 MiB both ways", resumable
    yield "copy", lambda: (facts_of(bucket.copy_object(BUCKET, key("small"), key("copy"))), get(key("copy"))[1])
    yield "copy of a part", copy_part
    yield "chunked upload", lambda: put_and_get(key("chunked"), iter([b"a" * 70000, b"b" * 70000]))
    yield "list with paging", listing
    yield "tagging", tagging
    yield "symlink", symlink
    yield "60 metadata headers", metadata
    yield "presigned put and get", presigned
    yield "temporary key", sts
    yield "batch delete", lambda: sorted(bucket.batch_delete_objects([key("copy"), key("link"), f"{tag}/{ODD_KEYS[0]}"]).deleted_keys)
    yield "delete", lambda: bucket.delete_object(key("chunked")).status
    yield "bucket info", lambda: (bucket.get_bucket_info().name, bucket.get_bucket_location().location)
