import json
import os
import stat
from pathlib import Path
from typing import Any

import jwt
import pytest

from services.devstack import credentials
from services.devstack.credentials import Credentials


@pytest.fixture
def minted(tmp_path: Path) -> Credentials:
    fresh = Credentials(tmp_path / "secrets")
    fresh.mint()
    return fresh


def _claims(minted: Credentials) -> dict[str, Any]:
    token = minted.admin_token.read_text().strip()
    keys = jwt.PyJWKSet.from_dict(json.loads(minted.jwks.read_text()))
    key = keys[jwt.get_unverified_header(token)["kid"]]
    decoded: dict[str, Any] = jwt.decode(
        token,
        key.key,
        algorithms=["ES256"],
        audience="codestudio",
        issuer="codestudio-users",
    )
    return decoded


def test_only_the_owner_can_read_secrets(minted: Credentials) -> None:
    """The directory is 0700 and every file in it 0600."""
    assert stat.S_IMODE(minted.directory.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in minted.directory.iterdir()}
    assert modes == dict.fromkeys(("users.pem", "services.pem", "jwks.json", "admin.token"), 0o600)


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    """A careless umask opens nothing, and a directory that was open is closed."""
    directory = tmp_path / "secrets"
    directory.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        Credentials(directory).mint()
    finally:
        os.umask(before)
    test_only_the_owner_can_read_secrets(Credentials(directory))


def test_minting_again_changes_nothing(minted: Credentials) -> None:
    """Tokens handed out stay valid over a restart: keys, key set and token are kept."""
    before = {file.name: file.read_bytes() for file in minted.directory.iterdir()}
    minted.mint()
    assert {file.name: file.read_bytes() for file in minted.directory.iterdir()} == before


def test_the_admins_token_verifies_against_the_key_set(minted: Credentials) -> None:
    """Whoever has the key set can check the token, by its key id."""
    claims = _claims(minted)
    assert claims["sub"] == "admin"
    assert claims["roles"] == ["admin"]
    assert claims["namespaces"] == ["*"]
    assert claims["jti"]


def test_a_missing_part_is_made_from_the_keys(minted: Credentials) -> None:
    """A lost token or key set comes back and fits the keys that were kept."""
    minted.admin_token.unlink()
    minted.jwks.unlink()
    minted.mint()
    assert _claims(minted)["sub"] == "admin"


def test_a_token_near_its_end_is_renewed(minted: Credentials) -> None:
    """An expired token does not lock the owner out of the next start."""
    key = credentials._key(minted.users_key)
    near = credentials.user_token(key, credentials.ADMIN, lifetime=3600)
    minted.admin_token.write_text(near)
    minted.mint()
    assert minted.admin_token.read_text().strip() != near


def test_the_two_issuers_have_different_keys(minted: Credentials) -> None:
    """A service's key signs nothing that passes for a user's."""
    keys = json.loads(minted.jwks.read_text())["keys"]
    assert [key["kid"] for key in keys] == ["codestudio-users", "codestudio-services"]
    assert keys[0]["x"] != keys[1]["x"]
    assert all("d" not in key for key in keys)
