"""Models of the walk-throughs that users of Cog know, and small stand-ins for the packages that they import."""

from __future__ import annotations

__all__ = ["GUESSES", "JPEG", "RESNET", "TENSORFLOW"]

JPEG = b"\xff\xd8 a cat"

# The code of the getting-started guide; the stand-ins know one image, and what is in it.
RESNET = """\
from typing import Any
from cog import BasePredictor, Input, Path
from tensorflow.keras.applications.resnet50 import ResNet50
from tensorflow.keras.preprocessing import image as keras_image
from tensorflow.keras.applications.resnet50 import preprocess_input, decode_predictions
import numpy as np


class Predictor(BasePredictor):
    def setup(self):
        \"\"\"Load the model into memory to make running multiple predictions efficient\"\"\"
        self.model = ResNet50(weights='resnet50_weights_tf_dim_ordering_tf_kernels.h5')

    # Define the arguments and types the model takes as input
    def predict(self, image: Path = Input(description="Image to classify")) -> Any:
        \"\"\"Run a single prediction on the model\"\"\"
        # Preprocess the image
        img = keras_image.load_img(image, target_size=(224, 224))
        x = keras_image.img_to_array(img)
        x = np.expand_dims(x, axis=0)
        x = preprocess_input(x)
        # Run the prediction
        preds = self.model.predict(x)
        # Return the top 3 predictions
        return decode_predictions(preds, top=3)[0]
"""
GUESSES = [
    ["n02123159", "tiger_cat", 0.4874822497367859],
    ["n02123045", "tabby", 0.23169134557247162],
    ["n02124075", "Egyptian_cat", 0.09728282690048218],
]
TENSORFLOW = {
    "tensorflow/__init__.py": "",
    "tensorflow/keras/__init__.py": "",
    "tensorflow/keras/applications/__init__.py": "",
    "tensorflow/keras/applications/resnet50.py": f"""\
import os
class ResNet50:
    def __init__(self, weights):
        assert os.path.getsize(weights)
    def predict(self, x):
        return x
def preprocess_input(x):
    return x
def decode_predictions(preds, top):
    assert preds == [{list(JPEG)}]
    return [{GUESSES}[:top]]
""",
    "tensorflow/keras/preprocessing/__init__.py": "",
    "tensorflow/keras/preprocessing/image.py": """\
def load_img(path, target_size):
    return open(path, "rb").read()
def img_to_array(data):
    return list(data)
""",
    "numpy/__init__.py": "def expand_dims(x, axis):\n    return [x]\n",
}
