"""Runs the operations with one SDK, one signature version, one style against one server.

Started by `run.py`; writes one JSON line per operation.
"""

import argparse
import importlib
import tempfile
import types

import common
import operations


def main():
    parser = argparse.ArgumentParser()
    for name in ("sdk", "version", "style", "port", "bucket", "key-id", "key-secret", "prefix", "big"):
        parser.add_argument("--" + name, required=True)
    for name in ("sts-id", "sts-secret", "sts-token"):
        parser.add_argument("--" + name, default="")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    common.resolve_locally()
    module = importlib.import_module({"oss2": "sdk_oss2", "v2": "sdk_v2"}[options.sdk])

    def sdk(key_id, secret, token=None):
        return module.Sdk(options.style, int(options.port), options.bucket, options.version, key_id, secret, token)

    with tempfile.TemporaryDirectory(prefix="ossgate-sdk-") as directory:
        context = types.SimpleNamespace(
            sdk=sdk(options.key_id, options.key_secret),
            stranger=sdk(options.key_id, options.key_secret + "x"),
            sts=sdk(options.sts_id, options.sts_secret, options.sts_token) if options.sts_id else None,
            # Statuses that are the SDK's own doing, reached or not through a proxy.
            odd_statuses=getattr(module, "ODD_STATUSES", {}),
            sts_statuses=getattr(module, "STS_STATUSES", {}).get(options.version, (200,)),
            key=lambda name: options.prefix + name,
            prefix=options.prefix, bucket=options.bucket, style=options.style, port=int(options.port),
            version=options.version, key_id=options.key_id, secret=options.key_secret,
            big=options.big, big_md5=common.md5_of_file(options.big), tmp=directory,
        )
        skipped = {name for name, _ in operations.BULK} if options.quick else set()
        if not options.sts_id:
            skipped.add("sts")
        common.run_all([one for one in operations.OPERATIONS if one[0] not in skipped], context)
        clean(context)


def clean(context):
    """Removes what the run left in the bucket."""
    for _ in range(10):
        keys = context.sdk.list_v2(context.prefix, "", "", 1000).get("keys")
        if not keys:
            return
        context.sdk.delete_many(keys)


main()
