import json
import operator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from include.errors import ArtifactNotFoundError, ContractViolationError, NotCertifiedError
from include.predictions import STATISTICS
from include.serving import model as model_module
from include.serving.model import load_model
from include.storage import digest_folder
from include.storage.signing import canonical_json
from include.vision.decoding import RejectedImageError
from include.vision.releases import release_address


def test_answers_with_the_most_probable_class_and_what_the_image_is_like(store, make_release, png):
    answer = load_model(store, make_release(7)).answer(png)
    assert answer.predicted == max(answer.probabilities, key=answer.probabilities.get) == "7"
    assert answer.confidence == answer.probabilities["7"]
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert set(answer.statistics) == set(STATISTICS)
    assert (answer.statistics["width"], answer.statistics["height"]) == (32, 32)


def test_threads_that_ask_at_once_get_the_same_answer(store, make_release, png):
    model = load_model(store, make_release(3))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(model.answer, [png] * 64))
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize(("data", "reason"), [(b"", "empty"), (b"x" * 51, "too_large_bytes"), (b"x", "not_an_image")])
def test_a_release_takes_only_images_within_its_own_limits(store, make_release, data, reason):
    model = load_model(store, make_release(max_bytes=50))
    with pytest.raises(RejectedImageError) as raised:
        model.answer(data)
    assert raised.value.reason == reason


def test_a_release_that_answers_otherwise_than_when_it_was_packaged_is_refused(store, make_release):
    with pytest.raises(ContractViolationError, match=r"golden/000\.png .* off; 1\.00e-04 is allowed.*Package it again"):
        load_model(store, make_release(1, answers=np.eye(10)[5]))


def test_a_difference_within_the_tolerance_is_none(store, make_release):
    packaged = load_model(store, make_release(1)).manifest.golden[0].probabilities
    nudged = np.array(packaged) + 5e-5 * np.eye(10)[2]
    assert load_model(store, make_release(1, answers=nudged)).manifest.golden[0].probabilities != packaged


def test_no_number_is_no_right_answer(store, make_release, monkeypatch):
    release = make_release(1)
    monkeypatch.setattr(model_module, "run_graph", lambda *_: np.full((1, 10), np.nan, np.float32))
    with pytest.raises(ContractViolationError, match="nan off"):
        load_model(store, release)


def test_a_graph_that_cannot_take_the_golden_image_is_refused(store, make_release, monkeypatch):
    def fail(*_):
        raise RuntimeError("Unexpected input data type")

    release = make_release(1)
    monkeypatch.setattr(model_module, "run_graph", fail)
    with pytest.raises(ContractViolationError, match=r"golden/000\.png of release .* fails: Unexpected input"):
        load_model(store, release)


def test_a_golden_image_that_is_none_is_refused(store, make_release):
    release = make_release(1)
    folder = store.fetch(release.address)
    (folder / "golden" / "000.png").write_bytes(b"not a picture")
    spoiled = release.model_copy(update={"digest": digest_folder(folder)})
    with pytest.raises(ContractViolationError, match=r"golden/000\.png of release .* fails: "):
        load_model(store, spoiled)


def test_a_release_of_another_project_is_refused(store, make_release):
    release = make_release(1, name="defects")
    stolen = release.model.model.model_copy(update={"project": "digits"})
    offered = release.model_copy(update={"model": release.model.model_copy(update={"model": stolen})})
    with pytest.raises(ContractViolationError, match="was made for project defects"):
        load_model(store, offered)


def list_mutations(document, path=()):
    """Every way to change, remove or add one field, however deep: (name, function of a fresh document)."""
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        here = (*path, key)
        yield f"{'.'.join(map(str, here))} removed", lambda whole, at=here: _reach(whole, at[:-1]).pop(at[-1])
        if isinstance(value, dict | list) and value:
            yield from list_mutations(value, here)
        else:
            other = _differ(value)
            yield (
                f"{'.'.join(map(str, here))} is {other!r}",
                lambda whole, at=here, new=other: operator.setitem(_reach(whole, at[:-1]), at[-1], new),
            )


def _differ(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if value > 1 else value / 2 + 0.01
    digest = isinstance(value, str) and value.startswith("sha256:")
    return value[:-1] + ("b" if value[-1] != "b" else "c") if digest else f"{value}x" if value else "x"


def _reach(whole, path):
    for key in path:
        whole = whole[key]
    return whole


def test_every_change_of_one_field_of_a_certificate_is_refused(store, make_release):
    """The bundle is published anew around each, so that only the signature stands against it."""
    signed = []
    load_model(store, make_release(1, spoil_signed=lambda data: signed.append(data) or data))
    mutations = list(list_mutations(json.loads(signed[0])))
    assert len(mutations) >= 100
    refused = []
    for name, mutate in mutations:
        envelope = json.loads(signed[0])
        mutate(envelope)
        assert canonical_json(envelope) != signed[0], name
        release = make_release(1, spoil_signed=lambda _, changed=envelope: canonical_json(changed))
        with pytest.raises(NotCertifiedError, match=r"is not served: .* certificate refused"):
            load_model(store, release)
        refused.append(name)
    assert len(refused) == len(mutations)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"graph": "sha256:" + "b" * 64},
        {"model": {"key": "sha256:" + "b" * 64}},
        {"model": {"weights": "sha256:" + "b" * 64}},
        {"model": {"project": "parts"}},
        {"model": {"run_id": "another"}},
        {"decision": {"verdict": "reject"}},
        {"decision": {"verdict": "not_enough_evidence"}},
        {"graph": None},
        {"note": "more"},
    ],
    ids=str,
)
def test_a_certificate_of_something_else_is_refused_although_it_was_signed(store, make_release, change):
    def spoil(document):
        for name, value in change.items():
            if isinstance(value, dict):
                document[name] |= value
            else:
                document[name] = value
        if "model" in change:
            document["decision"]["candidate"]["model"] |= change["model"]
        return document

    with pytest.raises(NotCertifiedError, match="certificate refused"):
        load_model(store, make_release(1, spoil=spoil))


def test_a_certificate_cannot_be_borrowed_from_another_version(store, make_release):
    signed = []
    make_release(2, spoil_signed=lambda data: signed.append(data) or data)
    with pytest.raises(NotCertifiedError, match="version is 1, certified is 2"):
        load_model(store, make_release(1, spoil_signed=lambda _: signed[0]))


def test_a_release_without_a_certificate_is_refused(store, make_release):
    with pytest.raises(NotCertifiedError, match="it carries no certificate; see docs/runbook"):
        load_model(store, make_release(1, spoil_signed=lambda _: None))


def test_a_signer_that_is_no_longer_trusted_is_refused(store, make_release):
    release = make_release(1)
    (key,) = store.list("trust")
    store.remove(key)
    with pytest.raises(NotCertifiedError, match="nobody here trusts"):
        load_model(store, release)


def test_a_changed_or_missing_bundle_is_not_loaded(store, make_release):
    release = make_release(1)
    folder = store.fetch(release_address("digits", release.digest))
    (folder / "extra.txt").write_text("planted")
    with pytest.raises(ContractViolationError, match="damaged"):
        load_model(store, release)
    store.remove(release.address)
    with pytest.raises(ArtifactNotFoundError, match="no release at"):
        load_model(store, release)
