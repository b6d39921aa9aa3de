package kerastransfer.core

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue

/**
 * Golden vectors: pictures with what Python makes of them, as keras_transfer/modalities/image/golden.py writes them.
 *
 * `keras-transfer export RUN --target android` puts some into `src/test/resources/golden`; `verify.py` makes more and
 * names their folders in the property `golden`.
 */
internal class Golden(private val folder: File) {
    /** [picture] is as it is stored; [width] and [height] are wanted. */
    class Case(
        val name: String,
        val picture: Picture,
        val orientation: Int,
        val width: Int,
        val height: Int,
        val top: Int?,
        val geometry: Geometry,
    )

    /** Of the model that answered, or empty. */
    val model: Map<String, String> =
        File(folder, "model.csv").let { if (it.exists()) it.readLines() else listOf() }.associate { line ->
            line.substringBefore(',') to line.substringAfter(',')
        }

    val cases: List<Case> by lazy {
        val lines = File(folder, "cases.csv").readLines().map { it.split(',') }
        val column = lines.first().withIndex().associate { it.value to it.index }
        lines.drop(1).map { line ->
            fun text(name: String) = line[column.getValue(name)]
            fun number(name: String) = text(name).toInt()
            val rgb = bytes(text("name"), "rgb")
            val picture = Picture(number("width"), number("height"), packed(rgb))
            Case(
                text("name"),
                picture,
                number("orientation"),
                number("out_width"),
                number("out_height"),
                text("top").toIntOrNull(),
                Geometry(
                    Mode.valueOf(text("mode").uppercase()),
                    text("crop").toDouble(),
                    Interpolation.valueOf(text("interpolation").uppercase()),
                    number("padding"),
                ),
            )
        }
    }

    fun bytes(name: String, kind: String): ByteArray = File(folder, "$name.$kind").readBytes()

    fun floats(name: String, kind: String): FloatArray {
        val buffer = ByteBuffer.wrap(bytes(name, kind)).order(ByteOrder.LITTLE_ENDIAN)
        return FloatArray(buffer.remaining() / 4) { buffer.getFloat() }
    }

    fun element(end: String) = Element.valueOf(model.getValue("${end}_dtype").uppercase())

    val channels: Int
        get() = model.getValue("input_channels").toInt()

    fun quantization(end: String) =
        Quantization(
            model.getValue("${end}_scale").ifEmpty { "0" }.toFloat(),
            model.getValue("${end}_zero_point").ifEmpty { "0" }.toInt(),
        )

    companion object {
        /** The folders; a test is passed over where there are none, unless the property `golden` promised them. */
        fun folders(): List<Golden> {
            val promised = System.getProperty("golden")
            val exported = Golden::class.java.getResource("/golden/cases.csv")?.let { File(it.toURI()).parentFile }
            val found = promised?.split(File.pathSeparator)?.map(::File) ?: listOfNotNull(exported)
            if (promised != null) assertTrue(found.isNotEmpty()) else assumeTrue(found.isNotEmpty())
            return found.map(::Golden)
        }

        fun packed(rgb: ByteArray) =
            IntArray(rgb.size / 3) { i ->
                fun value(channel: Int) = rgb[3 * i + channel].toInt() and 255
                (255 shl 24) or (value(0) shl 16) or (value(1) shl 8) or value(2)
            }
    }
}
