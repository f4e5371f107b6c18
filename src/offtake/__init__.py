"""Run a GPU fleet as a business."""

__version__ = "0.1.0"
