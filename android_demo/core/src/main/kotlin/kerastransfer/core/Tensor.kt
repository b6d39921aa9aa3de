package kerastransfer.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** The element types of a classifier's ends, and their size in bytes. */
enum class Element(val bytes: Int) {
    UINT8(1),
    INT8(1),
    FLOAT32(4),
}

/** What the bytes of a quantized tensor stand for: `(byte - zeroPoint) * scale`. */
data class Quantization(val scale: Float, val zeroPoint: Int)

/** A class name and its probability, 0 to 1. */
data class Label(val name: String, val score: Float)

/**
 * Writes the pixels of a picture as a model's input: rows of R G B, or of [luma] where it takes one channel.
 *
 * Models of keras_transfer take 0..255, whatever their backbone wants: as bytes, as bytes less 128, or as floats.
 *
 * @param channels 3 or 1
 * @return a direct buffer in the machine's order, at its start
 */
fun quantize(picture: Picture, element: Element, channels: Int): ByteBuffer {
    require(channels == 3 || channels == 1) { "pictures have 3 channels or 1, not $channels" }
    val size = picture.pixels.size * channels * element.bytes
    val buffer = ByteBuffer.allocateDirect(size).order(ByteOrder.nativeOrder())
    for (pixel in picture.pixels) {
        val values = if (channels == 1) intArrayOf(luma(pixel)) else intArrayOf(red(pixel), green(pixel), blue(pixel))
        for (value in values) {
            when (element) {
                Element.UINT8 -> buffer.put(value.toByte())
                Element.INT8 -> buffer.put((value - 128).toByte())
                Element.FLOAT32 -> buffer.putFloat(value.toFloat())
            }
        }
    }
    buffer.rewind()
    return buffer
}

/** Writes numbers as a model's input, as they are or in steps: a direct buffer in the machine's order, at its start. */
fun quantize(values: FloatArray, element: Element, quantization: Quantization): ByteBuffer {
    val buffer = ByteBuffer.allocateDirect(values.size * element.bytes).order(ByteOrder.nativeOrder())
    for (value in values) {
        val step = Math.rint((value / quantization.scale).toDouble()) + quantization.zeroPoint
        when (element) {
            Element.UINT8 -> buffer.put(step.coerceIn(0.0, 255.0).toInt().toByte())
            Element.INT8 -> buffer.put(step.coerceIn(-128.0, 127.0).toInt().toByte())
            Element.FLOAT32 -> buffer.putFloat(value)
        }
    }
    buffer.rewind()
    return buffer
}

/** Writes token ids as a model's input: a direct buffer in the machine's order, at its start. */
fun tokens(ids: IntArray): ByteBuffer {
    val buffer = ByteBuffer.allocateDirect(ids.size * 4).order(ByteOrder.nativeOrder())
    ids.forEach { buffer.putInt(it) }
    buffer.rewind()
    return buffer
}

/** One channel of a pixel, in Pillow's arithmetic: `luma` of keras_transfer/modalities/image/decode.py. */
fun luma(pixel: Int): Int = (19595 * red(pixel) + 38470 * green(pixel) + 7471 * blue(pixel) + 0x8000) shr 16

/** Reads a model's output, from the buffer's start, as one number a class; [quantization] is that of bytes. */
fun dequantize(output: ByteBuffer, element: Element, quantization: Quantization): FloatArray {
    output.rewind()
    return FloatArray(output.remaining() / element.bytes) {
        when (element) {
            Element.UINT8 -> quantization.real(output.get().toInt() and 255)
            Element.INT8 -> quantization.real(output.get().toInt())
            Element.FLOAT32 -> output.getFloat()
        }
    }
}

private fun Quantization.real(value: Int) = (value.toFloat() - zeroPoint.toFloat()) * scale

/** The [count] most probable classes, the most probable first; of equals, the one that is listed first. */
fun topK(scores: FloatArray, names: List<String>, count: Int): List<Label> {
    require(scores.size == names.size) { "${scores.size} scores, ${names.size} names" }
    return scores.indices.sortedByDescending { scores[it] }.take(count).map { Label(names[it], scores[it]) }
}

/** The class names of a `labels.txt`: a line each, in the order of the model's outputs. */
fun readLabels(text: String): List<String> = text.removeSuffix("\n").split('\n').map { it.removeSuffix("\r") }
