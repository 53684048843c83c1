"""resolve(request, matrix): which Python, which CUDA, which base image, which index. Pure and offline."""

from .resolve import resolve

__all__ = ["resolve"]
