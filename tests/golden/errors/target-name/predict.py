class Predicter:
    def predict(self, text: str) -> str:
        return text
