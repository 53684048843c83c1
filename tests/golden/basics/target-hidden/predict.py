class Predictor:
    def predict(self, text: str) -> str:
        return text
