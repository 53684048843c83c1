"""The OpenAPI document as a whole."""

from __future__ import annotations

import json
from typing import Any

from cogc.frontend.signature import Signature, openapi_document
from tests.unit.frontend.signature.support import HEADER, signature

SOURCE = HEADER + (
    "def predict(s: str) -> str: ...\n"
    "def train(n: int) -> Path: ...\n"
    "@streaming\ndef stream(s: str) -> Iterator[str]:\n    yield s\n"
)


def both() -> tuple[Signature, Signature]:
    return signature(SOURCE, "predict"), signature(SOURCE, "train", "train")


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        found = {value["$ref"]} if "$ref" in value else set()
        return found.union(*(references(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(references(item) for item in value))
    return set()


def test_prediction_and_training_have_their_paths_and_operations() -> None:
    document = openapi_document(*both())
    operations = {
        f"{method} {path}": operation["operationId"]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert operations == {
        "get /": "root__get",
        "get /health-check": "healthcheck_health_check_get",
        "post /predictions": "predict_predictions_post",
        "put /predictions/{prediction_id}": "predict_idempotent_predictions__prediction_id__put",
        "post /predictions/{prediction_id}/cancel": "cancel_predictions__prediction_id__cancel_post",
        "post /trainings": "train_trainings_post",
        "put /trainings/{training_id}": "train_idempotent_trainings__training_id__put",
        "post /trainings/{training_id}/cancel": "cancel_training_trainings__training_id__cancel_post",
        "post /shutdown": "start_shutdown_shutdown_post",
    }


def test_document_states_its_version_and_title() -> None:
    document = openapi_document(*both())
    assert document["openapi"] == "3.0.2"
    assert document["info"] == {"title": "Cog", "version": "0.1.0"}
    assert list(document) == ["openapi", "info", "paths", "components"]


def test_components_are_those_of_the_server() -> None:
    assert set(openapi_document(*both())["components"]["schemas"]) == {
        "Input",
        "Output",
        "PredictionRequest",
        "PredictionResponse",
        "TrainingInput",
        "TrainingOutput",
        "TrainingRequest",
        "TrainingResponse",
        "Status",
        "WebhookEvent",
        "HTTPValidationError",
        "ValidationError",
    }


def test_train_only_model_has_only_the_training_set() -> None:
    document = openapi_document(None, both()[1])
    assert not any("prediction" in path for path in document["paths"])
    assert not any(name.startswith(("Input", "Output", "Prediction")) for name in document["components"]["schemas"])


def test_every_reference_leads_somewhere_and_has_no_title_beside_it() -> None:
    document = openapi_document(*both())
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= known
    request = document["components"]["schemas"]["PredictionRequest"]
    assert request["properties"]["input"] == {"$ref": "#/components/schemas/Input"}


def test_post_and_put_take_the_prefer_header() -> None:
    paths = openapi_document(*both())["paths"]
    for operation in (paths["/predictions"]["post"], paths["/trainings/{training_id}"]["put"]):
        assert any(part["name"] == "prefer" and part["in"] == "header" for part in operation["parameters"])


def test_only_streaming_functions_are_marked_as_such() -> None:
    streaming = openapi_document(signature(SOURCE, "stream"), None)
    assert streaming["paths"]["/predictions"]["post"]["x-cog-streaming"] is True
    assert "x-cog-streaming" not in openapi_document(*both())["paths"]["/predictions"]["post"]


def test_document_without_targets_has_only_the_servers_own_paths() -> None:
    document = openapi_document(None, None)
    assert list(document["paths"]) == ["/", "/health-check", "/shutdown"]
    assert document["components"]["schemas"] == {}


def test_document_is_json_without_special_numbers() -> None:
    assert json.loads(json.dumps(openapi_document(*both()), allow_nan=False))
