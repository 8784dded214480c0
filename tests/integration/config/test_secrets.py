"""Secrets are known to be there, and nothing of them is anywhere."""

import logging
import secrets

import pytest
from codestudio.config.v1 import config_service_pb2 as pb

from services.config.sections import SCHEMAS
from tests import logged
from tests.integration.config import rig
from tests.integration.config.rig import PORT, RESOURCE


async def test_no_secret_is_told_kept_or_logged(
    parts: rig.Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those in files, those in the environment, and those that somebody tries to set."""
    in_file, in_environment, asked = (secrets.token_hex(16) for _ in range(3))
    for name in ("services.pem", "users.pem", "redis_url", "extra"):
        (parts.directory / "secrets" / name).write_text(in_file)
    monkeypatch.setenv("MONGODB_URL", f"mongodb://user:{in_environment}@db")
    monkeypatch.setenv("NATS_URL", f"nats://user:{in_environment}@nats")
    told: list[object] = []
    with logged.logged("config-service") as written:
        logging.getLogger().setLevel(logging.DEBUG)
        async with (
            rig.replica(parts) as service,
            parts.announced() as heard,
            service.watch("instance-service") as watching,
        ):
            first = await watching.configuration()
            told.append(first)
            assert rig.value(first, "secrets.mongodb_url") == "[REDACTED]"
            assert first.sources["secrets.redis_url"] == "secret"
            assert first.sources["secrets.mongodb_url"] == "environment"
            for path in ("secrets.redis_url", "secrets.made_up", "monitoring.logging_level"):
                _, detail = await rig.refusal(service.set(path, asked))
                if path != "monitoring.logging_level":
                    told.append(detail)
            _, detail = await rig.refusal(
                service.update({"redis_password": asked, "secrets": asked})
            )
            told.append(detail)
            request = pb.ValidateConfigurationRequest(
                service=RESOURCE, values=rig.struct({"secrets": {"service_key": asked}, asked: 1})
            )
            answer = await service.stub.ValidateConfiguration(request, metadata=service.metadata)
            told += [one.description for one in answer.errors]
            # Sent back as it was read, it stands for what it is.
            whole = await service.get()
            whole.values["port_allocation"]["base_port"] = 9000
            request_ = pb.UpdateConfigurationRequest(configuration=whole)
            changed = await service.stub.UpdateConfiguration(request_, metadata=service.metadata)
            assert rig.value(changed, PORT) == 9000
            told += [changed, *await service.revisions(), await service.roll_back(0)]
            for name in SCHEMAS:
                told.append(await service.get(name))
                told.append(
                    await service.stub.GetConfigurationSchema(
                        pb.GetConfigurationSchemaRequest(service=name), metadata=service.metadata
                    )
                )
            await rig.until(lambda: _heard(heard))
            told += heard
            async with parts.record() as record, parts.redis() as redis:
                told += await record.find({}).to_list(None)
                told += [await redis.hgetall(key) async for key in redis.scan_iter("config:*")]
    assert len(told) > 20
    everything = " ".join(map(str, told)) + written.getvalue()
    assert "[REDACTED]" in everything
    assert in_file not in everything
    assert in_environment not in everything
    assert asked not in everything


async def _heard(heard: list[tuple[str, bytes]]) -> bool:
    return len(heard) == 2
