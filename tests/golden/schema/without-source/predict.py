from somewhere import Predictor  # warning: COG412
