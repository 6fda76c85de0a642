"""The practice network's object store: S3's path-style API on 127.0.0.1, one bucket readable by everybody."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime
from urllib.parse import unquote
from xml.sax.saxutils import escape

from aiohttp import web

from somatui.practice.store_auth import Asked, Body, Credentials, check_body, verify
from somatui.practice.store_files import PIECE, Entry, Folder, StoreError

BUCKET = "practice"
LARGEST = 5 * 1024**3
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _xml(root: str, inner: str, status: int = 200) -> web.Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{_NAMESPACE}">{inner}</{root}>'
    return web.Response(status=status, body=body.encode(), content_type="application/xml")


def _tags(**values: object) -> str:
    return "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in values.items())


def _error(why: StoreError, method: str) -> web.Response:
    if method == "HEAD":
        return web.Response(status=why.status)
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{_tags(Code=why.code, Message=why.text)}</Error>'
    return web.Response(status=why.status, body=body.encode(), content_type="application/xml")


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


class ObjectStore:
    """Serves a folder; everything but anonymous reading of objects in `practice` must be signed."""

    def __init__(self, folder: Folder, keys: Credentials) -> None:
        self.folder, self._keys = folder, keys
        folder.make_bucket(BUCKET)

    def app(self) -> web.Application:
        """The HTTP application."""
        app = web.Application(client_max_size=LARGEST)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        bucket, _, key = unquote(path.lstrip("/")).partition("/")
        try:
            payload = self._admitted(request, path, query, bucket, key)
            if not bucket:
                names = "".join(f"<Bucket>{_tags(Name=name)}</Bucket>" for name in (BUCKET,))
                return _xml("ListAllMyBucketsResult", f"<Buckets>{names}</Buckets>")
            return await (self._object if key else self._bucket)(request, bucket, key, payload)
        except StoreError as why:
            return _error(why, request.method)
        except ValueError as why:
            return _error(StoreError("InvalidArgument", f"The request cannot be read ({why})", 400), request.method)

    def _admitted(self, request: web.Request, path: str, query: str, bucket: str, key: str) -> str:
        headers = {name.lower(): value for name, value in request.headers.items()}
        signed = "authorization" in headers or "X-Amz-Signature" in query
        if not signed and bucket == BUCKET and key and request.method in ("GET", "HEAD") and not query:
            return "UNSIGNED-PAYLOAD"
        return verify(Asked(request.method, path, query, headers), self._keys)

    async def _bucket(self, request: web.Request, bucket: str, _key: str, _payload: str) -> web.StreamResponse:
        if request.method == "PUT" and not request.query_string:
            if not bucket.replace("-", "").replace(".", "").isalnum() or bucket.startswith("."):
                raise StoreError("InvalidBucketName", f"{bucket} is no name for a bucket", 400)
            self.folder.make_bucket(bucket)
            return web.Response(headers={"Location": f"/{bucket}"})
        entries = self.folder.bucket(bucket)
        if request.method == "HEAD":
            return web.Response()
        if request.method == "GET" and "location" in request.query:
            return _xml("LocationConstraint", "")
        if request.method == "GET" and not {"acl", "policy", "versions", "uploads"} & set(request.query):
            return _listing(bucket, entries, request)
        raise StoreError("NotImplemented", "This store does not know that request", 501)

    async def _object(self, request: web.Request, bucket: str, key: str, payload: str) -> web.StreamResponse:
        if "acl" in request.query:
            text = "This store knows no ACLs: objects in the bucket practice are public"
            raise StoreError("AccessControlListNotSupported", text, 400)
        if len(key.encode()) > 1024:
            raise StoreError("KeyTooLongError", "A key has at most 1,024 bytes", 400)
        upload = request.query.get("uploadId")
        match request.method:
            case "GET" | "HEAD":
                return await self._read(request, bucket, self.folder.entry(bucket, key))
            case "PUT" if "x-amz-copy-source" not in request.headers:
                return await self._write(request, bucket, key, payload, upload)
            case "DELETE" if upload:
                self.folder.drop_upload(upload, bucket, key)
                return web.Response(status=204)
            case "DELETE":
                self.folder.delete(bucket, key)
                return web.Response(status=204)
            case "POST" if "uploads" in request.query:
                made = self.folder.begin_upload(bucket, key, _content_type(request))
                return _xml("InitiateMultipartUploadResult", _tags(Bucket=bucket, Key=key, UploadId=made))
            case "POST" if upload:
                entry = await self.folder.finish_upload(upload, bucket, key, _parts(await request.read()))
                where = str(request.url.with_query(None))
                inner = _tags(Location=where, Bucket=bucket, Key=key, ETag=f'"{entry.etag}"')
                return _xml("CompleteMultipartUploadResult", inner)
        raise StoreError("NotImplemented", "This store does not know that request", 501)

    async def _read(self, request: web.Request, bucket: str, entry: Entry) -> web.StreamResponse:
        when = datetime.fromtimestamp(entry.modified_ms // 1000, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = {"Content-Type": entry.content_type, "ETag": f'"{entry.etag}"', "Last-Modified": when}
        start, stop = _range(request.headers.get("Range"), entry.size)
        answer = web.StreamResponse(headers=headers | {"Accept-Ranges": "bytes"})
        if (start, stop) != (0, entry.size):
            answer.set_status(206)
            answer.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{entry.size}"
        answer.content_length = stop - start
        with self.folder.path(bucket, entry).open("rb") as file:
            await answer.prepare(request)
            file.seek(start)
            while request.method == "GET" and start < stop:
                piece = file.read(min(PIECE, stop - start))
                start += len(piece)
                await answer.write(piece)
        await answer.write_eof()
        return answer

    async def _write(
        self, request: web.Request, bucket: str, key: str, payload: str, upload: str | None
    ) -> web.StreamResponse:
        self.folder.bucket(bucket)
        parts = self.folder.upload(upload, bucket, key) if upload else None
        body = Body(_pieces(request), payload.startswith("STREAMING-"))
        path, digests = await self.folder.receive(aiter(body))
        try:
            headers = {name.lower(): value for name, value in request.headers.items()}
            check_body(payload, headers | body.trailers, digests)
            length = headers.get("x-amz-decoded-content-length")
            if length is not None and length != str(digests.size):
                raise StoreError("IncompleteBody", f"{length} bytes were announced, {digests.size} came", 400)
        except StoreError:
            path.unlink()
            raise
        if parts is not None:
            self.folder.keep_part(parts, int(request.query.get("partNumber", "0")), path, digests)
        else:
            self.folder.keep(bucket, key, path, digests, digests.md5, _content_type(request))
        return web.Response(headers={"ETag": f'"{digests.md5}"'})


def _range(text: str | None, size: int) -> tuple[int, int]:
    """First byte and the one after the last of `bytes=a-b`, `bytes=a-` or `bytes=-n`; anything else is the whole."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", text or "")
    if not found or found[1] == found[2] == "":
        return 0, size
    first, last = found.groups()
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= stop:
        raise StoreError("InvalidRange", f"The object has {size} bytes", 416)
    return start, stop


