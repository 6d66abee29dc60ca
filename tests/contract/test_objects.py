"""What Objects and Secrets promise."""

import hashlib
from collections.abc import Callable
from random import Random

import pytest

from shared.errors import InvalidInput, NotFound
from shared.limits import PART_BYTES
from shared.payloads.base import Encryption
from shared.ports import Objects
from tests.contract.conftest import World

MEBIBYTE = 1 << 20

BYTES: Callable[[int], bytes] = Random(1).randbytes


async def read(objects: Objects, key: str) -> list[bytes]:
    return [chunk async for chunk in objects.stream(key)]


def test_an_object_is_what_was_put_there_last(world: World) -> None:
    objects, key = world.ports.objects, world.fresh("key") + "/with blanks & é+#?.json"

    async def story() -> None:
        assert await objects.get(key) is None
        await objects.put(key, b"first")
        await objects.put(key, b"second", content_type="text/plain")
        assert await objects.get(key) == b"second"
        assert await read(objects, key) == [b"second"]

    world.run(story())


def test_an_empty_object_is_there(world: World) -> None:
    objects, key = world.ports.objects, world.fresh("key")

    async def story() -> None:
        await objects.put(key, b"")
        assert await objects.get(key) == b""
        assert b"".join(await read(objects, key)) == b""

    world.run(story())


def test_streaming_what_is_not_there_says_so(world: World) -> None:
    key = world.fresh("key")
    with pytest.raises(NotFound) as refusal:
        world.run(read(world.ports.objects, key))
    assert refusal.value.field == key


@pytest.mark.parametrize(
    "size_bytes",
    [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 50 * MEBIBYTE + 3],
    ids=["empty", "a byte", "just under a part", "a part", "just over a part", "many parts"],
)
def test_an_upload_of_any_size_comes_back_whole_and_in_pieces(world: World, size_bytes: int) -> None:
    """With more parts than may be in flight at once."""
    objects, key, body = world.ports.objects, world.fresh("key"), BYTES(size_bytes)

    async def story() -> None:
        upload = await objects.upload(key)
        for start in range(0, size_bytes, 3 * MEBIBYTE):
            await upload.write(body[start : start + 3 * MEBIBYTE])
        assert await objects.get(key) is None
        await upload.complete()
        assert upload.size_bytes == size_bytes
        assert upload.sha256 == hashlib.sha256(body).hexdigest()
        chunks = await read(objects, key)
        assert max((len(chunk) for chunk in chunks), default=0) <= PART_BYTES
        assert b"".join(chunks) == body

    world.run(story())


def test_a_chunk_of_many_parts_is_cut_up(world: World) -> None:
    objects, key, body = world.ports.objects, world.fresh("key"), BYTES(20 * MEBIBYTE)

    async def story() -> None:
        upload = await objects.upload(key)
        await upload.write(body)
        await upload.complete()
        assert b"".join(await read(objects, key)) == body

    world.run(story())


@pytest.mark.parametrize("size_bytes", [MEBIBYTE, 20 * MEBIBYTE], ids=["small", "large"])
def test_an_aborted_upload_leaves_nothing_however_often_it_is_aborted(world: World, size_bytes: int) -> None:
    objects, key = world.ports.objects, world.fresh("key")

    async def story() -> None:
        upload = await objects.upload(key)
        await upload.write(BYTES(size_bytes))
        await upload.abort()
        await upload.abort()
        assert await objects.get(key) is None
        if world.clients is not None:
            left = await world.clients.call("s3", "list_multipart_uploads", Bucket=objects.bucket)
            assert left.get("Uploads", []) == []

    world.run(story())


@pytest.mark.parametrize("size_bytes", [1, PART_BYTES + 1], ids=["small", "large"])
def test_encryption_that_was_asked_for_is_on_the_object(world: World, size_bytes: int) -> None:
    objects, key = world.ports.objects, world.fresh("key")

    async def story() -> None:
        upload = await objects.upload(key, encryption=Encryption(enabled=True, algorithm="aws:kms", key_id="alias/own"))
        await upload.write(b"x" * size_bytes)
        await upload.complete()
        if world.clients is not None:
            head = await world.clients.call("s3", "head_object", Bucket=objects.bucket, Key=key)
            assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/own")
        assert await objects.get(key) == b"x" * size_bytes

    world.run(story())


def test_a_presigned_address_is_the_objects_own(world: World) -> None:
    objects, key = world.ports.objects, world.fresh("key")

    async def story() -> str:
        await objects.put(key, b"fetched")
        return await objects.presign(key, seconds=60)

    url = world.run(story())
    assert key in url


@pytest.mark.parametrize("seconds", [0, 901])
def test_nothing_is_presigned_for_longer_than_a_role_lives(world: World, seconds: int) -> None:
    with pytest.raises(InvalidInput) as refusal:
        world.run(world.ports.objects.presign("key", seconds=seconds))
    assert refusal.value.field == "seconds"


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_a_secret_is_what_was_put_there_last_and_none_before(world: World) -> None:
    secrets, name = world.ports.secrets, world.fresh("tenant") + "/database"

    async def story() -> None:
        assert await secrets.get(name) is None
        await secrets.put(name, "first")
        await secrets.put(name, "second é")
        assert await secrets.get(name) == "second é"

    world.run(story())
