import io

import pytest
from PIL import Image

from include.contracts import BatchRef
from include.data.arrivals import find_complete_batch
from include.data.collection import collect_batch
from include.data.delivery import open_delivery
from include.errors import ContractViolationError
from include.project import Project, SourceConfig


def make_project(uri):
    return Project(name="numbers", classes=tuple("0123456789"), source=SourceConfig(uri=uri))


def test_a_named_data_set_becomes_a_delivery(store, tmp_path):
    project = make_project("torchvision://FakeData?size=12&image_size=[3,16,20]&num_classes=4")
    batch = collect_batch(project, find_complete_batch(project, str(tmp_path), "-"), store)
    assert batch == collect_batch(project, batch, store)
    delivery = open_delivery(project, batch, store)
    assert len(delivery.names) == batch.images == 12
    assert {known[-1].label for known in delivery.labels.values()} <= set("0123")
    with Image.open(io.BytesIO(delivery.images.read(delivery.names[0], 10_000))) as image:
        assert image.size == (20, 16)
    assert delivery.source_of(delivery.names[3]).endswith("num_classes=4#0000003.png")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("Nothing", "no data set 'Nothing'"),
        ("fakedata", "case-sensitive"),
        ("wrap_dataset_for_transforms_v2", "no data set"),
        ("ImageFolder", "does not download itself"),
        ("FakeData?sise=3", "no option sise; known are image_size, num_classes, random_offset, size"),
        ("FakeData?transform=os.system", "no option transform"),
        ("CIFAR10?root=/etc", "no option root"),
    ],
)
def test_a_data_set_that_is_none_says_so(store, query, message):
    project = make_project(f"torchvision://{query}")
    batch = BatchRef(project="numbers", partition="snapshot", uri=project.source.uri, images=0)
    with pytest.raises(ContractViolationError, match=message):
        collect_batch(project, batch, store)
