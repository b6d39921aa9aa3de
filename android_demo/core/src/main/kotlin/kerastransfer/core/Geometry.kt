package kerastransfer.core

/** Pillow computes with weights of 22 fractional bits: 32 less 8 for a pixel and 2 for overshoot. */
private const val PRECISION_BITS = 22
private const val HALF = 1 shl (PRECISION_BITS - 1)

/** MediaPipe, by OpenCV, knows 32 positions between two pixels. */
private const val POSITION_BITS = 5

/** What of a picture is used. */
enum class Mode { CROP, SQUASH, LETTERBOX }

/** Between pixels: Pillow's antialiased bilinear filter, or the one of MediaPipe Tasks. */
enum class Interpolation { BILINEAR, MEDIAPIPE }

/** Edges in a picture, in pixels from its top left corner. */
data class Window(val left: Double, val top: Double, val right: Double, val bottom: Double)

/** Where a resized picture stands in what a model takes. */
data class Place(val left: Int, val top: Int, val width: Int, val height: Int)

/**
 * How pictures are fitted to a model: the twin of keras_transfer/geometry.py, equal in every bit.
 *
 * @property crop share of the largest centred window of the wanted shape
 * @property padding gray value of the bars of [Mode.LETTERBOX]
 */
data class Geometry(val mode: Mode, val crop: Double, val interpolation: Interpolation, val padding: Int) {
    init {
        require(crop > 0 && crop <= 1 && padding in 0..255) { "crop is $crop, padding is $padding" }
    }

    /** Resizes an upright picture, or what is used of it, and puts bars around it where it leaves room. */
    fun fit(picture: Picture, outWidth: Int, outHeight: Int): Picture {
        val source = if (interpolation == Interpolation.MEDIAPIPE) averaged(picture, outWidth, outHeight) else picture
        val window = window(source.width, source.height, outWidth, outHeight)
        val place = place(source.width, source.height, outWidth, outHeight)
        val resized =
            when (interpolation) {
                Interpolation.BILINEAR -> resizeAsPillow(source, window, place.width, place.height)
                Interpolation.MEDIAPIPE -> resizeAsMediaPipe(source, window, place.width, place.height)
            }
        if (place.width == outWidth && place.height == outHeight) return resized
        val pixels = IntArray(outWidth * outHeight) { pack(padding, padding, padding) }
        for (y in 0 until place.height) {
            val to = (place.top + y) * outWidth + place.left
            resized.pixels.copyInto(pixels, to, y * place.width, (y + 1) * place.width)
        }
        return Picture(outWidth, outHeight, pixels)
    }

    /** What of a picture is used. */
    fun window(width: Int, height: Int, outWidth: Int, outHeight: Int): Window {
        if (mode != Mode.CROP) return Window(0.0, 0.0, width.toDouble(), height.toDouble())
        val across = crop * minOf(width.toDouble(), height.toDouble() * outWidth / outHeight)
        val down = across * outHeight / outWidth
        val left = (width - across) / 2
        val top = (height - down) / 2
        return Window(left, top, left + across, top + down)
    }

    /** Where it stands; all around is [padding]. */
    fun place(width: Int, height: Int, outWidth: Int, outHeight: Int): Place {
        if (mode != Mode.LETTERBOX) return Place(0, 0, outWidth, outHeight)
        val scale = minOf(outWidth.toDouble() / width, outHeight.toDouble() / height)
        val across = (width * scale + 0.5).toInt().coerceIn(1, outWidth)
        val down = (height * scale + 0.5).toInt().coerceIn(1, outHeight)
        return Place((outWidth - across) / 2, (outHeight - down) / 2, across, down)
    }

    /** The picture with blocks of pixels averaged, as Pillow's `reduce` does it, where it is four times as large. */
    private fun averaged(picture: Picture, outWidth: Int, outHeight: Int): Picture {
        val window = window(picture.width, picture.height, outWidth, outHeight)
        val place = place(picture.width, picture.height, outWidth, outHeight)
        val across = maxOf(1, ((window.right - window.left) / place.width / 2).toInt())
        val down = maxOf(1, ((window.bottom - window.top) / place.height / 2).toInt())
        if (across == 1 && down == 1) return picture
        val width = (picture.width + across - 1) / across
        val height = (picture.height + down - 1) / down
        val pixels = IntArray(width * height) { i ->
            average(picture, i % width * across, i / width * down, across, down)
        }
        return Picture(width, height, pixels)
    }

    companion object {
        /** Reads `geometry.json`, as `keras-transfer export` writes it. */
        fun read(json: String): Geometry {
            return Geometry(
                Mode.valueOf(word(json, "mode").uppercase()),
                word(json, "crop").toDouble(),
                Interpolation.valueOf(word(json, "interpolation").uppercase()),
                word(json, "padding").toInt(),
            )
        }
    }
}

/** The mean of a block of pixels from ([left], [top]) on; at the right and lower edge there are fewer of them. */
private fun average(picture: Picture, left: Int, top: Int, across: Int, down: Int): Int {
    val right = minOf(left + across, picture.width)
    val bottom = minOf(top + down, picture.height)
    val count = (right - left) * (bottom - top)
    val multiplier = (4294967296f / (256 * count)).toLong()
    var r = count / 2
    var g = count / 2
    var b = count / 2
    for (y in top until bottom) {
        for (x in left until right) {
            val pixel = picture.pixels[y * picture.width + x]
            r += red(pixel)
            g += green(pixel)
            b += blue(pixel)
        }
    }
    fun share(sum: Int) = (sum * multiplier shr 24).toInt()
    return pack(share(r), share(g), share(b))
}

