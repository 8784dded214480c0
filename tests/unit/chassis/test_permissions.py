import pytest
from codestudio.collaboration.v1 import collaboration_service_pb2
from codestudio.config.v1 import config_service_pb2
from codestudio.instance.v1 import instance_service_pb2
from codestudio.path.v1 import path_service_pb2
from codestudio.quota.v1 import quota_service_pb2
from codestudio.resource.v1 import resource_service_pb2, workload_service_pb2

from services.chassis import authorisation, errors, permissions
from services.chassis.identity import Caller

_SERVICES = (
    collaboration_service_pb2,
    config_service_pb2,
    instance_service_pb2,
    path_service_pb2,
    quota_service_pb2,
    resource_service_pb2,
    workload_service_pb2,
)


@pytest.mark.parametrize(
    ("pattern", "permission", "granted"),
    [
        ("*", "instances.create", True),
        ("instances.*", "instances.create", True),
        ("instances.*", "quota.get", False),
        ("*.get", "quota.get", True),
        ("*.get", "quota.update", False),
        ("quota.get", "quota.get", True),
        ("quota.get", "quota.gets", False),
        ("instances.*", "instancesx.get", False),
    ],
)
def test_patterns(pattern: str, permission: str, granted: bool) -> None:
    """Either part may be any; nothing matches by prefix."""
    assert permissions.matches(pattern, permission) is granted


@pytest.mark.parametrize(
    ("role", "permission", "granted"),
    [
        ("admin", "quota.update", True),
        ("admin", "workloads.delete", True),
        ("user", "instances.delete", True),
        ("user", "quota.check", True),
        ("user", "quota.update", False),
        ("user", "quota.reserve", False),
        ("user", "workloads.apply", False),
        ("user", "resources.allocate", False),
        ("user", "resources.optimize", True),
        ("viewer", "resources.optimize", False),
        ("admin", "config.get", True),
        ("user", "config.get", False),
        ("user", "config.list", False),
        ("user", "config.update", False),
        ("user", "config.watch", False),
        ("viewer", "config.get", False),
        ("viewer", "config.list", False),
        ("viewer", "config.watch", False),
        ("viewer", "instances.list", True),
        ("viewer", "instances.watch", True),
        ("viewer", "instances.create", False),
        ("viewer", "instances.stop", False),
        ("viewer", "workloads.get", False),
        ("viewer", "workloads.list", False),
    ],
)
def test_roles(role: str, permission: str, granted: bool) -> None:
    """What each role may and may not."""
    assert (role in permissions.holders(permissions.ROLES, permission)) is granted


@pytest.mark.parametrize(
    ("service", "permission", "granted"),
    [
        ("instance-service", "workloads.apply", True),
        ("instance-service", "quota.reserve", True),
        ("instance-service", "instances.delete", False),
        ("quota-service", "instances.list", True),
        ("quota-service", "instances.delete", False),
        ("resource-service", "instances.get", True),
        ("resource-service", "quota.update", False),
        ("edge-service", "instances.delete", False),
        ("edge-service", "config.watch", True),
        ("path-service", "config.get", True),
        ("quota-service", "config.update", False),
        ("quota-service", "config.list", False),
        ("anybody", "config.watch", False),
        ("admin", "instances.list", False),
    ],
)
def test_services(service: str, permission: str, granted: bool) -> None:
    """A service holds what its work needs, and no more."""
    assert (service in permissions.holders(permissions.SERVICES, permission)) is granted


def test_every_method_declares_who_may_call_it() -> None:
    """And somebody besides admins holds each, or it is an admin's alone on purpose.

    A viewer may nothing that a user may not.
    """
    names = [
        service.full_name
        for module in _SERVICES
        for service in module.DESCRIPTOR.services_by_name.values()
    ]
    for method, rule in authorisation.rules(names).items():
        assert "." in rule.permission, method
        assert "admin" in rule.roles, method
        assert "user" in rule.roles or "viewer" not in rule.roles, method


def test_a_service_named_like_a_role_is_no_role() -> None:
    """Users are judged by roles only, services by name only."""
    rule = authorisation.Rule("x.y", roles=frozenset({"admin"}), services=frozenset({"a-service"}))
    rule.check(Caller("u", "U", "user", roles=("admin",)))
    rule.check(Caller("a-service", "a-service", "service"))
    for caller in (
        Caller("admin", "admin", "service", roles=("admin",)),
        Caller("a-service", "U", "user", roles=("viewer",)),
    ):
        with pytest.raises(errors.PermissionDenied):
            rule.check(caller)


def test_admins_and_services_see_all_others_their_own() -> None:
    """Ownership and namespaces limit users."""
    user = Caller("ada", "Ada", "user", roles=("user",), namespaces=("default",))
    admin = Caller("root", "Root", "user", roles=("admin",))
    service = Caller("quota-service", "quota-service", "service")
    assert user.owns("ada")
    assert not user.owns("eve")
    assert user.may_use_namespace("default")
    assert not user.may_use_namespace("other")
    for caller in (admin, service):
        assert caller.owns("eve")
        assert caller.may_use_namespace("other")
    everywhere = Caller("bob", "Bob", "user", namespaces=("*",))
    assert everywhere.may_use_namespace("other")
    assert not everywhere.owns("eve")
