import json

import pytest

from include.errors import ArtifactNotFoundError, ContractViolationError, DataQualityError, NotCertifiedError
from include.registry import bundles
from include.registry.bundles import bundle_address, check_bundle, seal_bundle
from include.registry.model_card import card_address
from include.settings import load_settings
from include.storage import digest_bytes
from include.storage.signing import Signer
from include.vision.graphs import graph_address


@pytest.fixture
def version(registry):
    return registry.register("a")


@pytest.fixture
def sealed(registry, version):
    return seal_bundle(version, *registry.places)


@pytest.fixture
def check(registry):
    return lambda forgotten=(): check_bundle(registry.name, 1, registry.store, forgotten)


def resign(registry, **changes):
    """Change a bundle's manifest and sign it as this machine would."""
    address = f"{bundle_address(registry.name, 1)}/bundle.json"
    document = json.loads(registry.store.read(address))["document"] | changes
    registry.store.write(address, Signer(load_settings().home, registry.store).sign(document))


def test_a_bundle_answers_like_the_original_and_needs_nothing_else(registry, version, sealed, check):
    assert (sealed.probes, sealed.erased, sealed.difference, sealed.identical) == (5, 0, 0.0, True)
    files = registry.read_tree(bundle_address(registry.name, 1))
    assert sealed.files == len(files) - 1
    names = {one.removeprefix(f"{registry.name}/archive/1/").partition("/")[0] for one in files}
    assert names == {
        "bundle.json", "certificate.json", "decision.json", "model", "model.onnx", "model_card.html", "probes",
    }  # fmt: skip
    for address in (graph_address(version.model), card_address(version), version.model.dataset.address):
        registry.store.remove(address)
    assert check() == sealed


def test_sealing_again_changes_no_byte(registry, version, sealed):
    before = registry.read_tree(f"{registry.name}/archive")
    assert seal_bundle(version, *registry.places) == sealed
    assert registry.read_tree(f"{registry.name}/archive") == before


def test_what_a_killed_attempt_left_is_written_anew(registry, version, sealed):
    address = bundle_address(registry.name, 1)
    registry.store.remove(f"{address}/bundle.json")
    registry.store.write(f"{address}/model.onnx", b"half")
    assert seal_bundle(version, *registry.places) == sealed


def test_every_changed_missing_or_added_file_is_found(registry, sealed, check):
    tree = registry.read_tree(bundle_address(registry.name, 1))
    assert len(tree) > sealed.probes
    for address, data in tree.items():
        registry.store.write(address, data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(ContractViolationError, match=r"was changed: |seal of bundle .* does not hold"):
            check()
        registry.store.remove(address)
        with pytest.raises((ContractViolationError, ArtifactNotFoundError)):
            check()
        registry.store.write(address, data)
    registry.store.write(f"{bundle_address(registry.name, 1)}/extra", b"x")
    with pytest.raises(ContractViolationError, match=r"added \['extra'\]"):
        check()


def test_a_forgotten_image_may_be_missing_and_no_other(registry, sealed, check):
    file, *others = registry.store.list(f"{bundle_address(registry.name, 1)}/probes")
    registry.store.remove(file)
    with pytest.raises(ContractViolationError, match="missing"):
        check()
    image = f"sha256:{file.rpartition('/')[2].removesuffix('.png')}"
    report = check({image})
    assert (report.probes, report.erased, report.identical) == (4, 1, True)
    for one in others:
        registry.store.remove(one)
    everything = {f"sha256:{one.rpartition('/')[2].removesuffix('.png')}" for one in [file, *others]}
    report = check(everything)
    assert (report.probes, report.erased) == (0, 5)
    assert not report.identical  # nothing was scored: no evidence is no pass


def test_other_answers_are_refused_and_a_rounding_is_said(registry, sealed, check):
    probes = json.loads(registry.store.read(f"{registry.name}/archive/1/bundle.json"))["document"]["probes"]
    nearly = probes[0]["probabilities"]
    resign(registry, probes=[probes[0] | {"probabilities": [nearly[0] + 1e-6, *nearly[1:]]}, *probes[1:]])
    report = check()
    assert report.difference == pytest.approx(1e-6, rel=1e-3)
    assert not report.identical
    resign(registry, probes=[probes[0] | {"probabilities": [nearly[0] + 1e-3, *nearly[1:]]}, *probes[1:]])
    with pytest.raises(ContractViolationError, match=r"1\.00e-03 off; 1\.00e-04 is allowed"):
        check()


def test_a_bundle_says_where_it_was_sealed(registry, sealed, check):
    found = json.loads(registry.store.read(f"{registry.name}/archive/1/bundle.json"))["document"]["environment"]
    resign(registry, environment=found | {"onnxruntime": "0.1"})
    assert check().environment == {"onnxruntime": f"0.1, now {found['onnxruntime']}"}


def test_the_bundle_of_another_version_is_refused(registry, sealed, check):
    resign(registry, version=2)
    with pytest.raises(ContractViolationError, match=r"is that of digits_.* version 2"):
        check()
    resign(registry, version=1, surprise=True)
    with pytest.raises(ContractViolationError, match="seal of bundle"):
        check()


def test_a_graph_that_is_not_the_certified_one_is_not_archived(registry, version):
    registry.store.write(graph_address(version.model), b"another")
    with pytest.raises(NotCertifiedError, match=f"has digest {digest_bytes(b'another')}, certified is"):
        seal_bundle(version, *registry.places)
    assert registry.store.list(f"{registry.name}/archive") == []


def test_without_a_certificate_there_is_nothing_to_archive(registry, version):
    with pytest.raises(NotCertifiedError, match="version 2 has no certificate to archive"):
        seal_bundle(version.model_copy(update={"version": 2}), *registry.places)


def test_without_images_nothing_is_sealed(registry, version, publish, digit_images, monkeypatch):
    monkeypatch.setattr(bundles, "find_latest_dataset", lambda *_: publish(digit_images[:4], lambda _: "train"))
    with pytest.raises(DataQualityError, match=r"no validation images .* raise data\.validation_share"):
        seal_bundle(version, *registry.places)
