"""`alibabacloud-oss-v2` (the second Python SDK) as an adapter for the operations."""

import datetime
import glob
import hashlib
import os

import alibabacloud_oss_v2 as oss
from alibabacloud_oss_v2 import exceptions

from common import REGION, endpoint_of, md5, step

# This SDK leaves `/` in the path as it is, and the `requests` library below it resolves `/../`
# after the SDK has signed: the request is broken before it leaves the client.
ODD_STATUSES = {"key-dotdot": (403, 404)}
# With V1 it sends the token under a name that OSS does not know.
STS_STATUSES = {"v1": (200, 403)}


class BrokenOff(Exception):
    """Raised by a progress callback, to stop the SDK in the middle of its work."""


def unwrapped(error):
    while not isinstance(error, exceptions.ServiceError) and hasattr(error, "unwrap") and error.unwrap() is not None:
        error = error.unwrap()
    return error


def answer(call):
    """Makes a call's result or error a step."""

    def wrapped(*args, **kwargs):
        try:
            return call(*args, **kwargs)
        except exceptions.BaseError as error:
            error = unwrapped(error)
            if isinstance(error, BrokenOff):
                return {"broken": True}
            if not isinstance(error, exceptions.ServiceError):
                return step(-1, {}, code=type(error).__name__, ec="", message=str(error)[:200])
            return step(
                error.status_code, (error.headers or {}).items(), code=error.code, ec=error.ec, message=error.message
            )

    return wrapped


def plain_step(result, **more):
    return step(result.status_code, result.headers.items(), **more)


