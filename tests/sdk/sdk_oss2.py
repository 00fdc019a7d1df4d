"""`oss2` (the first Python SDK) as an adapter for the operations."""

import hashlib
import os

import oss2
from oss2 import resumable
from oss2.models import PartInfo, Tagging, TaggingRule

from common import REGION, endpoint_of, md5, step


class BrokenOff(Exception):
    """Raised by a progress callback, to stop an SDK in the middle of its work."""


def answer(call):
    """Makes a call's result or error a step."""

    def wrapped(*args, **kwargs):
        try:
            return call(*args, **kwargs)
        except oss2.exceptions.OssError as error:
            if error.status < 0 and not isinstance(error, oss2.exceptions.RequestError):
                return step(error.status, {}, code=type(error).__name__, ec="", message=str(error.body))
            if error.status < 0:
                return step(error.status, {}, code="RequestError", ec="", message=type(error.exception).__name__)
            return step(error.status, error.headers.items(), code=error.code, ec=error.ec, message=error.message)

    return wrapped


def plain_step(result, **more):
    return step(result.status, result.headers.items(), **more)


class Sdk:
    def __init__(self, style, port, bucket, version, key_id, secret, token=None):
        if token and version == "v4":
            provider = oss2.credentials.StaticCredentialsProvider(key_id, secret, token)
            auth = oss2.ProviderAuthV4(provider)
        elif token:
            auth = oss2.StsAuth(key_id, secret, token)
        else:
            auth = {"v1": oss2.Auth, "v4": oss2.AuthV4}[version](key_id, secret)
        endpoint = endpoint_of(style, port)
        self.name = bucket
        self.bucket = oss2.Bucket(auth, endpoint, bucket, is_cname=style == "cname", region=REGION, connect_timeout=20)

    @answer
    def put(self, key, body, headers=None):
        result = self.bucket.put_object(key, body, headers=headers)
        return plain_step(result, etag=result.etag, crc=result.crc)

    @answer
    def put_stream(self, key, pieces):
        return plain_step(self.bucket.put_object(key, iter(pieces)))

    @answer
    def get(self, key, headers=None):
        result = self.bucket.get_object(key, headers=headers)
        data = result.read()
        return plain_step(result, size=len(data), md5=md5(data), crc=[result.client_crc, result.server_crc])

    @answer
    def get_file_md5(self, key):
        result, digest = self.bucket.get_object(key), hashlib.md5()
        while chunk := result.read(1 << 20):
            digest.update(chunk)
        return plain_step(result, md5=digest.hexdigest(), crc_equal=result.client_crc == result.server_crc)

    @answer
    def head(self, key, headers=None):
        return plain_step(self.bucket.head_object(key, headers=headers))

    @answer
    def meta(self, key):
        return plain_step(self.bucket.get_object_meta(key))

    @answer
    def delete(self, key):
        return plain_step(self.bucket.delete_object(key))

    def initiate(self, key):
        upload = []

        @answer
        def call():
            result = self.bucket.init_multipart_upload(key)
            upload.append(result.upload_id)
            return plain_step(result)

        return call(), (upload or [""])[0]

    def part(self, key, upload, number, data):
        return self._part(lambda: self.bucket.upload_part(key, upload, number, data))

    def part_copy(self, key, upload, number, source, first, last):
        return self._part(lambda: self.bucket.upload_part_copy(self.name, source, (first, last), key, upload, number))

    @staticmethod
    def _part(make):
        etag = []

        @answer
        def call():
            result = make()
            etag.append(result.etag)
            return plain_step(result, etag=result.etag)

        return call(), (etag or [""])[0]

    @answer
    def list_parts(self, key, upload):
        result = self.bucket.list_parts(key, upload)
        sizes = [[part.part_number, part.etag, part.size] for part in result.parts]
        return plain_step(result, parts=len(sizes), sizes=sizes)

    @answer
    def complete(self, key, upload, parts):
        result = self.bucket.complete_multipart_upload(key, upload, [PartInfo(number, etag) for number, etag in parts])
        return plain_step(result, etag=result.etag, crc=result.crc)

    @answer
    def abort(self, key, upload):
        return plain_step(self.bucket.abort_multipart_upload(key, upload))

    @answer
    def upload_file(self, key, path, directory, break_off=False):
        def progress(done, total):
            if done * 3 > total:
                raise BrokenOff

        store = oss2.ResumableStore(root=directory, dir="oss2-up")
        try:
            result = resumable.resumable_upload(
                self.bucket, key, path, store=store, multipart_threshold=1, part_size=8 << 20, num_threads=2,
                progress_callback=progress if break_off else None,
            )
        except BrokenOff:
            return {"broken": True, "records": len(os.listdir(os.path.join(directory, "oss2-up")))}
        return plain_step(result, broken=False)

    @answer
    def download_file(self, key, target, directory, break_off=False):
        def progress(done, total):
            if done * 3 > total:
                raise BrokenOff

        store = oss2.ResumableDownloadStore(root=directory, dir="oss2-down")
        try:
            resumable.resumable_download(
                self.bucket, key, target, store=store, multiget_threshold=1, part_size=8 << 20, num_threads=2,
                progress_callback=progress if break_off else None,
            )
        except BrokenOff:
            return {"broken": True}
        return {"broken": False}

    @answer
    def append(self, key, position, data):
        result = self.bucket.append_object(key, position, data)
        return plain_step(result, next=result.next_position, crc=result.crc)

    @answer
    def copy(self, source, target):
        result = self.bucket.copy_object(self.name, source, target)
        return plain_step(result, etag=result.etag)

    @answer
    def list_v1(self, prefix, delimiter, marker, limit):
        result = self.bucket.list_objects(prefix, delimiter, marker, limit)
        return self._listed(result, marker=result.next_marker)

    @answer
    def list_v2(self, prefix, delimiter, token, limit):
        result = self.bucket.list_objects_v2(prefix, delimiter, token, max_keys=limit)
        return self._listed(result, token=result.next_continuation_token)

    @staticmethod
    def _listed(result, **more):
        return plain_step(
            result, keys=[one.key for one in result.object_list], prefixes=list(result.prefix_list),
            objects=[[one.etag, one.size, one.type, one.storage_class] for one in result.object_list],
            truncated=bool(result.is_truncated), **more,
        )

    @answer
    def delete_many(self, keys):
        result = self.bucket.batch_delete_objects(keys)
        return plain_step(result, deleted=sorted(result.deleted_keys))

    @answer
    def put_tags(self, key, tags):
        rule = TaggingRule()
        for name, value in tags.items():
            rule.add(name, value)
        return plain_step(self.bucket.put_object_tagging(key, Tagging(rule)))

    @answer
    def get_tags(self, key):
        result = self.bucket.get_object_tagging(key)
        return plain_step(result, tags=dict(result.tag_set.tagging_rule))

    @answer
    def delete_tags(self, key):
        return plain_step(self.bucket.delete_object_tagging(key))

    @answer
    def put_symlink(self, key, target):
        return plain_step(self.bucket.put_symlink(target, key))

    @answer
    def get_symlink(self, key):
        result = self.bucket.get_symlink(key)
        return plain_step(result, target=result.target_key)

    def presign(self, method, key, headers, params, expires):
        return self.bucket.sign_url(method, key, expires, headers=dict(headers), params=dict(params)), dict(headers)
