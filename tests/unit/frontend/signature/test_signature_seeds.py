"""Every Python sample of the user's documents yields a schema."""

from __future__ import annotations

import pytest

from cogc.frontend.signature import Scalar, openapi_document
from tests.unit.frontend.signature.support import analyse, codes, schemas, signature

UPSCALE = """
    from cog import BasePredictor, Path, Input
    import torch

    class Predictor(BasePredictor):
        def setup(self):
            \"\"\"Load the model into memory to make running multiple predictions efficient\"\"\"
            self.model = torch.load("weights.pth")

        def predict(self,
              image: Path = Input(description="Image to enlarge"),
              scale: float = Input(description="Factor to scale image by", default=1.5)
        ) -> Path:
            \"\"\"Run a single prediction on the model\"\"\"
            output = self.model(image)
            return output
"""
PREDICTORS = {
    "grayscale": """
        from cog import BasePredictor, Input, Path
        import torch
        class Predictor(BasePredictor):
            def setup(self):
                self.model = torch.load("./weights.pth")
            # The arguments and types the model takes as input
            def predict(self,
                  image: Path = Input(description="Grayscale input image")
            ) -> Path:
                return postprocess(self.model(preprocess(image)))
        """,
    "upscale": UPSCALE,
    "resnet": """
        from typing import Any
        from cog import BasePredictor, Input, Path
        from tensorflow.keras.applications.resnet50 import ResNet50
        import numpy as np
        class Predictor(BasePredictor):
            def predict(self, image: Path = Input(description="Image to classify")) -> Any:
                return decode_predictions(preds, top=3)[0]
        """,
    "notebook": """
        from cog import BasePredictor, Input
        import my_notebook
        class Predictor(BasePredictor):
            def predict(self, prompt: str = Input(description="string prompt")) -> str:
                return my_notebook.do_stuff(prompt)
        """,
    "iterator": """
        from cog import BasePredictor, Path
        from typing import Iterator
        class Predictor(BasePredictor):
            def predict(self) -> Iterator[Path]:
                done = False
                while not done:
                    output_path, done = do_stuff()
                    yield Path(output_path)
        """,
    "concatenate": """
        from cog import BasePredictor, Path, ConcatenateIterator
        class Predictor(BasePredictor):
            def predict(self) -> ConcatenateIterator[str]:
                for token in ["The", "quick"]:
                    yield token + " "
        """,
    "string": """
        from cog import BasePredictor
        class Predictor(BasePredictor):
            def predict(self) -> str:
                return "hello"
        """,
    "object": """
        from cog import BasePredictor, BaseModel, File
        class Output(BaseModel):
            file: File
            text: str
        class Predictor(BasePredictor):
            def predict(self) -> Output:
                return Output(text="hello", file=io.StringIO("hello"))
        """,
    "list": """
        from cog import BasePredictor, Path
        class Predictor(BasePredictor):
            def predict(self) -> list[Path]:
                return []
        """,
    "optional fields": """
        from cog import BaseModel, BasePredictor, Path
        from typing import Optional
        class Output(BaseModel):
            score: Optional[float]
            file: Optional[Path]
        class Predictor(BasePredictor):
            def predict(self) -> Output:
                return Output(score=1.5)
        """,
    "file": """
        from cog import BasePredictor, File, Input, Path
        from PIL import Image
        class Predictor(BasePredictor):
            def predict(self, source_image: File = Input(description="Image to enlarge")) -> File:
                return File(Image.open(source_image))
        """,
    "secret": """
        from cog import BasePredictor, Secret
        class Predictor(BasePredictor):
            def predict(self, api_token: Secret) -> None:
                print(api_token)
        """,
    "list of paths": """
        from cog import BasePredictor, Path
        class Predictor(BasePredictor):
            def predict(self, paths: list[Path]) -> str:
                return ""
        """,
    "weights": """
        from cog import BasePredictor, Path
        from typing import Optional, Union
        import torch
        class Predictor(BasePredictor):
            def setup(self, weights: Optional[Union[Path, str]] = None) -> None:
                if weights:
                    self.model = torch.load(weights)
            def predict(self, prompt: str) -> str:
                return self.model.generate(prompt)
        """,
}
TRAINERS = {
    "file": """
        from cog import BasePredictor, File
        import io
        def train(param: str) -> File:
            return io.StringIO("hello " + param)
        """,
    "none default": """
        from cog import Input, Path
        def train(
            train_data: Path = Input(description="HTTPS URL of a file containg training data"),
            learning_rate: float = Input(description="learning rate, for learning!", default=1e-4, ge=0),
            seed: int = Input(description="random seed to use for training", default=None)
        ) -> str:
          return "hello, weights"
        """,
    "training output": """
        from cog import BaseModel, Input, Path
        class TrainingOutput(BaseModel):
            weights: Path
            metrics: dict

        def train(
            train_data: Path = Input(description="HTTPS URL of a file containg training data"),
            learning_rate: float = Input(description="learning rate, for learning!", default=1e-4, ge=0),
            seed: int = Input(description="random seed to use for training", default=42)
        ) -> TrainingOutput:
          return TrainingOutput(weights=Path(generate_weights("...")))
        """,
    "choices": """
        from cog import Input, Path
        def train(
            # Required parameter (no default)
            train_data: Path = Input(description="Training dataset"),
            learning_rate: float = Input(description="Learning rate", default=1e-4, ge=0.0, le=1.0),
            epochs: int = Input(description="Number of training epochs", default=10, ge=1, le=100),
            optimizer: str = Input(
                description="Optimizer to use",
                default="adam",
                choices=["adam", "sgd", "adamw"]
            ),
            seed: int = Input(description="Random seed", default=None)
        ) -> Path:
            ...
        """,
    "plain": """
        from cog import Path
        def train(train_data: Path) -> Path:
            return Path(fine_tune(train_data))
        """,
}
TRAINER_CLASS = """
    from cog import BaseModel, Input, Path
    import torch
    class TrainingOutput(BaseModel):
        weights: Path
        final_loss: float
        steps: int
    class Trainer:
        def setup(self) -> None:
            self.base_model = torch.load("base_model.pth")
        def train(
            self,
            train_data: Path = Input(description="JSONL file with training examples"),
            learning_rate: float = Input(default=5e-5, ge=0, le=1e-3),
            num_epochs: int = Input(default=3, ge=1, le=10),
            max_steps: int = Input(default=None),
        ) -> TrainingOutput:
            return TrainingOutput(weights=weights_path, final_loss=final_loss, steps=step)
"""
LEGACY = """
    import cog
    from pathlib import Path
    import torch
    class ImageScalingPredictor(cog.Predictor):
        def setup(self):
            self.model = torch.load("weights.pth")
        @cog.input("input", type=Path, help="Image to enlarge")
        @cog.input("scale", type=float, default=1.5, help="Factor to scale image by")
        def predict(self, input):
            output = self.model(input)
            return output
"""


