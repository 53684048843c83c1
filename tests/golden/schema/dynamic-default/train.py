from somewhere import Result


def train(steps: int) -> Result:  # warning: COG409
    return Result(steps)
