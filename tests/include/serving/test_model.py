import json
import operator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from include.errors import ArtifactNotFoundError, ContractViolationError, NotCertifiedError
from include.serving.model import ModelFailedError, load_model
from include.storage import Store, digest_folder
from include.storage.signing import canonical_json
from include.vision.releases import open_graph, release_address
from tests.include.serving.conftest import build_graph

GREY = np.full((1, 32, 32, 3), 90, np.uint8)


def test_answers_every_image_of_a_batch(store, make_release):
    model = load_model(store, make_release(7))
    outputs = model.run(np.concatenate([GREY, GREY // 2]))
    assert [model.manifest.classes[int(output.probabilities.argmax())] for output in outputs] == ["7", "7"]
    assert all(output.probabilities.sum() == pytest.approx(1) for output in outputs)
    assert all(output.embedding is None for output in outputs)


def test_gives_the_embedding_where_the_graph_has_one(store, make_release):
    outputs = load_model(store, make_release(7, embedding=True)).run(np.concatenate([GREY, GREY // 2]))
    assert [output.embedding.tolist() for output in outputs] == [pytest.approx([90 / 255]), pytest.approx([45 / 255])]


def test_threads_that_ask_at_once_get_the_same_answer(store, make_release):
    model = load_model(store, make_release(3))
    with ThreadPoolExecutor(8) as pool:
        answers = [output.probabilities.tolist() for (output,) in pool.map(model.run, [GREY] * 64)]
    assert all(answer == answers[0] for answer in answers)


def test_an_answer_that_is_no_number_is_a_failure(store, make_release):
    model = load_model(store, make_release(1, fails_above=80))
    assert np.isfinite(model.run(GREY // 2)[0].probabilities).all()
    with pytest.raises(ModelFailedError, match="no number"):
        model.run(GREY)


def test_an_answer_of_another_shape_is_a_failure(store, make_release):
    model = replace(load_model(store, make_release(1)), graph=open_graph(build_graph(11, 1)))
    with pytest.raises(ModelFailedError, match=r"answers \(1, 11\) to a batch, not \(1, 10\)"):
        model.run(GREY)


@pytest.mark.parametrize("images", [GREY[0], GREY.astype(np.float32), GREY[..., :1]], ids=["no batch", "type", "grey"])
def test_a_graph_that_fails_is_a_failure_of_the_model(store, make_release, images):
    with pytest.raises(ModelFailedError, match=r"release sha256:\w+ fails: "):
        load_model(store, make_release(1)).run(images)


def test_the_baseline_leaves_no_class_out(store, make_release):
    shares = load_model(store, make_release(4)).shares
    assert shares.tolist() == pytest.approx([7 / 16 if number == 4 else 1 / 16 for number in range(10)])


def test_a_release_without_a_readable_reference_is_refused(store, make_release):
    release = make_release(1)
    folder = store.fetch(release.address)
    (folder / "reference.parquet").write_bytes(b"not a table")
    spoiled = release.model_copy(update={"digest": digest_folder(folder)})
    with pytest.raises(ContractViolationError, match=r"reference\.parquet .* cannot be read: .*; package it again"):
        load_model(store, spoiled)


def test_golden_images_can_be_replayed_for_as_long_as_it_serves(store, make_release):
    model = load_model(store, make_release(1))
    model.replay(1)
    lying = replace(model, graph=open_graph(build_graph(10, 2)))
    with pytest.raises(ContractViolationError, match=r"golden/000\.png .* off"):
        lying.replay()


def test_keys_may_be_those_of_another_store(store, make_release, tmp_path):
    release = make_release(1)
    with pytest.raises(NotCertifiedError, match="nobody here trusts"):
        load_model(store, release, trust=Store(str(tmp_path / "strangers")))


def test_a_release_that_answers_otherwise_than_when_it_was_packaged_is_refused(store, make_release):
    with pytest.raises(ContractViolationError, match=r"golden/000\.png .* off; 1\.00e-04 is allowed.*Package it again"):
        load_model(store, make_release(1, answers=np.eye(10)[5]))


def test_a_difference_within_the_tolerance_is_none(store, make_release):
    packaged = load_model(store, make_release(1)).manifest.golden[0].probabilities
    nudged = np.array(packaged) + 5e-5 * np.eye(10)[2]
    assert load_model(store, make_release(1, answers=nudged)).manifest.golden[0].probabilities != packaged


def test_a_graph_that_fails_its_golden_image_is_refused(store, make_release):
    release = make_release(1, fails_above=5, answers=np.eye(10)[1])
    with pytest.raises(ContractViolationError, match=r"golden/000\.png of release .* fails: .* no number"):
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
