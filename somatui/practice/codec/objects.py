"""Objects, owners and references in messages."""

from __future__ import annotations

from typing import Any

from somatui.practice.codec.text import digest_in, id_in, missing
from somatui.practice.messages import pb
from somatui.wire.objects import Object, Owner
from somatui.wire.text import b58encode
from somatui.wire.values import Manifest, ObjectRef


def owner_out(owner: Owner, prefix: str = "") -> Any:
    """An owner; effects write `0x` before the address, everything else does not."""
    if owner.address is not None:
        return pb.Owner(kind="ADDRESS", address=prefix + owner.address.hex())
    if owner.shared_since is not None:
        return pb.Owner(kind="SHARED", version=owner.shared_since)
    return pb.Owner(kind="IMMUTABLE")


def object_out(found: Object, prefix: str = "") -> Any:
    """An object; its contents leave out the id. Replies to an execution write `0x` before ids."""
    return pb.Object(
        object_id=prefix + found.id.hex(),
        version=found.version,
        digest=b58encode(found.digest),
        owner=owner_out(found.owner, prefix),
        object_type=found.type.label,
        contents=found.contents,
        previous_transaction=b58encode(found.previous_transaction),
    )


def ref_in(message: Any) -> ObjectRef:
    """A reference that a client sent; Refused when a part is missing."""
    for name in ("object_id", "version", "digest"):
        if not message.HasField(name):
            raise missing(name)
    object_id = id_in(message.object_id, "object_id")
    return ObjectRef(object_id, message.version, digest_in(message.digest, "digest"))


def ref_out(ref: ObjectRef) -> Any:
    """A reference."""
    return pb.ObjectReference(object_id=ref.id.hex(), version=ref.version, digest=b58encode(ref.digest))


def manifest_in(message: Any) -> Manifest:
    """A manifest that a client sent; Refused when a part is missing."""
    if message.WhichOneof("version") != "v1" or message.v1.metadata.WhichOneof("version") != "v1":
        raise missing("manifest")
    metadata = message.v1.metadata.v1
    if not message.v1.HasField("url") or len(metadata.checksum) != 32:
        raise missing("manifest.url or manifest.checksum")
    return Manifest(message.v1.url, metadata.checksum, metadata.size)


def manifest_out(manifest: Manifest) -> Any:
    """A manifest."""
    metadata = pb.Metadata(v1=pb.MetadataV1(checksum=manifest.checksum, size=manifest.size))
    return pb.Manifest(v1=pb.ManifestV1(url=manifest.url, metadata=metadata))
