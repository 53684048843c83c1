import my_private_package

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, text: str = Input(description="Text to work on")) -> str:
        """Hand the text to the private package."""
        return str(my_private_package.run(text))
