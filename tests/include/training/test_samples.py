import pytest

from include.errors import DataQualityError
from include.training.samples import Samples, read_samples


def test_reads_train_and_validation_and_never_test(publish, digit_images, quick_project, store):
    train, validation = read_samples(quick_project, publish(digit_images), store)
    assert (len(train), len(validation)) == (250, 50)
    assert sorted(set(train.targets.tolist())) == list(range(10))


def test_targets_are_places_in_the_projects_classes(publish, digit_images, quick_project, store):
    dataset = publish(digit_images)
    backwards = quick_project.model_copy(update={"classes": quick_project.classes[::-1]})
    forward, _ = read_samples(quick_project, dataset, store)
    backward, _ = read_samples(backwards, dataset, store)
    assert (9 - backward.targets).tolist() == forward.targets.tolist()


def test_too_few_labelled_images_are_counted(publish, digit_images, quick_project, store):
    pairs = [(image, label if index < 12 else None) for index, (image, label) in enumerate(digit_images[:80])]
    with pytest.raises(DataQualityError, match=r"version 1: 7 labelled training images, training.min_images is 10"):
        read_samples(quick_project, publish(pairs), store)


def test_a_class_without_images_is_named_with_the_counts(publish, digit_images, quick_project, store):
    pairs = [(image, label) for image, label in digit_images if label != "7"]
    with pytest.raises(DataQualityError, match=r"no training image of class 7 among .*7: 0, 8: "):
        read_samples(quick_project, publish(pairs), store)


def test_an_unknown_label_is_named_with_its_count(publish, digit_images, quick_project, store):
    pairs = [(image, "ten" if index in {2, 3, 5} else label) for index, (image, label) in enumerate(digit_images)]
    with pytest.raises(DataQualityError, match="train images labelled ten: 3, which are no classes"):
        read_samples(quick_project, publish(pairs), store)


def test_no_validation_images_is_an_error(publish, digit_images, quick_project, store):
    dataset = publish(digit_images, split=lambda _: "train")
    with pytest.raises(DataQualityError, match="400 training images but none for validation"):
        read_samples(quick_project, dataset, store)


def test_an_empty_dataset_is_an_error(publish, quick_project, store):
    with pytest.raises(DataQualityError, match="0 labelled training images"):
        read_samples(quick_project, publish([]), store)


def test_images_are_taken_by_place_from_the_store_as_from_a_list(publish, digit_images, quick_project, store):
    train, _ = read_samples(quick_project, publish(digit_images), store)
    listed = Samples(list(train.images), train.targets)
    places = [7, 0, 249, 7]
    assert all((one == other).all() for one, other in zip(train.take(places), listed.take(places), strict=True))
    assert train.take([]) == listed.take([]) == []


def test_chosen_samples_are_those_at_their_places_from_the_store_as_from_a_list(
    publish, digit_images, quick_project, store
):
    train, _ = read_samples(quick_project, publish(digit_images), store)
    for samples in (train, Samples(list(train.images), train.targets)):
        chosen = samples.choose([7, 0])
        assert chosen.targets.tolist() == [train.targets[7], train.targets[0]]
        assert all((one == train.images[place]).all() for one, place in zip(chosen.images, [7, 0], strict=True))
