"""From a picture's bytes to a model's input in TensorFlow's own operators: what a SavedModel carries for servers.

The twin of `decode.decode_image` and `geometry.Geometry.fit` for JPEG and PNG.
"""

from typing import TYPE_CHECKING

from keras_transfer.geometry import Geometry

if TYPE_CHECKING:
    import tensorflow as tf

_EXIF_BYTES = 1 << 17  # where a JPEG's orientation is looked for
_PRECISION = 22  # fractional bits of Pillow's weights
_BITS = 5  # of a position between two pixels, see `geometry._mediapipe`


def decode(content: "tf.Tensor", height: int, width: int, channels: int, geometry: Geometry) -> "tf.Tensor":
    """A JPEG's or a PNG's pixels as the model takes them.

    Args:
        content: a scalar string, the file.
        height: of the model's input.
        width: of the model's input.
        channels: 3, or 1 for the luma.
        geometry: how it is fitted.

    Returns:
        `uint8 [height, width, channels]`.
    """
    import tensorflow as tf

    least = geometry.least_side(width, height)
    rgb = tf.cond(tf.io.is_jpeg(content), lambda: _jpeg(content, least), lambda: _png(content))
    rgb = _upright(rgb, _orientation(content))
    shape = tf.shape(rgb)
    same = tf.reduce_all(shape[:2] == [height, width])
    fitted = tf.cond(same, lambda: rgb, lambda: _fit(rgb, height, width, geometry))
    fitted = tf.ensure_shape(fitted, (height, width, 3))
    if channels == 3:
        return fitted
    red, green, blue = tf.unstack(tf.cast(fitted, tf.int32), axis=-1)
    return tf.cast((19595 * red + 38470 * green + 7471 * blue + 0x8000) // 65536, tf.uint8)[..., None]


def _jpeg(content: "tf.Tensor", least: int) -> "tf.Tensor":
    """Reduced while it is decoded, as `draft` of Pillow does it: both sides keep so many pixels."""
    import tensorflow as tf

    shape = tf.image.extract_jpeg_shape(content)
    times = tf.reduce_min(shape[:2]) // least

    def reduced(ratio: int) -> "tf.Tensor":
        return tf.image.decode_jpeg(content, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    cases = [(times >= 8, lambda: reduced(8)), (times >= 4, lambda: reduced(4)), (times >= 2, lambda: reduced(2))]
    return tf.case(cases, default=lambda: reduced(1))


def _png(content: "tf.Tensor") -> "tf.Tensor":
    """Laid on white in the arithmetic of Pillow's `alpha_composite`."""
    import tensorflow as tf

    rgba = tf.cast(tf.image.decode_png(content, channels=4), tf.int32)
    own = rgba[..., 3:] * 128
    mixed = rgba[..., :3] * own + 255 * (255 * 128 - own) + (128 << 7)
    return tf.cast(((mixed // 256) + mixed) // 256 // 128, tf.uint8)


def _orientation(content: "tf.Tensor") -> "tf.Tensor":
    """The EXIF orientation of a JPEG, 1 where there is none."""
    import tensorflow as tf

    head = tf.cast(tf.io.decode_raw(tf.strings.substr(content, 0, _EXIF_BYTES), tf.uint8), tf.int32)
    head = tf.concat([head, tf.zeros(16, tf.int32)], 0)
    mark = [ord(letter) for letter in "Exif\0\0"]
    count = tf.size(head) - len(mark)
    found = tf.reduce_all(tf.stack([head[i : i + count] == byte for i, byte in enumerate(mark)]), 0)
    tiff = tf.cast(tf.argmax(found), tf.int32) + len(mark)

    def at(position: "tf.Tensor", size: int) -> "tf.Tensor":
        """A number of the block, in its own order of bytes."""
        places = tf.clip_by_value(tf.expand_dims(position, -1) + tf.range(size), 0, tf.size(head) - 1)
        values = tf.gather(head, places)
        values = tf.where(little, tf.reverse(values, [-1]), values)
        return tf.reduce_sum(values * [256**i for i in reversed(range(size))], -1)

    little = tf.gather(head, tf.minimum(tiff, tf.size(head) - 1)) == ord("I")
    directory = tiff + at(tiff + 4, 4)
    entries = directory + 2 + 12 * tf.range(tf.minimum(at(directory, 2), 512))
    wanted = tf.logical_and(at(entries, 2) == 0x0112, at(entries + 2, 2) == 3)
    value = tf.reduce_max(tf.where(wanted, at(entries + 8, 2), 0), keepdims=True)[0]
    known = tf.reduce_any(found) & tf.io.is_jpeg(content) & (value >= 1) & (value <= 8)
    return tf.where(known, value, 1)


def _upright(rgb: "tf.Tensor", orientation: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    turned = tf.cond(orientation >= 5, lambda: tf.transpose(rgb, (1, 0, 2)), lambda: rgb)

    def any_of(*values: int) -> "tf.Tensor":
        return tf.reduce_any(orientation == list(values))

    # Of 5 to 8, after the transposition: 6 is a turn to the right, 8 to the left.
    across, down = any_of(2, 3, 6, 7), any_of(3, 4, 7, 8)
    turned = tf.cond(across, lambda: tf.reverse(turned, [1]), lambda: turned)
    return tf.cond(down, lambda: tf.reverse(turned, [0]), lambda: turned)


def _fit(rgb: "tf.Tensor", height: int, width: int, geometry: Geometry) -> "tf.Tensor":
    """`Geometry.fit`, with sides that are known only when the graph runs."""
    import tensorflow as tf

    if geometry.interpolation == "mediapipe":
        blocks = [tf.cast(_scale(axis) / 2, tf.int32) for axis in _axes(tf.shape(rgb), height, width, geometry)]
        rgb = _averaged(rgb, *(tf.maximum(1, block) for block in reversed(blocks)))
    columns, rows = _axes(tf.shape(rgb), height, width, geometry)
    resize = _mediapipe if geometry.interpolation == "mediapipe" else _bilinear
    resized = resize(rgb, rows, columns)
    if geometry.mode != "letterbox":
        return resized
    spare = [tf.constant(side) - place for side, (*_, place) in ((height, rows), (width, columns))]
    pads = [[side // 2, side - side // 2] for side in spare]
    return tf.pad(resized, [*pads, [0, 0]], constant_values=geometry.padding)


_Axis = tuple["tf.Tensor", "tf.Tensor", "tf.Tensor"]
"""Of one side: where the window begins and ends, and how many pixels come out."""


def _axes(shape: "tf.Tensor", height: int, width: int, geometry: Geometry) -> tuple[_Axis, _Axis]:
    """`Geometry.window` and `place`: across, and down."""
    import tensorflow as tf

    own = [tf.cast(shape[1], tf.float64), tf.cast(shape[0], tf.float64)]
    out = [tf.constant(width), tf.constant(height)]
    begin, used = [tf.zeros((), tf.float64)] * 2, own
    if geometry.mode == "crop":
        across = geometry.crop * tf.minimum(own[0], _divided(own[1] * width, height))
        used = [across, _divided(across * height, width)]
        begin = [(side - part) / 2 for side, part in zip(own, used, strict=True)]
    elif geometry.mode == "letterbox":
        scale = tf.minimum(width / own[0], height / own[1])
        fitted = [tf.cast(side * scale + 0.5, tf.int32) for side in own]
        out = [tf.minimum(side, tf.maximum(1, one)) for side, one in zip((width, height), fitted, strict=True)]
    first, second = ((start, start + part, one) for start, part, one in zip(begin, used, out, strict=True))
    return first, second


def _scale(axis: _Axis) -> "tf.Tensor":
    """How many pixels of the window make one."""
    import tensorflow as tf

    begin, end, out = axis
    return _divided(tf.cast(end - begin, tf.float64), out)


def _divided(value: "tf.Tensor", by: "tf.Tensor | int") -> "tf.Tensor":
    """A quotient by a division of its own: TensorFlow joins plain ones with other constants, which rounds otherwise."""
    import tensorflow as tf

    return tf.math.divide_no_nan(value, tf.cast(by, tf.float64))


def _averaged(rgb: "tf.Tensor", down: "tf.Tensor", across: "tf.Tensor") -> "tf.Tensor":
    """`Image.reduce` of Pillow: blocks of pixels, those at the edges maybe smaller."""
    import tensorflow as tf

    values, counts = tf.cast(rgb, tf.int64), tf.ones((1, 1), tf.int64)
    for axis, block in ((0, down), (1, across)):
        size = tf.shape(rgb)[axis]
        blocks = tf.range(size) // block
        moved = values if axis == 0 else tf.transpose(values, (1, 0, 2))
        sums = tf.math.segment_sum(moved, blocks)
        values = sums if axis == 0 else tf.transpose(sums, (1, 0, 2))
        lengths = tf.math.segment_sum(tf.ones_like(blocks, tf.int64), blocks)
        counts = counts * (lengths[:, None] if axis == 0 else lengths[None])
    counts = counts[..., None]
    return tf.cast((values + counts // 2) * ((1 << 24) // counts) // (1 << 24), tf.uint8)


def _bilinear(rgb: "tf.Tensor", rows: _Axis, columns: _Axis) -> "tf.Tensor":
    """Pillow's antialiased filter in its own whole numbers: across, then down, rounded to bytes between."""
    import tensorflow as tf

    shape = tf.shape(rgb)

    def weights(axis: _Axis, size: "tf.Tensor") -> "tf.Tensor":
        begin, end, out = axis
        begin, end = tf.cast(begin, tf.float32), tf.cast(end, tf.float32)  # as Pillow has them
        scale = _scale((begin, end, out))
        support = tf.maximum(scale, tf.ones_like(scale))
        centres = tf.cast(begin, tf.float64) + (tf.cast(tf.range(out), tf.float64) + 0.5) * scale
        distance = tf.cast(tf.range(size), tf.float64)[None] + 0.5 - centres[:, None]
        shares = tf.nn.relu(1 - tf.abs(distance / support))
        shares /= tf.reduce_sum(shares, 1, keepdims=True)
        return tf.floor(shares * (1 << _PRECISION) + 0.5)

    def rounded(sums: "tf.Tensor") -> "tf.Tensor":
        return tf.clip_by_value(tf.floor((sums + (1 << (_PRECISION - 1))) / (1 << _PRECISION)), 0.0, 255.0)

    # Whole numbers below 2 ** 53 are exact in float64.
    across = rounded(tf.einsum("ow,hwc->hoc", weights(columns, shape[1]), tf.cast(rgb, tf.float64)))
    return tf.cast(rounded(tf.einsum("oh,hwc->owc", weights(rows, shape[0]), across)), tf.uint8)


def _mediapipe(rgb: "tf.Tensor", rows: _Axis, columns: _Axis) -> "tf.Tensor":
    """See `geometry._mediapipe`."""
    import tensorflow as tf

    one, values = 1 << _BITS, tf.cast(rgb, tf.int32)
    for axis, (begin, end, out) in enumerate((rows, columns)):
        last = tf.shape(rgb)[axis] - 1
        places = begin + tf.cast(tf.range(out), tf.float64) * _scale((begin, end, out))
        position = tf.cast(tf.round(places * one), tf.int32)
        before, share = position // one, position % one
        share = tf.reshape(share, (-1, 1, 1) if axis == 0 else (1, -1, 1))
        near, far = (tf.gather(values, tf.minimum(place, last), axis=axis) for place in (before, before + 1))
        values = near * (one - share) + far * share
    return tf.cast((values + (1 << (2 * _BITS - 1))) // (1 << 2 * _BITS), tf.uint8)