@pytest.mark.parametrize("source", PREDICTORS.values(), ids=PREDICTORS)
def test_sample_predictors_yield_a_complete_schema_without_findings(source: str) -> None:
    assert set(schemas(source)) >= {"Input", "Output", "PredictionRequest", "PredictionResponse"}


@pytest.mark.parametrize("source", TRAINERS.values(), ids=TRAINERS)
def test_sample_trainers_yield_a_complete_schema_without_findings(source: str) -> None:
    found = schemas(source, "train", "train")
    assert set(found) >= {"TrainingInput", "TrainingOutput"}
    assert "Input" not in found


def test_sample_of_a_cancelled_function_yields_a_schema() -> None:
    source = """
        from cog import Path
        from cog.server.exceptions import CancelationException
        def predict(image: Path) -> Path:
            try:
                return process(image)
            except CancelationException as e:
                cleanup()
                raise e
        """
    assert signature(source, "predict").is_function


def test_sample_trainer_class_yields_a_schema() -> None:
    found = schemas(TRAINER_CLASS, "Trainer", "train")
    assert found["TrainingInput"]["required"] == ["train_data"]
    assert found["TrainingOutput"]["required"] == ["weights", "final_loss", "steps"]
    assert signature(TRAINER_CLASS, "Trainer", "train").has_setup


