package kerastransfer.core

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Test

private const val CLOSE = 1e-5f

/** Python's spectrograms, as keras_transfer/modalities/audio/golden.py writes them; `verify.py` names the folders. */
class LogMelTest {
    @Test
    fun spectrogramsAreThoseOfPython() {
        for (folder in folders()) {
            val spectrograms = LogMel(FrontEnd(File(folder, "front_end.json").readText()))
            val rows = File(folder, "clips.csv").readLines().drop(1)
            assertTrue(rows.isNotEmpty())
            for (row in rows) {
                val (name, samples, frames) = row.split(',')
                fun read(kind: String) =
                    ByteBuffer.wrap(File(folder, "$name.$kind").readBytes()).order(ByteOrder.LITTLE_ENDIAN)
                val clip = read("samples").asShortBuffer().let { FloatArray(it.remaining()) { i -> it[i] / 32768f } }
                val expected = read("log_mel").asFloatBuffer().let { FloatArray(it.remaining()) { i -> it[i] } }
                assertEquals(row, "${clip.size} ${spectrograms.frames(clip.size)}", "$samples $frames")
                assertArrayEquals("$folder $row", expected, spectrograms.spectrogram(clip), CLOSE)
            }
        }
    }

    @Test
    fun numbersAreQuantizedAsInPython() {
        val values = floatArrayOf(-9f, -0.26f, 0f, 0.25f, 0.3f, 99f)
        val quantization = Quantization(0.5f, 10)
        val bytes = quantize(values, Element.UINT8, quantization)
        assertEquals(listOf(0, 9, 10, 10, 11, 208), List(6) { bytes.get().toInt() and 255 })
        val signed = quantize(values, Element.INT8, quantization)
        assertEquals(listOf(-8, 9, 10, 10, 11, 127), List(6) { signed.get().toInt() })
        val floats = quantize(values, Element.FLOAT32, quantization)
        assertArrayEquals(values, FloatArray(6) { floats.getFloat() }, 0f)
    }

    /** The folders; the test is passed over where there are none, unless the property `sounds` promised them. */
    private fun folders(): List<File> {
        val exported = javaClass.getResource("/golden/clips.csv")?.let { File(it.toURI()).parentFile }
        val promised = System.getProperty("sounds")?.split(File.pathSeparator)?.map(::File)
        assumeTrue(promised != null || exported != null)
        return promised ?: listOfNotNull(exported)
    }
}
