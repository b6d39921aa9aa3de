package kerastransfer.core

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
 * Turns a picture upright and fits it to what a model takes.
 *
 * @param picture as it is stored; what is transparent becomes white
 * @param orientation its EXIF tag, 1 to 8; anything else counts as upright
 * @param geometry of the model
 * @return an opaque picture of [outWidth] x [outHeight]
 */
fun preprocess(picture: Picture, orientation: Int, outWidth: Int, outHeight: Int, geometry: Geometry): Picture {
    val whole = upright(onWhite(picture), orientation)
    if (whole.width == outWidth && whole.height == outHeight) return whole
    return geometry.fit(whole, outWidth, outHeight)
}

/**
 * By how much a JPEG is reduced while it is decoded: 1, 2, 4 or 8.
 *
 * What is used of it then still has at least twice as many pixels a side as the model takes. The decoder does it many
 * times faster than [Geometry.fit]; on Android it is `BitmapFactory.Options.inSampleSize`. Sizes are those of the
 * stored file.
 */
fun reduction(width: Int, height: Int, outWidth: Int, outHeight: Int, geometry: Geometry): Int {
    val least = (2 * maxOf(outWidth, outHeight) / geometry.crop).toInt() + 1
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

internal fun red(pixel: Int) = pixel shr 16 and 255

internal fun green(pixel: Int) = pixel shr 8 and 255

internal fun blue(pixel: Int) = pixel and 255

internal fun pack(r: Int, g: Int, b: Int) = (255 shl 24) or (r shl 16) or (g shl 8) or b
