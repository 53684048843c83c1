import torch

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def setup(self) -> None:
        """Put a small network on the GPU, if there is one."""
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(0)
        self.model = torch.nn.Linear(4, 2).to(self.device).eval()

    def predict(
        self,
        values: list[float] = Input(description="Four numbers"),
        scale: float = Input(description="Factor on the result", default=1.0, ge=0, le=10),
    ) -> list[float]:
        """Two numbers from four."""
        with torch.inference_mode():
            result = self.model(torch.tensor(values, device=self.device))
        return [float(value) * scale for value in result]
