import json
import tempfile

from cog import BaseModel, Input, Path


class TrainingOutput(BaseModel):
    weights: Path
    final_loss: float
    steps: int


class Trainer:
    def setup(self) -> None:
        """Load the base model once for all trainings."""
        self.slope = 1.0

    def train(
        self,
        train_data: Path = Input(description="JSON lines, each with the numbers x and y"),
        learning_rate: float = Input(description="Learning rate", default=0.01, ge=0, le=1),
        num_epochs: int = Input(description="Passes over the data", default=3, ge=1, le=1000),
        max_steps: int = Input(description="Stop after so many steps", default=None),
    ) -> TrainingOutput:
        """Fit y = slope * x by gradient descent."""
        with open(train_data) as lines:
            examples = [json.loads(line) for line in lines]
        slope, steps, loss = self.slope, 0, 0.0
        for epoch in range(num_epochs):
            for example in examples:
                error = slope * example["x"] - example["y"]
                slope -= learning_rate * error * example["x"]
                loss, steps = error**2, steps + 1
                if max_steps is not None and steps >= max_steps:
                    break
            print(f"epoch {epoch}: loss {loss:.4f}")
        weights = Path(tempfile.mkdtemp()) / "slope.json"
        weights.write_text(json.dumps({"slope": slope}))
        return TrainingOutput(weights=weights, final_loss=loss, steps=steps)
