"""The docker engine, and what images are made with: engine.py runs models, model_image.py builds them."""