async def _pieces(request: web.Request) -> AsyncIterator[bytes]:
    async for piece in request.content.iter_chunked(64 * 1024):
        yield piece


def _content_type(request: web.Request) -> str:
    return request.headers.get("Content-Type", "binary/octet-stream")


def _parts(body: bytes) -> Iterable[tuple[int, str]]:
    try:
        root = ET.fromstring(body)
        for part in root:
            values = {child.tag.rpartition("}")[2]: (child.text or "") for child in part}
            yield int(values["PartNumber"]), values["ETag"].strip('"')
    except (ET.ParseError, KeyError, ValueError):
        raise StoreError("MalformedXML", "The list of parts cannot be read", 400) from None


def _listing(bucket: str, entries: dict[str, Entry], request: web.Request) -> web.Response:
    prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
    after = request.query.get("continuation-token") or request.query.get("start-after") or ""
    most = min(int(request.query.get("max-keys", "1000")), 1000)
    rows: list[str] = []
    groups: list[str] = []
    last, more = "", False
    for key in sorted(entries):
        if not key.startswith(prefix) or key <= after or (groups and key.startswith(groups[-1])):
            continue
        if len(rows) + len(groups) == most:
            more = True
            break
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        if cut >= 0:
            groups.append(key[: cut + len(delimiter)])
            last = groups[-1] + "\U0010ffff"
        else:
            one = entries[key]
            tags = _tags(Key=key, LastModified=_iso(one.modified_ms), ETag=f'"{one.etag}"', Size=one.size)
            rows.append(f"<Contents>{tags}<StorageClass>STANDARD</StorageClass></Contents>")
            last = key
    told = _tags(Name=bucket, Prefix=prefix, MaxKeys=most, KeyCount=len(rows) + len(groups))
    told += _tags(IsTruncated=str(more).lower()) + (_tags(NextContinuationToken=last) if more else "")
    common = "".join(f"<CommonPrefixes>{_tags(Prefix=g)}</CommonPrefixes>" for g in groups)
    return _xml("ListBucketResult", told + "".join(rows) + common)
