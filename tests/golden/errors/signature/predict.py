from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, scale: float = Input(default=3, le=2)) -> str:  # error: COG413
        return ""
