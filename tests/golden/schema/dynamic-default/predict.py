import os

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(
        self,
        steps: int = Input(default=int(os.environ["STEPS"])),  # warning: COG410
        size: str = Input(choices=os.listdir("sizes")),  # warning: COG411
    ) -> str:
        return "x"
