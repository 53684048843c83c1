import json
from typing import Optional, Union

from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def setup(self, weights: Optional[Union[Path, str]] = None) -> None:
        """Load trained weights where there are some, else the base model."""
        self.slope = 1.0
        if weights:
            self.slope = json.loads(Path(weights).read_text())["slope"]

    def predict(self, x: float = Input(description="A number")) -> float:
        """The number on the line."""
        return self.slope * x
