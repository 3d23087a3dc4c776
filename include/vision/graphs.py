"""Keep one exported graph per weights, so that what was certified is what is released."""

from pathlib import Path

from include.contracts import ModelRef
from include.storage import Store


def graph_address(model: ModelRef) -> str:
    """Address of the graph of a model's weights."""
    return f"{model.project}/graphs/{model.weights.removeprefix('sha256:')}.onnx"


def export_once(model: ModelRef, folder: Path, store: Store) -> bytes:
    """Return the ONNX graph of a model, exported at the first call and kept in the store.

    :param folder: The model's folder, as `save_classifier` writes it.
    """
    if not store.exists(graph_address(model)):
        from include.vision.export import export_graph
        from include.vision.weights import load_classifier

        classifier, _ = load_classifier(folder)
        store.write(graph_address(model), export_graph(classifier))
    return store.read(graph_address(model))
