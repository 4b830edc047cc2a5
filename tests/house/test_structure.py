"""Where things live and what a file may do: the rules of the house that a test can check."""

from __future__ import annotations

import ast
import re

from tests.house.source import PACKAGES, ROOT, calls, files, short, tree

# the two lists that are allowed to be more than a docstring
LISTS = {"coordination/blueprints/__init__.py", "notifications/channels/__init__.py"}

COMMITTERS = {
    "coordination/ground/uow.py": "the one place of the product",
    "coordination/tour.py": "composition root: it plays everybody on a throw-away database",
    "coordination/seed/synthetic.py": "composition root: COPY in its own transactions",
}
CLOCKS = {"coordination/ground/clock.py", "notifications/clock.py"}
PHONES = {
    "coordination/domain/people/contacts.py",
    "coordination/domain/people/models.py",
    # a number that a guardian says is theirs: sealed until it is proven, forgotten once decided
    "coordination/domain/people/corrections/deciding.py",
    "coordination/domain/people/corrections/models.py",
    "coordination/domain/people/corrections/proposing.py",
}


def test_an_init_is_a_docstring_only() -> None:
    for path in files():
        if path.name != "__init__.py" or short(path) in LISTS:
            continue
        body = tree(path).body
        assert len(body) == 1, f"{short(path)} holds more than a docstring"
        assert ast.get_docstring(tree(path)), f"{short(path)} has no docstring"


def test_every_file_says_what_it_is_for() -> None:
    silent = [short(p) for p in files(*PACKAGES, "migrations") if not ast.get_docstring(tree(p))]
    assert silent == []


def test_only_the_unit_of_work_commits() -> None:
    found = {
        short(path)
        for path in files("coordination", "calendars")
        if next(calls(path, "commit"), None) is not None
    }
    assert found - set(COMMITTERS) == set()


def test_only_the_clocks_read_the_time() -> None:
    """`datetime.now`, `date.today` and their like stand in two files."""
    found = []
    for path in files():
        for call in calls(path, "now", "utcnow", "today", "time", "time_ns"):
            owner = call.func.value if isinstance(call.func, ast.Attribute) else None
            name = getattr(owner, "id", getattr(owner, "attr", ""))
            if name in {"datetime", "date", "time"} and short(path) not in CLOCKS:
                found.append(f"{short(path)}:{call.lineno}")
    assert found == []


def test_only_contacts_opens_a_phone_number() -> None:
    found = [
        f"{short(path)}:{node.lineno}"
        for path in files()
        if short(path) not in PHONES
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Attribute) and node.attr == "value_enc")
    ]
    assert found == []
    decrypting = {short(p) for p in files() if next(calls(p, "decrypt"), None)}
    # the address of a partner's calendar is a secret too, and no phone
    others = {"coordination/ground/crypto.py", "coordination/domain/agenda/busy.py"}
    # and a backup is a file
    others.add("coordination/keeping/age.py")
    assert decrypting - PHONES <= others


def test_screens_write_no_sql() -> None:
    """A view may name the session's type and catch a database that is away; it asks nothing."""
    found = []
    for path in files("coordination/blueprints"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names if a.name.split(".")[0] == "sqlalchemy"]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
                names = [a.name for a in node.names if a.name != "Session"]
                names = [] if node.module == "sqlalchemy.exc" else names
            else:
                continue
            found += [f"{short(path)}: {name}" for name in names]
        for call in calls(path, "execute", "scalars", "scalar", "query"):
            found.append(f"{short(path)}:{call.lineno}")
    assert found == []


def test_no_bare_except_and_broad_ones_give_a_reason() -> None:
    found = []
    for path in files():
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            broad = node.type is None or getattr(node.type, "id", "") == "BaseException"
            again = any(isinstance(n, ast.Raise) for n in ast.walk(node))
            if broad and not again and "noqa" not in lines[node.lineno - 1]:
                found.append(f"{short(path)}:{node.lineno}")
    assert found == []


def test_relationships_are_never_loaded_by_accident() -> None:
    for path in files("coordination"):
        for call in calls(path, "relationship"):
            how = {k.arg: ast.unparse(k.value) for k in call.keywords}
            assert how.get("lazy") in {"'raise'", "'noload'"}, f"{short(path)}:{call.lineno}"


def test_migrations_are_numbered_and_have_one_head() -> None:
    paths = sorted((ROOT / "migrations" / "versions").glob("*.py"))
    numbers = [p.name[:4] for p in paths]
    assert numbers == [f"{n:04}" for n in range(1, len(paths) + 1)]
    for before, path in zip([None, *paths], paths, strict=False):
        named = dict(
            re.findall(r"^(down_revision|revision)\s*(?::[^=]+)?=\s*(.+)$", path.read_text(), re.M)
        )
        assert named["revision"].strip("'\"") == path.name[:4], path.name
        expected = "None" if before is None else before.name[:4]
        assert named["down_revision"].strip("'\"") == expected, path.name


def test_use_cases_take_the_unit_of_work_first_and_keywords_after() -> None:
    """`hold(uow, *, resource_id, ...)`: a call site reads as a sentence."""
    found = []
    for path in files("coordination/domain"):
        if path.stem != "services" and path.parent.name != "services":
            continue
        for node in tree(path).body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            names = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
            if "uow" in names and names != ["uow"]:
                found.append(f"{short(path)}: {node.name}({', '.join(names)})")
    assert found == []
