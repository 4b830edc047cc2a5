"""OneRoster and School Data Sync, as registries export them."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordination.ground.errors import Invalid
from tests.build.roster import Export, Office, as_csv

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "oneroster"


def test_an_export_becomes_schools_classes_families_and_posts(office: Office) -> None:
    batch = office.load(Export())
    assert office.counts(batch) == {
        "school": (1, 0, 0, 0, 0),
        "class": (1, 0, 0, 0, 0),
        "student": (2, 0, 0, 0, 0),
        "adult": (5, 0, 0, 0, 0),
        "contact": (5, 0, 0, 0, 0),
        "member": (2, 0, 0, 0, 0),
        "teacher": (1, 0, 0, 0, 0),
        "admin": (1, 0, 0, 0, 0),
        "kin": (3, 0, 0, 0, 0),
    }
    assert office.refusals(batch) == set()
    assert office.guardians("K1") == {"王敏": "parent", "王建国": "guardian"}
    assert office.guardians("K2") == {"张伟": "relative"}
    assert office.classes("K1") == {"三（2）班"}
    assert office.classes("T1") == {"三（2）班"}


def test_a_preview_writes_nothing(office: Office) -> None:
    before = office.hashed(physical=True)
    office.preview(Export())
    assert office.hashed(physical=True) == before


def test_an_unchanged_import_writes_no_row(office: Office) -> None:
    office.load(Export())
    before = office.hashed(physical=True)
    again = office.preview(Export())
    assert office.apply(again) == 0
    assert office.hashed(physical=True) == before


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        (
            "sds-1",
            {
                "school": (2, 0, 0, 0, 0),
                "class": (28, 0, 0, 0, 0),
                "student": (86, 0, 0, 0, 0),
                "adult": (12, 0, 0, 0, 0),
                "member": (602, 0, 0, 0, 0),
                "teacher": (28, 0, 0, 0, 0),
            },
        ),
        (
            "sds-2",
            {
                "school": (4, 0, 0, 0, 0),
                "class": (4, 0, 0, 0, 0),
                "student": (22, 0, 0, 0, 0),
                "adult": (7, 0, 0, 0, 0),
                "member": (22, 0, 0, 0, 0),
                "teacher": (7, 0, 0, 0, 0),
            },
        ),
        (
            "sds-2.1",
            {
                "school": (2, 0, 0, 0, 0),
                "class": (2, 0, 0, 0, 0),
                "student": (4, 0, 0, 0, 0),
                "adult": (4, 0, 0, 0, 0),
                "contact": (2, 0, 0, 0, 0),
                "member": (4, 0, 0, 0, 0),
                "teacher": (2, 0, 0, 0, 0),
                "kin": (3, 0, 0, 0, 0),
            },
        ),
    ],
)
def test_published_samples_are_taken_whole_and_only_once(
    office: Office, name: str, counts: dict[str, tuple[int, ...]]
) -> None:
    batch = office.load(SAMPLES / name)
    assert office.counts(batch) == counts
    before = office.hashed(physical=True)
    assert office.apply(office.preview(SAMPLES / name)) == 0
    assert office.hashed(physical=True) == before


def test_relationships_make_guardians_of_people_without_a_role(office: Office) -> None:
    batch = office.load(SAMPLES / "sds-2.1")
    assert office.guardians("114001") == {"Jean Craig": "guardian"}
    assert office.guardians("114003") == {"Jean Craig": "relative"}
    assert {code for *_, code in office.refusals(batch)} == {"phone"}


def test_a_folder_and_files_in_capitals_read_alike(office: Office, tmp_path: Path) -> None:
    folder = Export().folder(tmp_path / "export")
    for part in list(folder.iterdir()):
        part.rename(part.with_name(part.name.upper()))
    assert office.counts(office.preview(folder)) == office.counts(office.preview(Export()))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_an_archive_in_any_encoding_reads_alike(
    office: Office, tmp_path: Path, encoding: str
) -> None:
    path = Export().zip(tmp_path / "export.bin", encoding)
    office.load(path)
    assert office.person("K2").name == "张珺"


def test_a_complete_export_ends_what_it_no_longer_has(office: Office) -> None:
    office.load(Export())
    export = Export()
    export.drop("K2")
    export.user("K1")[9] = "P1"
    batch = office.load(export)
    assert office.counts(batch)["student"] == (0, 0, 1, 1, 0)
    assert office.person("K2").status == "left"
    assert office.classes("K2") == set()
    assert office.guardians("K1") == {"王敏": "parent"}


def test_a_delta_touches_only_what_it_names(office: Office) -> None:
    office.load(Export())
    delta = Export(
        mode="delta",
        orgs=[],
        classes=[],
        users=[["K1", "tobedeleted", "student", "小雨", "王", "S1", "03", "", "", ""]],
        enrolments=[["E1", "tobedeleted", "C32", "K1", "student", ""]],
    )
    batch = office.load(delta)
    assert office.counts(batch) == {"student": (0, 0, 1, 0, 0), "member": (0, 0, 1, 0, 0)}
    assert office.person("K1").status == "left"
    assert office.person("K2").status == "active"
    again = office.preview(delta)
    assert office.refusals(again) == set()
    assert office.apply(again) == 0


def test_a_delta_may_refer_to_people_of_an_earlier_import(office: Office) -> None:
    office.load(Export())
    delta = Export(
        mode="delta",
        orgs=[],
        classes=[["C33", "", "三（3）班", "03", "S1"]],
        users=[["P9", "", "parent", "兰", "王", "S1", "", "13800138009", "", "K1"]],
        enrolments=[["E9", "", "C33", "K1", "student", ""]],
    )
    batch = office.load(delta)
    assert office.refusals(batch) == set()
    assert office.guardians("K1")["王兰"] == "parent"
    assert office.classes("K1") == {"三（2）班", "三（3）班"}


def test_roles_stand_in_a_file_of_their_own_in_version_1_2(office: Office) -> None:
    export = Export(version="1.2")
    for line in export.users:
        line[2] = ""
    roles = [
        [user, "S1", role, "primary"]
        for user, role in (
            ("K1", "student"),
            ("K2", "student"),
            ("P1", "parent"),
            ("P2", "guardian"),
            ("P3", "relative"),
            ("T1", "teacher"),
            ("A1", "principal"),
        )
    ]
    export.extra["roles.csv"] = [["userSourcedId", "orgSourcedId", "role", "roleType"], *roles]
    batch = office.load(export)
    assert office.refusals(batch) == set()
    assert office.counts(batch)["student"] == (2, 0, 0, 0, 0)
    assert office.counts(batch)["admin"] == (1, 0, 0, 0, 0)
    assert office.guardians("K1") == {"王敏": "parent", "王建国": "guardian"}


def test_unknown_references_are_refused_by_file_line_and_column(office: Office) -> None:
    export = Export()
    export.classes.append(["C99", "", "三（9）班", "03", "S404"])
    export.enrolments.append(["E7", "", "C404", "K1", "student", ""])
    export.enrolments.append(["E8", "", "C32", "K404", "student", ""])
    export.user("K2")[9] = "P404"
    export.users.append(["K9", "", "wizard", "梅", "林", "S1", "", "", "", ""])
    batch = office.preview(export)
    assert office.refusals(batch) == {
        ("classes.csv", 3, "orgSourcedId", "unknown_school"),
        ("enrollments.csv", 5, "classSourcedId", "unknown_class"),
        ("enrollments.csv", 6, "userSourcedId", "unknown_person"),
        ("users.csv", 3, "agentSourcedIds", "unknown_person"),
        ("users.csv", 9, "role", "unknown_role"),
    }


def test_a_teacher_enrolled_as_a_student_is_refused(office: Office) -> None:
    export = Export()
    export.enrolments.append(["E7", "", "C32", "T1", "student", ""])
    export.enrolments.append(["E8", "", "C32", "K1", "teacher", ""])
    batch = office.load(export)
    assert office.refusals(batch) == {
        ("enrollments.csv", 5, "userSourcedId", "teacher_as_student"),
        ("enrollments.csv", 6, "userSourcedId", "student_as_teacher"),
    }


def test_a_line_that_cannot_be_read_keeps_everybody_from_being_ended(office: Office) -> None:
    office.load(Export())
    export = Export()
    export.drop("K2")
    export.users.append(["", "", "student", "珺", "张", "S1", "03", "", "", ""])
    batch = office.load(export)
    assert office.refusals(batch) == {("users.csv", 8, "sourcedId", "empty")}
    assert office.person("K2").status == "active"


def test_a_slip_in_a_header_names_the_right_one(office: Office, tmp_path: Path) -> None:
    folder = Export().folder(tmp_path / "export")
    users = folder / "users.csv"
    users.write_text(users.read_text().replace("familyName", "familyNmae"))
    batch = office.preview(folder)
    assert ("users.csv", 1, "familyNmae", "header_typo") in office.refusals(batch)


def test_rare_characters_survive_and_control_characters_do_not(office: Office) -> None:
    export = Export()
    export.user("K1")[3:5] = ["田悠", "𠮷"]
    export.user("K2")[3:5] = ["古丽\u0007·买\u202e买提", "阿依"]
    export.user("P1")[3:5] = ["🙂珺", "欧阳"]
    office.load(export)
    assert office.person("K1").name == "𠮷田悠"
    assert office.person("K2").name == "阿依古丽·买买提"
    assert office.person("P1").name == "欧阳🙂珺"


def test_an_archive_that_is_none_is_refused(office: Office, tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04" + b"\0" * 100)
    other = tmp_path / "other"
    other.mkdir()
    for name in ("a.csv", "b.csv"):
        (other / name).write_text(as_csv([["x"], ["1"]]))
    for path in (broken, other):
        with pytest.raises(Invalid) as refused:
            office.preview(path)
        assert "file" in refused.value.fields
