"""Ways in which a file that commands read may be packed, by the ending of its name."""

import gzip

import pyarrow as pa


def _zstd(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


PACKINGS = {"": bytes, ".gz": gzip.compress, ".zst": _zstd}
