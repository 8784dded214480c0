"""The page of one document; that it edits together is proven in a browser by tests/e2e."""

import html
import re

from tests.integration.edge.people import Person


async def test_it_names_the_room_escaped(person: Person) -> None:
    """Whatever a path holds, it stays one attribute, and each part of the room is escaped."""
    await person.sign_in()
    status, text, _ = await person.get("/edit/default/site/a%20b/%22%3E%3Cscript%3Ex.py")
    assert status == 200
    assert "<script>x" not in text
    assert 'data-room="default/site/a%20b/%22%3E%3Cscript%3Ex.py"' in text
    (path,) = re.findall('data-path="([^"]*)"', text)
    assert html.unescape(path) == 'a b/"><script>x.py'


async def test_only_its_own_script_may_run(person: Person) -> None:
    """The page's policy lets one script in, by a nonce that is another every time."""
    await person.sign_in()
    found = set()
    for _ in range(2):
        _, text, answer = await person.get("/edit/default/site/a.py")
        (nonce,) = re.findall('nonce="([^"]+)"', text)
        policy = answer.headers["Content-Security-Policy"]
        assert f"script-src 'nonce-{nonce}';" in policy
        assert "default-src 'none'" in policy
        found.add(nonce)
    assert len(found) == 2


async def test_a_viewer_reads_only(person: Person) -> None:
    """The page of somebody who may not write says so, to them and to its script."""
    await person.sign_in("eve", roles=["viewer"])
    _, text, _ = await person.get("/edit/default/site/a.py")
    assert " data-readonly>" in text
    assert "read only" in text


async def test_a_writer_is_not_told_so(person: Person) -> None:
    """The page of somebody who may write does not."""
    await person.sign_in()
    _, text, _ = await person.get("/edit/default/site/a.py")
    assert "data-readonly" not in text


async def test_a_namespace_one_may_not_use_has_no_page(person: Person) -> None:
    """Whom a namespace is closed to is told so before any editor opens."""
    await person.sign_in(namespaces=["mine"])
    status, text, _ = await person.get("/edit/theirs/site/a.py")
    assert status == 403
    assert "NAMESPACE_FORBIDDEN" in text


async def test_nobody_is_sent_to_sign_in(person: Person) -> None:
    """Without a session there is no page, but the way to one."""
    status, text, _ = await person.get("/edit/default/site/a.py")
    assert status == 401
    assert "./scripts/up" in text


async def test_scripts_that_are_not_built_are_told(person: Person) -> None:
    """Where nothing was built, the script's address says what to do."""
    status, text, _ = await person.get("/static/web/edit.js", headers={"accept": "*/*"})
    assert status == 404
    assert "PAGES_NOT_BUILT" in text
