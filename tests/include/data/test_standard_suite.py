from include.data.checks import find_fault
from include.data.standard_suite import TYPES, build_sections
from include.project import Project, SourceConfig
from include.vision.schema import IMAGES, MANIFEST_COLUMNS


def checks(project):
    return [check for section in build_sections(project).values() for check in section]


def test_every_check_of_the_standard_suite_is_sound(project):
    assert [find_fault(check) for check in checks(project) if find_fault(check)] == []
    assert len({check.model_dump_json() for check in checks(project)}) == len(checks(project))


def test_every_column_but_the_nested_ones_has_its_type_checked(project):
    typed = {check.kwargs["column"] for check in checks(project) if "type_" in check.kwargs}
    assert set(MANIFEST_COLUMNS) - typed == {"labels", "embedding"}
    assert {IMAGES.field(name).type for name in typed} == set(TYPES)


def test_classes_and_limits_are_the_projects(project):
    values = [check.kwargs for check in checks(project)]
    assert {"column": "label", "value_set": list(project.classes)} in values
    assert {"column": "width", "min_value": 8, "max_value": 125_000} in values


def test_a_snapshot_has_no_first_moment():
    snapshot = Project(name="stills", classes=("a", "b"), source=SourceConfig(uri="file:///stills"))
    (freshness,) = [
        one for one in checks(snapshot) if one.expectation.endswith("between") and one.kwargs.get("strict_max")
    ]
    assert freshness.parameters == {"partition_end"}


def test_what_depends_on_other_partitions_only_warns(project):
    depending = [check for check in checks(project) if any(name.endswith("_before") for name in check.parameters)]
    assert len(depending) == 10
    assert {check.on_failure for check in depending} == {"warn"}