def test_default_none_makes_an_int_input_optional() -> None:
    found = schemas(TRAINERS["none default"], "train", "train")["TrainingInput"]
    assert found["required"] == ["train_data"]
    assert "default" not in found["properties"]["seed"]
    assert found["properties"]["seed"]["nullable"] is True


def test_any_output_of_the_resnet_sample_has_an_open_schema() -> None:
    assert schemas(PREDICTORS["resnet"])["Output"] == {"title": "Output"}


def test_unset_optional_fields_are_not_required() -> None:
    found = schemas(PREDICTORS["optional fields"])["Output"]
    assert "required" not in found
    assert found["properties"]["score"] == {"title": "Score", "type": "number", "nullable": True}


def test_setup_with_weights_is_noticed() -> None:
    assert signature(PREDICTORS["weights"]).takes_weights
    assert not signature(UPSCALE).takes_weights


def test_snippets_without_imports_are_read_as_if_they_had_them() -> None:
    source = """
        class Predictor(BasePredictor):
            def predict(self,
                image: Path = Input(description="Image to enlarge"),
                scale: float = Input(description="Factor to scale image by", default=1.5, ge=1.0, le=10.0)
            ) -> Path: ...
        """
    found, diagnostics = analyse(source)
    assert found is not None
    assert [field.name for field in found.inputs] == ["image", "scale"]
    assert {diagnostic.code for diagnostic in diagnostics} == {"COG421"}


def test_parameters_in_an_order_that_python_refuses_still_yield_a_schema_beside_the_error() -> None:
    source = """
        from cog import BasePredictor
        class Predictor(BasePredictor):
            def predict(self,
              prompt: str = "default prompt", # this is valid
              iterations: int # also valid
            ) -> str:
                ...
        """
    found, (diagnostic,) = analyse(source)
    assert diagnostic.code == "COG429"
    assert diagnostic.fix is not None
    assert found is not None
    assert [(field.name, field.is_required) for field in found.inputs] == [("prompt", False), ("iterations", True)]


def test_legacy_sample_yields_the_modern_schema_and_a_warning_about_the_undeclared_parameter() -> None:
    found, (diagnostic,) = analyse(LEGACY, "ImageScalingPredictor")
    assert diagnostic.code == "COG425"
    assert found is not None
    assert found.is_legacy
    assert found.output is Scalar.ANY
    schema = openapi_document(found, None)["components"]["schemas"]
    assert schema["Input"] == {
        "title": "Input",
        "type": "object",
        "required": ["input"],
        "properties": {
            "input": {
                "title": "Input",
                "type": "string",
                "format": "uri",
                "description": "Image to enlarge",
                "x-order": 0,
            },
            "scale": {
                "title": "Scale",
                "type": "number",
                "default": 1.5,
                "description": "Factor to scale image by",
                "x-order": 1,
            },
        },
    }
    assert schema["Output"] == {"title": "Output"}


def test_output_class_may_have_any_name() -> None:
    source = PREDICTORS["object"].replace("Output", "Answer")
    assert schemas(source)["Output"]["title"] == "Output"
    assert "Answer" not in schemas(source)


def test_pathlib_path_is_an_output_without_remark() -> None:
    source = """
        from pathlib import Path
        from cog import BasePredictor
        class Predictor(BasePredictor):
            def predict(self) -> Path: ...
        """
    assert codes(source) == []
