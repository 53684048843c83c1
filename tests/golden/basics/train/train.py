from cog import BaseModel, Path


class TrainingOutput(BaseModel):
    weights: Path


def train(steps: int = 10) -> TrainingOutput:
    return TrainingOutput(weights=Path("weights"))
