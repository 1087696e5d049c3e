"""Uploads to S3 that a killed process left unfinished: nobody sees them, and they are paid for until they are aborted."""

import logging
from typing import Any, Final

__all__ = ["abort_uploads"]

_PROTOCOLS: Final = ("s3", "s3a")
logger = logging.getLogger(__name__)


def abort_uploads(filesystem: Any, path: str) -> int:
    """Abort the unfinished multipart uploads below a path of S3; returns how many there were.

    Only whoever holds the lease of the path may call this: another process's upload would be aborted too.

    Args:
        filesystem: Any store; those other than S3 have no such uploads.
        path: Bucket and key's beginning.
    """
    protocol = filesystem.protocol if isinstance(filesystem.protocol, tuple) else (filesystem.protocol,)
    if not set(protocol) & set(_PROTOCOLS):
        return 0
    bucket, _, prefix = path.partition("/")
    aborted = 0
    listed = filesystem.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{prefix.rstrip('/')}/")
    for upload in listed.get("Uploads") or ():
        filesystem.call_s3("abort_multipart_upload", Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        aborted += 1
    if aborted:
        logger.warning("%d unfinished uploads of a process that was killed were removed from %s", aborted, path)
    return aborted