class Sdk:
    def __init__(self, style, port, bucket, version, key_id, secret, token=None):
        config = oss.config.load_default()
        config.credentials_provider = oss.credentials.StaticCredentialsProvider(key_id, secret, token)
        config.region = REGION
        config.endpoint = endpoint_of(style, port)
        config.signature_version = version
        config.use_cname = style == "cname"
        self.client = oss.Client(config)
        self.name = bucket

    def _of(self, kind, key, headers=None, **fields):
        return kind(bucket=self.name, key=key, headers=dict(headers or {}), **fields)

    @answer
    def put(self, key, body, headers=None):
        result = self.client.put_object(self._of(oss.PutObjectRequest, key, headers, body=body))
        return plain_step(result, etag=result.etag, crc=result.hash_crc64)

    @answer
    def put_stream(self, key, pieces):
        return plain_step(self.client.put_object(self._of(oss.PutObjectRequest, key, body=iter(pieces))))

    @answer
    def get(self, key, headers=None):
        result = self.client.get_object(self._of(oss.GetObjectRequest, key, headers))
        data = result.body.read()
        result.body.close()
        return plain_step(result, size=len(data), md5=md5(data), crc=result.hash_crc64)

    @answer
    def get_file_md5(self, key):
        result, digest = self.client.get_object(self._of(oss.GetObjectRequest, key)), hashlib.md5()
        for chunk in result.body.iter_bytes(block_size=1 << 20):
            digest.update(chunk)
        return plain_step(result, md5=digest.hexdigest())

    @answer
    def head(self, key, headers=None):
        return plain_step(self.client.head_object(self._of(oss.HeadObjectRequest, key, headers)))

    @answer
    def meta(self, key):
        return plain_step(self.client.get_object_meta(self._of(oss.GetObjectMetaRequest, key)))

    @answer
    def delete(self, key):
        return plain_step(self.client.delete_object(self._of(oss.DeleteObjectRequest, key)))

    def initiate(self, key):
        upload = []

        @answer
        def call():
            result = self.client.initiate_multipart_upload(self._of(oss.InitiateMultipartUploadRequest, key))
            upload.append(result.upload_id)
            return plain_step(result)

        return call(), (upload or [""])[0]

    def part(self, key, upload, number, data):
        request = self._of(oss.UploadPartRequest, key, upload_id=upload, part_number=number, body=data)
        return self._part(lambda: self.client.upload_part(request))

    def part_copy(self, key, upload, number, source, first, last):
        request = self._of(
            oss.UploadPartCopyRequest, key, upload_id=upload, part_number=number,
            source_bucket=self.name, source_key=source, source_range=f"bytes={first}-{last}",
        )
        return self._part(lambda: self.client.upload_part_copy(request))

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
        result = self.client.list_parts(self._of(oss.ListPartsRequest, key, upload_id=upload))
        sizes = [[part.part_number, part.etag, part.size] for part in result.parts or []]
        return plain_step(result, parts=len(sizes), sizes=sizes)

    @answer
    def complete(self, key, upload, parts):
        listed = oss.CompleteMultipartUpload(parts=[oss.UploadPart(part_number=n, etag=etag) for n, etag in parts])
        request = self._of(
            oss.CompleteMultipartUploadRequest, key, upload_id=upload, complete_multipart_upload=listed
        )
        result = self.client.complete_multipart_upload(request)
        return plain_step(result, etag=result.etag, crc=result.hash_crc64, key=result.key)

    @answer
    def abort(self, key, upload):
        return plain_step(self.client.abort_multipart_upload(self._of(oss.AbortMultipartUploadRequest, key, upload_id=upload)))

    @answer
    def upload_file(self, key, path, directory, break_off=False):
        def progress(_piece, done, total):
            if done * 3 > total:
                raise BrokenOff

        uploader = self.client.uploader(
            part_size=8 << 20, parallel_num=2, leave_parts_on_error=True, enable_checkpoint=True, checkpoint_dir=directory
        )
        request = self._of(oss.PutObjectRequest, key, progress_fn=progress if break_off else None)
        try:
            result = uploader.upload_file(request, path)
        except BrokenOff:
            return {"broken": True}
        return plain_step(result, broken=False, etag=result.etag, crc=result.hash_crc64)

    @answer
    def download_file(self, key, target, directory, break_off=False):
        def progress(_piece, done, total):
            if done * 3 > total:
                raise BrokenOff

        downloader = self.client.downloader(part_size=8 << 20, parallel_num=2, enable_checkpoint=True, checkpoint_dir=directory)
        request = self._of(oss.GetObjectRequest, key, progress_fn=progress if break_off else None)
        try:
            result = downloader.download_file(request, target)
        except BrokenOff:
            return {"broken": True}
        return {"broken": False, "written": result.written, "left": len(glob.glob(os.path.join(directory, "*.dcp")))}

    @answer
    def append(self, key, position, data):
        result = self.client.append_object(self._of(oss.AppendObjectRequest, key, position=position, body=data))
        return plain_step(result, next=result.next_position, crc=result.hash_crc64)

    @answer
    def copy(self, source, target):
        result = self.client.copy_object(
            self._of(oss.CopyObjectRequest, target, source_bucket=self.name, source_key=source)
        )
        return plain_step(result, etag=result.etag)

    @answer
    def list_v1(self, prefix, delimiter, marker, limit):
        request = oss.ListObjectsRequest(
            bucket=self.name, prefix=prefix, delimiter=delimiter, marker=marker, max_keys=limit, encoding_type="url"
        )
        result = self.client.list_objects(request)
        return self._listed(result, marker=result.next_marker)

    @answer
    def list_v2(self, prefix, delimiter, token, limit):
        request = oss.ListObjectsV2Request(
            bucket=self.name, prefix=prefix, delimiter=delimiter or None, continuation_token=token or None,
            max_keys=limit, encoding_type="url",
        )
        result = self.client.list_objects_v2(request)
        return self._listed(result, token=result.next_continuation_token)

    @staticmethod
    def _listed(result, **more):
        return plain_step(
            result, keys=[one.key for one in result.contents or []],
            prefixes=[one.prefix for one in result.common_prefixes or []],
            objects=[[one.etag, one.size, one.object_type, one.storage_class] for one in result.contents or []],
            truncated=bool(result.is_truncated), **more,
        )

    @answer
    def delete_many(self, keys):
        request = oss.DeleteMultipleObjectsRequest(
            bucket=self.name, encoding_type="url", objects=[oss.DeleteObject(key=key) for key in keys]
        )
        result = self.client.delete_multiple_objects(request)
        return plain_step(result, deleted=sorted(one.key for one in result.deleted_objects or []))

    @answer
    def put_tags(self, key, tags):
        listed = [oss.Tag(key=name, value=value) for name, value in tags.items()]
        tagging = oss.Tagging(tag_set=oss.TagSet(tags=listed))
        return plain_step(self.client.put_object_tagging(self._of(oss.PutObjectTaggingRequest, key, tagging=tagging)))

    @answer
    def get_tags(self, key):
        result = self.client.get_object_tagging(self._of(oss.GetObjectTaggingRequest, key))
        return plain_step(result, tags={tag.key: tag.value for tag in result.tag_set.tags or []})

    @answer
    def delete_tags(self, key):
        return plain_step(self.client.delete_object_tagging(self._of(oss.DeleteObjectTaggingRequest, key)))

    @answer
    def put_symlink(self, key, target):
        return plain_step(self.client.put_symlink(self._of(oss.PutSymlinkRequest, key, symlink_target=target)))

    @answer
    def get_symlink(self, key):
        result = self.client.get_symlink(self._of(oss.GetSymlinkRequest, key))
        return plain_step(result, target=result.target or result.symlink_target)

    def presign(self, method, key, headers, params, expires):
        kind = {"GET": oss.GetObjectRequest, "HEAD": oss.HeadObjectRequest, "PUT": oss.PutObjectRequest}[method]
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=expires)
        result = self.client.presign(self._of(kind, key, headers, parameters=dict(params)), expiration=until)
        return result.url, {**headers, **(result.signed_headers or {})}
