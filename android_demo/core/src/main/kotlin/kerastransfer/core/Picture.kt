package kerastransfer.core

/**
 * Of a picture that is resized, this share of the largest centred window of the wanted shape is used.
 *
 * The same as `CROP` in keras_transfer/data/decode.py, of which this file is the twin, equal in every bit.
 */
const val CROP = 0.875

/** Pillow computes with weights of 22 fractional bits: 32 less 8 for a pixel and 2 for overshoot. */
private const val PRECISION_BITS = 22
private const val HALF = 1 shl (PRECISION_BITS - 1)

/**
 * A picture, row by row in pixels of `0xAARRGGBB`, as `Bitmap.getPixels` gives them.
 *
 * @property pixels `width * height` of them
 */
class Picture(val width: Int, val height: Int, val pixels: IntArray) {
    init {
        require(width > 0 && height > 0 && pixels.size == width * height) {
            "$width x $height pixels were promised, ${pixels.size} given"
        }
    }
}

/**
 * Turns a picture upright, crops its centre and resizes it to what a model takes.
 *
 * @param picture as it is stored; what is transparent becomes white
 * @param orientation its EXIF tag, 1 to 8; anything else counts as upright
 * @return an opaque picture of [outWidth] x [outHeight]
 */
fun preprocess(picture: Picture, orientation: Int, outWidth: Int, outHeight: Int): Picture {
    val whole = upright(onWhite(picture), orientation)
    if (whole.width == outWidth && whole.height == outHeight) return whole
    return resize(whole, centredWindow(whole.width, whole.height, outWidth, outHeight), outWidth, outHeight)
}

/**
 * By how much a JPEG is reduced while it is decoded: 1, 2, 4 or 8.
 *
 * Its window then still has at least twice as many pixels a side as the model takes. The decoder does it many times
 * faster than [resize]; on Android it is `BitmapFactory.Options.inSampleSize`. Sizes are those of the stored file.
 */
fun reduction(width: Int, height: Int, outWidth: Int, outHeight: Int): Int {
    val least = (2 * maxOf(outWidth, outHeight) / CROP).toInt() + 1
    val scale = minOf(width / least, height / least)
    return intArrayOf(8, 4, 2).firstOrNull { it <= scale } ?: 1
}

/** Lays a picture on white, in Pillow's arithmetic. An opaque picture is returned as it is. */
fun onWhite(picture: Picture): Picture {
    if (picture.pixels.all { it ushr 24 == 255 }) return picture
    val pixels = IntArray(picture.pixels.size) { i ->
        val pixel = picture.pixels[i]
        val alpha = pixel ushr 24
        pack(overWhite(red(pixel), alpha), overWhite(green(pixel), alpha), overWhite(blue(pixel), alpha))
    }
    return Picture(picture.width, picture.height, pixels)
}

private fun overWhite(value: Int, alpha: Int): Int {
    val sum = 128 * (value * alpha + 255 * (255 - alpha)) + (128 shl 7)
    return ((sum shr 8) + sum) shr 15 // of 7 fractional bits, divided by 255
}

/** Obeys an EXIF orientation. */
fun upright(picture: Picture, orientation: Int): Picture {
    if (orientation !in 2..8) return picture
    val turned = orientation >= 5 // rows become columns
    val outWidth = if (turned) picture.height else picture.width
    val outHeight = if (turned) picture.width else picture.height
    // Where the row and the column of the stored picture run backwards.
    val rowBack = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7
    val columnBack = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8
    val out = IntArray(picture.pixels.size)
    var to = 0
    for (y in 0 until outHeight) {
        for (x in 0 until outWidth) {
            var row = if (turned) x else y
            var column = if (turned) y else x
            if (rowBack) row = picture.height - 1 - row
            if (columnBack) column = picture.width - 1 - column
            out[to++] = picture.pixels[row * picture.width + column]
        }
    }
    return Picture(outWidth, outHeight, out)
}

/** A window of a picture, in pixels from its top left corner. */
data class Window(val left: Float, val top: Float, val right: Float, val bottom: Float)

/** The centred window of a picture for an output shape, in 32-bit floats as Pillow takes it. */
fun centredWindow(width: Int, height: Int, outWidth: Int, outHeight: Int): Window {
    val w = CROP * minOf(width.toDouble(), height.toDouble() * outWidth / outHeight)
    val h = w * outHeight / outWidth
    val left = (width - w) / 2
    val top = (height - h) / 2
    return Window(left.toFloat(), top.toFloat(), (left + w).toFloat(), (top + h).toFloat())
}

/** Pillow's antialiased bilinear resize of a window: first all rows, then all columns, rounding to bytes between. */
fun resize(picture: Picture, window: Window, outWidth: Int, outHeight: Int): Picture {
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
private class Weights(inSize: Int, from: Float, to: Float, outSize: Int) {
    val start = IntArray(outSize)
    val count = IntArray(outSize)
    private val most: Int
    private val weight: IntArray

    init {
        val scale = (to - from).toDouble() / outSize
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

internal fun red(pixel: Int) = pixel shr 16 and 255

internal fun green(pixel: Int) = pixel shr 8 and 255

internal fun blue(pixel: Int) = pixel and 255

private fun pack(r: Int, g: Int, b: Int) = (255 shl 24) or (r shl 16) or (g shl 8) or b
