"""The operations of PyPI `oss2`, as (name, function) pairs; each function returns what is compared."""
import base64, datetime, email.utils, hashlib, hmac, json, os, socket, urllib.parse, urllib.request
import oss2, requests
from oss2.models import BatchDeleteObjectsResult  # noqa: F401: fails if the SDK is not the real one
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

    def form():
        """PostObject, which the SDKs do not have. Signed as in the documentation."""
        policy = {"expiration": "2099-01-01T00:00:00.000Z", "conditions": [["content-length-range", 0, 1 << 20]]}
        policy = base64.b64encode(json.dumps(policy).encode()).decode()
        sign = lambda key, text, how=hashlib.sha256: hmac.new(key, text.encode(), how).digest()
        if is_v4:
            time = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
            signing = ("aliyun_v4" + facts["key-secret"]).encode()
            for part in (time[:8], REGION, "oss", "aliyun_v4_request"):
                signing = sign(signing, part)
            signed = {"x-oss-signature-version": "OSS4-HMAC-SHA256", "x-oss-date": time, "x-oss-signature": sign(signing, policy).hex(),
                      "x-oss-credential": f"{facts['key-id']}/{time[:8]}/{REGION}/oss/aliyun_v4_request"}
        else:
            signature = base64.b64encode(sign(facts["key-secret"].encode(), policy, hashlib.sha1)).decode()
            signed = {"OSSAccessKeyId": facts["key-id"], "Signature": signature}
        host = url.removeprefix("http://")
        place = url if is_cname else f"http://{BUCKET}.{host}" if "example.test" in host else f"{url}/{BUCKET}"
        def post(body, **more):
            fields = {"key": key("form/${filename}"), "policy": policy, "x-oss-meta-a": "\u76ee", **signed, **more}
            answer = requests.post(place + "/", data=fields, files={"file": ("a b.bin", body, "text/plain")}, allow_redirects=False)
            return answer.status_code, answer.headers.get("etag"), answer.headers.get("location"), answer.text.count(key("form/a b.bin"))
        return (post(small), get(key("form/a b.bin")), post(b"", success_action_status="201"), post(b"x" * (2 << 20)),
                post(b"x", success_action_redirect="http://example.com/done"), post(b"x", **{name: "wrong" for name in signed if name.lower().endswith("signature")}))

    def raw_header():
        """Header values that are not UTF-8, as old clients sign and send them."""
        value = b"caf\xe9 \xff"
        if is_v4:
            return "V4 signs text"
        date = email.utils.formatdate(usegmt=True)
        name = key("raw-header")
        text = f"PUT\n\n\n{date}\nx-oss-meta-raw:".encode() + value + f"\n/{BUCKET}/{name}".encode()
        signature = base64.b64encode(hmac.new(facts["key-secret"].encode(), text, hashlib.sha1).digest()).decode()
        host = url.removeprefix("http://")
        virtual = not is_cname and "example.test" in host
        path = f"/{name}" if is_cname or virtual else f"/{BUCKET}/{name}"
        address, port = host.rsplit(":", 1)
        with socket.create_connection(("127.0.0.1", int(port))) as stream:
            stream.sendall(f"PUT {path} HTTP/1.1\r\nHost: {BUCKET + '.' if virtual else ''}{host}\r\nDate: {date}\r\nConnection: close\r\n"
                           f"Authorization: OSS {facts['key-id']}:{signature}\r\nContent-Length: 1\r\nx-oss-meta-raw: ".encode() + value + b"\r\n\r\nx")
            status = stream.makefile("rb").readline()
        back = bucket.head_object(name).resp.response.raw.headers.get("x-oss-meta-raw")
        return status, back.encode("latin-1") == value

    def list_buckets():
        auth = (oss2.AuthV4 if is_v4 else oss2.Auth)(facts["key-id"], facts["key-secret"])
        found = oss2.Service(auth, url, region=REGION, connect_timeout=30).list_buckets()
        return found.status, BUCKET in [one.name for one in found.buckets]

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
    yield "form upload", form
    yield "raw header bytes", raw_header
    yield "batch delete", lambda: sorted(bucket.batch_delete_objects([key("copy"), key("link"), f"{tag}/{ODD_KEYS[0]}"]).deleted_keys)
    yield "delete", lambda: bucket.delete_object(key("chunked")).status
    if not is_cname:
        # A bound domain stands for one bucket, so no request to it names the service.
        yield "list buckets", list_buckets
    yield "bucket info", lambda: (bucket.get_bucket_info().name, bucket.get_bucket_location().location)
