from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def setup(self) -> None:
        """Prepare what every prediction needs."""
        self.greeting = "hello"

    def predict(self, text: str = Input(description="Whom to greet", default="world")) -> str:
        """Greet somebody."""
        return f"{self.greeting} {text}"
