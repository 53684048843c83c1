class Predictor:
    def predict(self, text: str) -> str  # error: COG403
        return text
