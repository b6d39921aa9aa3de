package kerastransfer.core

import java.io.File
import java.nio.ByteBuffer
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assume.assumeTrue
import org.junit.Test

class CoreTest {
    private val crop = Geometry(Mode.CROP, 0.875, Interpolation.BILINEAR, 127)
    private val squash = Geometry(Mode.SQUASH, 1.0, Interpolation.MEDIAPIPE, 127)
    private val letterbox = squash.copy(mode = Mode.LETTERBOX)
    private val grey = Picture(2, 1, intArrayOf(0xFF808080.toInt(), 0xFF000000.toInt()))

    @Test
    fun aPictureOfTheWantedSizeStaysAsItIs() {
        for (geometry in listOf(crop, squash, letterbox)) {
            assertSame(grey, preprocess(grey, 1, 2, 1, geometry))
            assertSame(grey, preprocess(grey, 0, 2, 1, geometry)) // no tag
        }
    }

    @Test
    fun orientationsTurnAndMirror() {
        val picture = Picture(3, 2, intArrayOf(1, 2, 3, 4, 5, 6))
        val expected =
            mapOf(
                1 to listOf(1, 2, 3, 4, 5, 6),
                2 to listOf(3, 2, 1, 6, 5, 4),
                3 to listOf(6, 5, 4, 3, 2, 1),
                4 to listOf(4, 5, 6, 1, 2, 3),
                5 to listOf(1, 4, 2, 5, 3, 6),
                6 to listOf(4, 1, 5, 2, 6, 3),
                7 to listOf(6, 3, 5, 2, 4, 1),
                8 to listOf(3, 6, 2, 5, 1, 4),
            )
        for ((orientation, pixels) in expected) {
            val found = upright(picture, orientation)
            assertEquals(if (orientation < 5) 3 else 2, found.width)
            assertEquals("orientation $orientation", pixels, found.pixels.toList())
        }
    }

    @Test
    fun theWindowIsCentredAndOfTheWantedShape() {
        assertEquals(Window(80.0, 10.0, 220.0, 150.0), crop.window(300, 160, 96, 96))
        assertEquals(Window(6.25, 56.25, 93.75, 143.75), crop.window(100, 200, 7, 7))
        assertEquals(Window(0.0, 0.0, 300.0, 160.0), squash.window(300, 160, 96, 96))
    }

    @Test
    fun aLetterboxedPictureHasBars() {
        assertEquals(Place(0, 28, 224, 168), letterbox.place(640, 480, 224, 224))
        assertEquals(Place(0, 0, 224, 224), squash.place(640, 480, 224, 224))
        val found = preprocess(grey, 1, 2, 3, letterbox.copy(padding = 9)).pixels.map { red(it) }
        assertEquals(listOf(9, 9, 128, 0, 9, 9), found)
    }

    @Test
    fun theGeometryIsRead() {
        val json = """{ "mode": "letterbox", "crop": 1.0, "interpolation": "mediapipe", "padding": 127 }"""
        assertEquals(letterbox, Geometry.read(json))
        assertThrows(IllegalArgumentException::class.java) { Geometry.read("{}") }
        assertThrows(IllegalArgumentException::class.java) { Geometry.read(json.replace("letterbox", "zoom")) }
        assertThrows(IllegalArgumentException::class.java) { Geometry.read(json.replace("1.0", "2.0")) }
    }

    @Test
    fun largeJpegsAreReducedButNeverBelowTwiceTheModelsSize() {
        assertEquals(8, reduction(4000, 3000, 160, 160, crop))
        assertEquals(4, reduction(4000, 1500, 160, 160, crop)) // 1500 / 366
        assertEquals(2, reduction(740, 740, 160, 160, crop))
        assertEquals(1, reduction(730, 730, 160, 160, crop))
        assertEquals(2, reduction(650, 650, 160, 160, squash)) // 650 / 321
        assertEquals(1, reduction(10, 10, 160, 160, crop))
    }

    @Test
    fun whatIsTransparentBecomesWhite() {
        val picture = Picture(3, 1, intArrayOf(0x00123456, 0xFF123456.toInt(), 0x80000000.toInt()))
        val expected = listOf(0xFFFFFFFF.toInt(), 0xFF123456.toInt(), 0xFF7F7F7F.toInt())
        assertEquals(expected, onWhite(picture).pixels.toList())
    }

    /** All values with all alphas, laid on white by Pillow: `verify.py` makes the file. */
    @Test
    fun transparencyIsThatOfPython() {
        val file = System.getProperty("alpha")
        assumeTrue(file != null)
        val expected = File(file).readBytes()
        val found = onWhite(Picture(256, 256, IntArray(65536) { (it shr 8 shl 24) or (it and 255) })).pixels
        assertArrayEquals(expected, ByteArray(65536) { found[it].toByte() })
    }

    @Test
    fun aPictureWhoseSizeIsNotThatOfItsPixelsIsRefused() {
        assertThrows(IllegalArgumentException::class.java) { Picture(2, 2, IntArray(3)) }
        assertThrows(IllegalArgumentException::class.java) { Picture(0, 0, IntArray(0)) }
    }

    @Test
    fun pixelsBecomeTheModelsInput() {
        fun bytes(element: Element) =
            quantize(grey, element, 3).let { buffer -> ByteArray(buffer.remaining()).also { buffer.get(it) } }
        assertArrayEquals(byteArrayOf(-128, -128, -128, 0, 0, 0), bytes(Element.UINT8))
        assertArrayEquals(byteArrayOf(0, 0, 0, -128, -128, -128), bytes(Element.INT8))
        assertEquals(128f, quantize(grey, Element.FLOAT32, 3).getFloat(), 0f)
        assertEquals(24, bytes(Element.FLOAT32).size)
    }

    @Test
    fun oneChannelIsTheLuma() {
        val colours = Picture(3, 1, intArrayOf(0xFFFF0000.toInt(), 0xFF00FF00.toInt(), 0xFF0000FF.toInt()))
        val buffer = quantize(colours, Element.UINT8, 1)
        assertEquals(listOf(76, 150, 29), List(buffer.remaining()) { buffer.get().toInt() and 255 })
        assertThrows(IllegalArgumentException::class.java) { quantize(grey, Element.UINT8, 4) }
    }

    @Test
    fun outputsBecomeProbabilities() {
        val raw = ByteBuffer.wrap(byteArrayOf(0, 127, -128, -1))
        val quantization = Quantization(1 / 256f, -128)
        val signed = dequantize(raw, Element.INT8, quantization)
        assertArrayEquals(floatArrayOf(.5f, 255 / 256f, 0f, 127 / 256f), signed, 0f)
        val unsigned = dequantize(raw, Element.UINT8, Quantization(.5f, 0))
        assertArrayEquals(floatArrayOf(0f, 63.5f, 64f, 127.5f), unsigned, 0f)
    }

    @Test
    fun theMostProbableComeFirstAndOfEqualsTheFirst() {
        val found = topK(floatArrayOf(.1f, .4f, .1f, .4f), listOf("a", "b", "c", "d"), 3)
        assertEquals(listOf(Label("b", .4f), Label("d", .4f), Label("a", .1f)), found)
        assertEquals(1, topK(floatArrayOf(1f), listOf("a"), 3).size)
        assertThrows(IllegalArgumentException::class.java) { topK(floatArrayOf(1f), listOf(), 3) }
    }

    @Test
    fun labelsAreLines() {
        assertEquals(listOf("apple pie", "crème", "鮨"), readLabels("apple pie\ncrème\n鮨\n"))
        assertEquals(listOf("a", "b"), readLabels("a\r\nb"))
    }
}
