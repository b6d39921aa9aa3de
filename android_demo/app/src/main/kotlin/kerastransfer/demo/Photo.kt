package kerastransfer.demo

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.media.ExifInterface
import android.net.Uri
import java.io.ByteArrayOutputStream
import java.io.IOException
import kerastransfer.core.Geometry
import kerastransfer.core.Picture
import kerastransfer.core.reduction
import kerastransfer.core.upright

private const val MOST_BYTES = 100 shl 20
private const val MOST_PIXELS = 16_000_000L // that are decoded where a picture is not reduced: 64 MB
private const val SHOWN = 1024 // pixels of the longer side on the screen, at most twice as many

/** The content of a photograph, read but not decoded. */
internal class Photo(resolver: ContentResolver, uri: Uri) {
    private val content = read(resolver, uri)
    private val width: Int
    private val height: Int
    private val jpeg: Boolean

    /** The EXIF tag, which `BitmapFactory` does not obey. */
    val orientation: Int =
        try {
            ExifInterface(content.inputStream()).getAttributeInt(ExifInterface.TAG_ORIENTATION, 1)
        } catch (_: IOException) {
            1 // a format without EXIF
        }

    init {
        val options = BitmapFactory.Options().apply { inJustDecodeBounds = true }
        BitmapFactory.decodeByteArray(content, 0, content.size, options)
        if (options.outWidth <= 0 || options.outHeight <= 0) throw IOException("not a picture")
        width = options.outWidth
        height = options.outHeight
        jpeg = options.outMimeType == "image/jpeg"
    }

    /** Decodes it as it is stored, a large JPEG reduced as the Python package reduces it. */
    fun forModel(outWidth: Int, outHeight: Int, geometry: Geometry): Picture {
        // Where no size is decoded directly, leaving out pixels would show as jagged edges: only very large ones are.
        var reduced = if (jpeg) reduction(width, height, outWidth, outHeight, geometry) else 1
        while (width.toLong() * height / (reduced * reduced) > MOST_PIXELS) reduced *= 2
        return decode(reduced)
    }

    /** Decodes it upright, for the screen. */
    fun forScreen(): Bitmap {
        var reduced = 1
        while (maxOf(width, height) / (2 * reduced) >= SHOWN) reduced *= 2
        val picture = upright(decode(reduced), orientation)
        return Bitmap.createBitmap(picture.pixels, picture.width, picture.height, Bitmap.Config.ARGB_8888)
    }

    private fun decode(reduced: Int): Picture {
        val options = BitmapFactory.Options().apply { inSampleSize = reduced }
        val bitmap = BitmapFactory.decodeByteArray(content, 0, content.size, options) ?: throw IOException("damaged")
        val pixels = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(pixels, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        return Picture(bitmap.width, bitmap.height, pixels).also { bitmap.recycle() }
    }
}

private fun read(resolver: ContentResolver, uri: Uri): ByteArray {
    val stream = resolver.openInputStream(uri) ?: throw IOException("nothing behind $uri")
    return stream.use { source ->
        val content = ByteArrayOutputStream()
        val part = ByteArray(1 shl 16)
        while (true) {
            val count = source.read(part)
            if (count < 0) break
            content.write(part, 0, count)
            if (content.size() > MOST_BYTES) throw IOException("too large")
        }
        content.toByteArray()
    }
}
