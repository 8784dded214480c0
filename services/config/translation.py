"""Settings, revisions and schemas as messages of the contract."""

from typing import Any

from codestudio.common.v1 import error_pb2, stream_pb2
from codestudio.config.v1 import config_service_pb2 as pb
from google.protobuf import json_format, struct_pb2, timestamp_pb2

from services.chassis import errors
from services.config import tokens
from services.config.schema import Effect, Schema, Setting, nest
from services.config.state import Change, Revision, State
from services.config.times import moment, now

_EFFECTS = {
    Effect.LIVE: pb.SETTING_EFFECT_LIVE,
    Effect.AT_START: pb.SETTING_EFFECT_AT_START,
    Effect.FOLLOWS: pb.SETTING_EFFECT_FOLLOWS,
}
_TYPES = {"port": "integer"}


def configuration(state: State) -> pb.Configuration:
    """Write settings."""
    return pb.Configuration(
        service=state.service,
        values=json_format.ParseDict(nest(state.values), struct_pb2.Struct()),
        revision=state.revision,
        etag=state.etag,
        update_time=timestamp(state.at) if state.at else None,
        sources=state.sources,
    )


def update(state: State) -> pb.WatchConfigurationResponse:
    """Write settings as news of a watch."""
    return pb.WatchConfigurationResponse(
        configuration=configuration(state), resume_token=tokens.resume(state.service, state.etag)
    )


def heartbeat(resume_token: str) -> pb.WatchConfigurationResponse:
    """Write a sign of life."""
    beat = stream_pb2.Heartbeat(time=timestamp(now()))
    return pb.WatchConfigurationResponse(heartbeat=beat, resume_token=resume_token)


def revision(made: Revision) -> pb.ConfigurationRevision:
    """Write a revision."""
    return pb.ConfigurationRevision(
        service=made.service,
        revision=made.number,
        author=made.author,
        reason=made.reason,
        create_time=timestamp(made.at),
        changes=[_change(one) for one in made.changes],
        rollback_of=made.rollback_of or 0,
        is_rollback=made.rollback_of is not None,
    )


def schema(of: Schema, base: State) -> pb.ConfigurationSchema:
    """Write what settings a service has; `base` is where nothing was set."""
    return pb.ConfigurationSchema(
        service=of.service,
        settings=[_setting(one, base) for _, one in sorted(of.settings.items())],
    )


def violation(found: errors.Violation) -> error_pb2.FieldViolation:
    """Write what is wrong with a setting."""
    return error_pb2.FieldViolation(field=found.field, description=found.description)


def timestamp(at: int) -> timestamp_pb2.Timestamp:
    """Write a time."""
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(moment(at))
    return message


def _change(change: Change) -> pb.ConfigurationChange:
    return pb.ConfigurationChange(
        path=change.path, before=_value(change.before), after=_value(change.after)
    )


def _setting(setting: Setting, base: State) -> pb.Setting:
    return pb.Setting(
        path=setting.path,
        type=_TYPES.get(setting.kind, setting.kind),
        description=setting.description,
        effect=_EFFECTS[setting.effect],
        base=None if setting.mark.secret else _value(base.values.get(setting.path)),
        minimum=setting.minimum,
        maximum=setting.maximum,
        allowed=setting.allowed,
        variable=setting.mark.variable,
        secret=setting.mark.secret,
        follows=setting.follows,
    )


def _value(value: Any) -> struct_pb2.Value | None:
    if value is None:
        return None
    return json_format.ParseDict(value, struct_pb2.Value())
