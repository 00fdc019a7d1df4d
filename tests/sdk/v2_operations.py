"""The operations of PyPI `alibabacloud-oss-v2`, as (name, function) pairs."""
import os
import alibabacloud_oss_v2 as oss
from matrix import BUCKET, REGION, large as same_large, md5
from oss2_operations import ODD_KEYS, fetch

def operations(is_v4, where, tag, facts, directory):
    url, is_cname = where
    def client(key_id, secret, token=None):
        config = oss.config.load_default()
        config.credentials_provider = oss.credentials.StaticCredentialsProvider(key_id, secret, token)
        config.region, config.endpoint, config.use_cname = REGION, url, is_cname
        config.signature_version = "v4" if is_v4 else "v1"
        config.retry_max_attempts = 1
        return oss.Client(config)
    bucket = client(facts["key-id"], facts["key-secret"])
    small, large = b"hello world" * 100, same_large()
    large_file, copy_file = os.path.join(directory, "large"), os.path.join(directory, "copy")
    with open(large_file, "wb") as file:
        file.write(large)
    key = lambda name: f"{tag}/v2/{is_v4}/{name}"

    def get(name, **more):
        result = bucket.get_object(oss.GetObjectRequest(bucket=BUCKET, key=name, **more))
        with result.body as body:
            return result.status_code, md5(body.read()), result.etag, result.content_range, result.content_type, result.hash_crc64

    def put(name, body, **more):
        result = bucket.put_object(oss.PutObjectRequest(bucket=BUCKET, key=name, body=body, **more))
        return result.status_code, result.etag, result.hash_crc64, bool(result.request_id)

    def append():
        bucket.delete_object(oss.DeleteObjectRequest(bucket=BUCKET, key=key("append")))
        first = bucket.append_object(oss.AppendObjectRequest(bucket=BUCKET, key=key("append"), position=0, body=b"one"))
        second = bucket.append_object(oss.AppendObjectRequest(bucket=BUCKET, key=key("append"), position=first.next_position, body=b"two"))
        return first.next_position, second.next_position, second.hash_crc64, get(key("append"))[1]

    def manager():
        up = bucket.uploader(part_size=4 << 20, parallel_num=2).upload_file(
            oss.PutObjectRequest(bucket=BUCKET, key=key("large")), filepath=large_file)
        bucket.downloader(part_size=4 << 20, parallel_num=2).download_file(
            oss.GetObjectRequest(bucket=BUCKET, key=key("large")), filepath=copy_file)
        with open(copy_file, "rb") as file:
            return up.status_code, up.hash_crc64 is not None, md5(file.read()) == md5(large)

    def listing():
        for number in range(7):
            put(key(f"list/d{number % 2}/{number}"), b"x")
        pages = bucket.list_objects_v2_paginator().iter_page(oss.ListObjectsV2Request(bucket=BUCKET, prefix=key("list/"), max_keys=3))
        names = [o.key for page in pages for o in page.contents or []]
        first = bucket.list_objects(oss.ListObjectsRequest(bucket=BUCKET, prefix=key("list/"), delimiter="/"))
        return names, [p.prefix for p in first.common_prefixes]

    def tagging():
        tags = oss.Tagging(tag_set=oss.TagSet(tags=[oss.Tag(key="a", value="1"), oss.Tag(key="b c", value="2+3")]))
        bucket.put_object_tagging(oss.PutObjectTaggingRequest(bucket=BUCKET, key=key("small"), tagging=tags))
        found = bucket.get_object_tagging(oss.GetObjectTaggingRequest(bucket=BUCKET, key=key("small")))
        return [(t.key, t.value) for t in found.tag_set.tags]

    def symlink():
        bucket.put_symlink(oss.PutSymlinkRequest(bucket=BUCKET, key=key("link"), symlink_target=key("small")))
        return bucket.get_symlink(oss.GetSymlinkRequest(bucket=BUCKET, key=key("link"))).target, get(key("link"))[1]

    def metadata():
        put(key("meta"), b"x", metadata={str(number): "v" * 100 for number in range(60)})
        return sorted(bucket.head_object(oss.HeadObjectRequest(bucket=BUCKET, key=key("meta"))).metadata.items())

    def presigned():
        put_url = bucket.presign(oss.PutObjectRequest(bucket=BUCKET, key=key("signed")))
        get_url = bucket.presign(oss.GetObjectRequest(bucket=BUCKET, key=key("signed")))
        return fetch("PUT", put_url.url, b"signed", dict(put_url.signed_headers or {})), fetch("GET", get_url.url), fetch("GET", get_url.url + "0")

    def copy():
        done = bucket.copy_object(oss.CopyObjectRequest(bucket=BUCKET, key=key("copy"), source_bucket=BUCKET, source_key=key("small")))
        return done.status_code, done.etag, get(key("copy"))[1]

    def sts():
        temporary = client(facts["sts-id"], facts["sts-secret"], facts["sts-token"])
        return temporary.head_object(oss.HeadObjectRequest(bucket=BUCKET, key=key("small"))).status_code

    yield "put and get", lambda: (put(key("small"), small, content_type="text/plain"), get(key("small")))
    yield "zero bytes", lambda: (put(key("empty"), b""), get(key("empty")))
    yield "head", lambda: bucket.head_object(oss.HeadObjectRequest(bucket=BUCKET, key=key("small"))).content_length
    yield "object meta", lambda: bucket.get_object_meta(oss.GetObjectMetaRequest(bucket=BUCKET, key=key("small"))).content_length
    yield "head of nothing", lambda: bucket.head_object(oss.HeadObjectRequest(bucket=BUCKET, key=key("nothing")))
    yield "get of nothing", lambda: get(key("nothing"))
    yield "wrong secret", lambda: client(facts["key-id"], "wrong").get_object(oss.GetObjectRequest(bucket=BUCKET, key=key("small")))
    for number, odd in enumerate(ODD_KEYS):
        if ".." in odd:
            continue  # the HTTP library of this SDK removes dot segments
        yield f"odd key {number}", lambda odd=odd: (put(f"{tag}/{odd}", odd.encode()), get(f"{tag}/{odd}"))
    yield "range", lambda: get(key("small"), range_header="bytes=3-9")
    yield "suffix range", lambda: get(key("small"), range_header="bytes=-5")
    yield "standard range past the end", lambda: get(key("small"), range_header="bytes=5000-9999", range_behavior="standard")
    yield "not modified", lambda: get(key("small"), if_none_match="*")
    yield "precondition failed", lambda: get(key("small"), if_match='"0"')
    yield "content-md5 wrong", lambda: put(key("md5"), b"y", content_md5="ndTkYSaMgDT1yFZOFVxnpg==")
    yield "forbid overwrite", lambda: put(key("small"), b"x", forbid_overwrite=True)
    yield "append", append
    yield "resumable 64 MiB both ways", manager
    yield "copy", copy
    yield "list with paging", listing
    yield "tagging", tagging
    yield "symlink", symlink
    yield "60 metadata headers", metadata
    yield "presigned put and get", presigned
    if is_v4:
        # With V1 this SDK release does not sign the token. See the notes in the vectors.
        yield "temporary key", sts
    yield "batch delete", lambda: sorted(d.key for d in bucket.delete_multiple_objects(oss.DeleteMultipleObjectsRequest(
        bucket=BUCKET, objects=[oss.DeleteObject(key=key("copy")), oss.DeleteObject(key=key("link"))])).deleted_objects)
    yield "delete", lambda: bucket.delete_object(oss.DeleteObjectRequest(bucket=BUCKET, key=key("meta"))).status_code
