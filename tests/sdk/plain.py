"""A plain HTTP client for what is fetched without an SDK: presigned URLs, forms, raw header bytes."""

import base64
import datetime
import hashlib
import hmac
import http.client
import json
import re
from urllib.parse import urlsplit

from common import BUCKET_DOMAIN, CNAME, REGION, md5, step


def exchange(method, url, headers=(), body=None):
    """Sends exactly this URL and these headers. `bytes` values go out byte for byte."""
    parts = urlsplit(url)
    target = url[url.index(parts.netloc) + len(parts.netloc):] or "/"
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=30)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", parts.netloc)
        for name, value in dict(headers).items():
            connection.putheader(name, value)
        if body is not None and "content-length" not in {name.lower() for name in dict(headers)}:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        data = answer.read()
        return step(answer.status, answer.getheaders(), **described(answer.status, data))
    finally:
        connection.close()


def described(status, data):
    """Digest of a body, or what an error document says."""
    if status < 400:
        return {"size": len(data), "md5": md5(data)}
    text = data.decode("utf-8", "replace")

    def element(name):
        found = re.search(f"<{name}>(.*?)</{name}>", text, re.S)
        return found and found.group(1)

    return {"code": element("Code"), "ec": element("EC"), "message": element("Message")}


def b64md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def form_url(style, port, bucket):
    return {
        "path": f"http://127.0.0.1:{port}/{bucket}/",
        "cname": f"http://{CNAME}:{port}/",
        "virtual": f"http://{bucket}.{BUCKET_DOMAIN}:{port}/",
    }[style]


def policy_fields(version, key_id, secret, bucket):
    """Policy and signature of a PostObject form, which no Python SDK makes."""
    now = datetime.datetime.now(datetime.timezone.utc)
    conditions = [{"bucket": bucket}, ["content-length-range", 0, 1 << 20]]
    fields = {}
    if version == "v4":
        date = now.strftime("%Y%m%d")
        scope = f"{date}/{REGION}/oss/aliyun_v4_request"
        fields = {
            "x-oss-signature-version": "OSS4-HMAC-SHA256",
            "x-oss-credential": f"{key_id}/{scope}",
            "x-oss-date": now.strftime("%Y%m%dT%H%M%SZ"),
        }
        conditions += [{name: value} for name, value in fields.items()]
    expiration = (now + datetime.timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    document = json.dumps({"expiration": expiration, "conditions": conditions})
    policy = base64.b64encode(document.encode()).decode()
    fields["policy"] = policy
    if version == "v4":
        key = ("aliyun_v4" + secret).encode()
        for part in (date, REGION, "oss", "aliyun_v4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        fields["x-oss-signature"] = hmac.new(key, policy.encode(), hashlib.sha256).hexdigest()
    else:
        digest = hmac.new(secret.encode(), policy.encode(), hashlib.sha1).digest()
        fields["OSSAccessKeyId"] = key_id
        fields["Signature"] = base64.b64encode(digest).decode()
    return fields


def post_form(url, fields, data):
    """POSTs a form whose last part is the file, as OSS demands."""
    boundary = "----ossgate0a1b2c3d"
    body = b""
    for name, value in fields.items():
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    body += (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return exchange("POST", url, {"Content-Type": f"multipart/form-data; boundary={boundary}"}, body)
