"""A frame from a camera, through OpenCV."""

import io
import os

from PIL import Image

from keras_transfer.errors import InputError
from keras_transfer.extras import require

_FRAMES = 10  # a camera's first frames are dark: it finds its exposure on them


def camera_frame(number: int) -> bytes:
    """Takes one photograph with a camera of this machine.

    Args:
        number: of the camera, 0 being the first.

    Returns:
        A PNG.

    Raises:
        InputError: OpenCV is missing, or there is no such camera or it gives no picture.
    """
    require("cv2", "camera", "A camera")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_VIDEOIO_DEBUG", "0")
    import cv2

    camera = cv2.VideoCapture(number)
    try:
        frame = None
        for _ in range(_FRAMES if camera.isOpened() else 0):
            good, latest = camera.read()
            frame = latest if good else frame
    finally:
        camera.release()
    if frame is None:
        raise InputError(f"Camera {number} gives no picture. Is it connected, free, and are you allowed to use it?")
    buffer = io.BytesIO()
    Image.fromarray(frame[..., ::-1]).save(buffer, "PNG", compress_level=1)  # OpenCV's order is blue, green, red
    return buffer.getvalue()