/** MediaPipe's resize of a window: linear between the four nearest pixels, corners and not centres on each other. */
private fun resizeAsMediaPipe(picture: Picture, window: Window, outWidth: Int, outHeight: Int): Picture {
    val across = Positions(picture.width, window.left, window.right, outWidth)
    val down = Positions(picture.height, window.top, window.bottom, outHeight)
    val pixels = IntArray(outWidth * outHeight) { i ->
        val x = i % outWidth
        val y = i / outWidth
        val upper = down.before[y] * picture.width
        val lower = down.after[y] * picture.width
        val upperLeft = picture.pixels[upper + across.before[x]]
        val upperRight = picture.pixels[upper + across.after[x]]
        val lowerLeft = picture.pixels[lower + across.before[x]]
        val lowerRight = picture.pixels[lower + across.after[x]]
        val low = down.share[y]
        val far = across.share[x]
        fun between(channel: (Int) -> Int): Int {
            val before = channel(upperLeft) * (ALL - low) + channel(lowerLeft) * low
            val after = channel(upperRight) * (ALL - low) + channel(lowerRight) * low
            return before * (ALL - far) + after * far + (1 shl (2 * POSITION_BITS - 1)) shr (2 * POSITION_BITS)
        }
        pack(between(::red), between(::green), between(::blue))
    }
    return Picture(outWidth, outHeight, pixels)
}

private const val ALL = 1 shl POSITION_BITS

/** For each output position the two input pixels that it lies between, and how near to the second, of 32. */
private class Positions(inSize: Int, first: Double, last: Double, outSize: Int) {
    val before = IntArray(outSize)
    val after = IntArray(outSize)
    val share = IntArray(outSize)

    init {
        val scale = (last - first) / outSize
        for (x in 0 until outSize) {
            val position = Math.rint((first + x * scale) * ALL).toInt()
            before[x] = minOf(position shr POSITION_BITS, inSize - 1)
            after[x] = minOf((position shr POSITION_BITS) + 1, inSize - 1)
            share[x] = position and (ALL - 1)
        }
    }
}

/** Pillow's antialiased bilinear resize of a window: first all rows, then all columns, rounding to bytes between. */
private fun resizeAsPillow(picture: Picture, window: Window, outWidth: Int, outHeight: Int): Picture {
    val across = Weights(picture.width, window.left, window.right, outWidth)
    val down = Weights(picture.height, window.top, window.bottom, outHeight)
    val first = down.start[0]
    val rows = down.start[outHeight - 1] + down.count[outHeight - 1] - first
    val between = IntArray(rows * outWidth)
    for (y in 0 until rows) {
        for (x in 0 until outWidth) {
            val from = (first + y) * picture.width + across.start[x]
            between[y * outWidth + x] = across.sum(x, picture.pixels, from, 1)
        }
    }
    val out = IntArray(outHeight * outWidth)
    for (y in 0 until outHeight) {
        for (x in 0 until outWidth) {
            out[y * outWidth + x] = down.sum(y, between, (down.start[y] - first) * outWidth + x, outWidth)
        }
    }
    return Picture(outWidth, outHeight, out)
}

/** For each output position: where its input pixels start, how many there are, and their weights in fixed point. */
private class Weights(inSize: Int, first: Double, last: Double, outSize: Int) {
    val start = IntArray(outSize)
    val count = IntArray(outSize)
    private val most: Int
    private val weight: IntArray

    init {
        val from = first.toFloat() // as Pillow takes it
        val scale = (last.toFloat() - from).toDouble() / outSize
        val support = maxOf(scale, 1.0) // an enlarged picture is interpolated, a reduced one averaged
        most = Math.ceil(support).toInt() * 2 + 1
        weight = IntArray(outSize * most)
        val inverse = 1 / support
        val exact = DoubleArray(most)
        for (x in 0 until outSize) {
            val centre = from + (x + 0.5) * scale
            val low = maxOf((centre - support + 0.5).toInt(), 0)
            val high = minOf((centre + support + 0.5).toInt(), inSize)
            var total = 0.0
            for (i in 0 until high - low) {
                val distance = Math.abs((i + low - centre + 0.5) * inverse)
                exact[i] = if (distance < 1) 1 - distance else 0.0
                total += exact[i]
            }
            for (i in 0 until high - low) {
                val share = if (total != 0.0) exact[i] / total else exact[i]
                weight[x * most + i] = (0.5 + share * (1 shl PRECISION_BITS)).toInt()
            }
            start[x] = low
            count[x] = high - low
        }
    }

    /** The weighted sum for position [x] of pixels that begin at [from] and stand [step] apart. */
    fun sum(x: Int, pixels: IntArray, from: Int, step: Int): Int {
        var r = HALF
        var g = HALF
        var b = HALF
        var at = from
        for (i in x * most until x * most + count[x]) {
            val pixel = pixels[at]
            r += red(pixel) * weight[i]
            g += green(pixel) * weight[i]
            b += blue(pixel) * weight[i]
            at += step
        }
        return pack(byte(r), byte(g), byte(b))
    }

    private fun byte(sum: Int) = (sum shr PRECISION_BITS).coerceIn(0, 255)
}
