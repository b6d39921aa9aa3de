package kerastransfer.core

import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** Python's answers, of which every bit must come out here. */
class GoldenTest {
    @Test
    fun pixelsAreThoseOfPython() {
        for (golden in Golden.folders()) {
            assertTrue(golden.cases.isNotEmpty())
            for (case in golden.cases) {
                val found = preprocess(case.picture, case.orientation, case.width, case.height, case.geometry)
                val expected = Golden.packed(golden.bytes(case.name, "pixels"))
                assertArrayEquals("${case.name}, orientation ${case.orientation}", expected, found.pixels)
            }
        }
    }

    @Test
    fun inputsAreThoseOfPython() {
        for (golden in Golden.folders().filter { it.model.isNotEmpty() }) {
            for (case in golden.cases) {
                val pixels = preprocess(case.picture, case.orientation, case.width, case.height, case.geometry)
                val buffer = quantize(pixels, golden.element("input"), golden.channels)
                val found = ByteArray(buffer.remaining()).also { buffer.get(it) }
                assertArrayEquals(case.name, golden.bytes(case.name, "input"), found)
            }
        }
    }

    @Test
    fun scoresAndTheMostProbableClassAreThoseOfPython() {
        for (golden in Golden.folders().filter { it.model.isNotEmpty() }) {
            for (case in golden.cases) {
                val output = ByteBuffer.wrap(golden.bytes(case.name, "output")).order(ByteOrder.LITTLE_ENDIAN)
                val scores = dequantize(output, golden.element("output"), golden.quantization("output"))
                assertArrayEquals(case.name, golden.floats(case.name, "scores"), scores, 0f)
                val names = List(scores.size) { "$it" }
                assertEquals(case.name, "${case.top}", topK(scores, names, 1).single().name)
            }
        }
    }
}
