package kerastransfer.core

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Test

/** Python's inputs of series, as keras_transfer/modalities/series/golden.py writes them; `verify.py` names the folders. */
class SensorTest {
    @Test
    fun everyByteOfTheInputIsPythons() {
        for (folder in folders()) {
            val rows = File(folder, "series.csv").readLines().drop(1)
            assertTrue(rows.isNotEmpty())
            val pairs = File(folder, "normalization.csv").readLines().drop(1).map { it.split(',') }
            val (means, deviations) = List(2) { i -> FloatArray(pairs.size) { pairs[it][i].toFloat() } }
            for (row in rows) {
                val (name, dtype, scale, zeroPoint) = row.split(',')
                val samples = ByteBuffer.wrap(File(folder, "$name.samples").readBytes()).order(ByteOrder.LITTLE_ENDIAN)
                val values = samples.asFloatBuffer().let { FloatArray(it.remaining()) { i -> it[i] } }
                val quantization = Quantization(scale.toFloat(), zeroPoint.toInt())
                val made = quantize(normalized(values, means, deviations), Element.valueOf(dtype.uppercase()), quantization)
                val found = ByteArray(made.remaining()).also { made.get(it) }
                assertArrayEquals("$folder $row", File(folder, "$name.input").readBytes(), found)
            }
        }
    }

    @Test
    fun momentsComeAtTheModelsRate() {
        val recent = Recent(3, 2, 100.0)
        for ((milliseconds, value) in listOf(0 to 1f, 4 to 2f, 11 to 3f, 35 to 4f)) {
            recent.add(milliseconds * 1_000_000L, floatArrayOf(value, -value))
        }
        assertEquals(4, recent.moments)
        assertArrayEquals(floatArrayOf(3f, -3f, 4f, -4f, 4f, -4f), recent.samples(), 0f)
        val plain = Recent(2, 1, null)
        for (i in 1..3) plain.add(0, floatArrayOf(i.toFloat()))
        assertArrayEquals(floatArrayOf(2f, 3f), plain.samples(), 0f)
    }

    @Test
    fun settingsAreRead() {
        val settings = SensorSettings("{\"rate\": 50.0, \"hop\": 16,\n\"acceleration\": 0.10197, \"rotation\": 1, \"means\": [0.5, -1e-3], \"deviations\": [ ]}")
        assertArrayEquals(floatArrayOf(0.5f, -0.001f), settings.means, 0f)
        assertEquals(0, settings.deviations.size)
        assertEquals(listOf(50.0, 16, 0.10197f, 1f), settings.run { listOf(rate, hop, acceleration, rotation) })
        assertNull(SensorSettings("{\"rate\": null, \"hop\": 1, \"acceleration\": 1, \"rotation\": 1, \"means\": [], \"deviations\": []}").rate)
    }

    /** The folders; the test is passed over where there are none, unless the property `series` promised them. */
    private fun folders(): List<File> {
        val exported = javaClass.getResource("/golden/series.csv")?.let { File(it.toURI()).parentFile }
        val promised = System.getProperty("series")?.split(File.pathSeparator)?.map(::File)
        assumeTrue(promised != null || exported != null)
        return promised ?: listOfNotNull(exported)
    }
}
