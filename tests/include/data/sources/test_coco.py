import json
from datetime import UTC, datetime

import pytest

from include.data.sources.coco import read_facts
from include.data.sources.folders import open_folder
from include.errors import DataQualityError
from include.project import SourceConfig

AT = datetime(2026, 11, 2, tzinfo=UTC)
CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]


def document(images, annotations=(), **more):
    return {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(images)],
        "annotations": [
            {"image_id": image, "category_id": category, "bbox": [0] * 4} for image, category in annotations
        ],
        "categories": CATEGORIES,
    } | more


def read(folder, delivered, **documents):
    for name, content in documents.items():
        path = folder / f"{name.replace('__', '/')}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_facts(SourceConfig(layout="coco"), open_folder(str(folder)), dict.fromkeys(delivered, AT))


def test_one_category_labels_several_refuse_and_none_leave_open(tmp_path):
    names = ("a.png", "b.png", "c.png", "undescribed.png")
    facts = read(tmp_path, names, train=document(names[:3], [(0, 1), (0, 1), (1, 1), (1, 2)]))
    assert facts.names == names
    assert {name: known[0].label for name, known in facts.labels.items()} == {"a.png": "cat"}
    assert facts.refused == {"b.png": ("ambiguous_label", "annotated as cat, dog")}
    assert set(facts.shots) == {"a.png", "b.png", "c.png"}


def test_documents_of_one_delivery_are_read_as_one(tmp_path):
    facts = read(tmp_path, ("a.png",), one=document(["a.png"], [(0, 1)]), two=document(["a.png"], [(0, 2)]))
    assert facts.refused["a.png"][0] == "ambiguous_label"


def test_finds_images_where_exporters_put_them(tmp_path):
    delivered = ("images/a.png", "train/b.png", "c.png")
    facts = read(tmp_path, delivered, annotations__x=document(["a.png", "c.png"]), train__x=document(["b.png"]))
    assert facts.names == tuple(sorted(delivered))
    assert facts.refused == {}


def test_what_is_described_and_not_delivered_is_missing(tmp_path):
    facts = read(tmp_path, (), x=document(["gone.png", "../../etc/passwd"], [(0, 1)]))
    assert {name: reason for name, (reason, _) in facts.refused.items()} == {
        "gone.png": "missing_file", "../../etc/passwd": "missing_file",
    }  # fmt: skip


def test_an_image_was_observed_when_its_document_says_so(tmp_path):
    images = [
        {"id": "a", "file_name": "a.png", "date_captured": "2013-11-14 17:02:52"},
        {"id": "b", "file_name": "b.png", "date_captured": "unknown"},
        {"id": "c", "file_name": "c.png", "date_captured": 1},
    ]
    shots = read(tmp_path, ("a.png", "b.png", "c.png"), x={"images": images}).shots
    assert [shots[name].observed_at for name in sorted(shots)] == [
        datetime(2013, 11, 14, 17, 2, 52, tzinfo=UTC),
        AT,
        AT,
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not COCO"),
        ("[]", "not COCO: document"),
        ('{"pictures": []}', "not COCO: images: Field required"),
        (document(["a.png"], [(7, 1)]), "names image 7 and category 1; one of them is not described"),
        (document(["a.png"], [(0, 9)]), "names image 0 and category 9"),
    ],
)
def test_a_document_that_is_not_coco_says_where(tmp_path, content, message):
    with pytest.raises(DataQualityError, match=rf"x\.json.*{message}"):
        read(tmp_path, ("a.png",), x=content)


def test_a_delivery_without_a_document_says_so(tmp_path):
    with pytest.raises(DataQualityError, match=r"no \*\.json"):
        read(tmp_path, ("a.png",))
