from typing import Any

import numpy as np
from tensorflow.keras.applications.resnet50 import ResNet50, decode_predictions, preprocess_input
from tensorflow.keras.preprocessing import image as images

from cog import BasePredictor, Input, Path

WEIGHTS = "weights/resnet50_weights_tf_dim_ordering_tf_kernels.h5"


class Predictor(BasePredictor):
    def setup(self) -> None:
        """Load the network once."""
        self.model = ResNet50(weights=WEIGHTS)

    def predict(self, image: Path = Input(description="Image to classify")) -> Any:
        """The three best guesses: class id, name and probability."""
        pixels = images.img_to_array(images.load_img(image, target_size=(224, 224)))
        batch = preprocess_input(np.expand_dims(pixels, axis=0))
        best = decode_predictions(self.model.predict(batch), top=3)[0]
        return [[identity, name, float(probability)] for identity, name, probability in best]
