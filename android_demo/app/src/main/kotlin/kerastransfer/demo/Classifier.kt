package kerastransfer.demo

import android.content.res.AssetManager
import java.io.FileInputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.MappedByteBuffer
import java.nio.channels.FileChannel
import kerastransfer.core.Element
import kerastransfer.core.Geometry
import kerastransfer.core.Label
import kerastransfer.core.Picture
import kerastransfer.core.Quantization
import kerastransfer.core.dequantize
import kerastransfer.core.preprocess
import kerastransfer.core.quantize
import kerastransfer.core.readLabels
import kerastransfer.core.topK
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.Tensor

private const val MODEL = "model.tflite"
private const val LABELS = "labels.txt"
private const val GEOMETRY = "geometry.json"
private const val MOST_THREADS = 4

/** What the model says of a picture, the most probable class first, and how long it took. */
internal class Answer(val labels: List<Label>, val milliseconds: Double)

/**
 * The model, its class names and its geometry, all of the assets; used by one thread at a time.
 *
 * @throws IOException there is no such asset, or it was compressed
 * @throws IllegalArgumentException it is no image classifier, or has another number of classes than names
 */
internal class Classifier(assets: AssetManager) : AutoCloseable {
    private val names = readLabels(read(assets, LABELS))
    private val interpreter = Interpreter(map(assets), Interpreter.Options().setNumThreads(threads()))
    private val input: Tensor = interpreter.getInputTensor(0)
    private val output: Tensor = interpreter.getOutputTensor(0)

    init {
        val shape = input.shape()
        require(interpreter.inputTensorCount == 1 && shape.size == 4 && shape[0] == 1 && shape[3] in setOf(1, 3)) {
            "$MODEL takes ${shape.toList()}, not one image"
        }
        require(output.numElements() == names.size) {
            "$MODEL has ${output.numElements()} classes, $LABELS has ${names.size}"
        }
    }

    /** What the model takes, in pixels. */
    val height: Int = input.shape()[1]
    val width: Int = input.shape()[2]
    private val channels: Int = input.shape()[3]
    val geometry: Geometry = Geometry.read(read(assets, GEOMETRY))

    /** Classifies a picture as it is stored, with the EXIF tag of its orientation. */
    fun classify(picture: Picture, orientation: Int, count: Int): Answer {
        val start = System.nanoTime()
        val pixels = preprocess(picture, orientation, width, height, geometry)
        val bytes = quantize(pixels, element(input), channels)
        val raw = ByteBuffer.allocateDirect(output.numBytes()).order(ByteOrder.nativeOrder())
        interpreter.run(bytes, raw)
        val quantization = output.quantizationParams().let { Quantization(it.scale, it.zeroPoint) }
        val scores = dequantize(raw, element(output), quantization)
        return Answer(topK(scores, names, count), (System.nanoTime() - start) / 1e6)
    }

    override fun close() = interpreter.close()
}

private fun read(assets: AssetManager, name: String) =
    assets.open(name).use { it.readBytes().toString(Charsets.UTF_8) }

private fun element(tensor: Tensor) = Element.valueOf(tensor.dataType().name)

private fun threads() = Runtime.getRuntime().availableProcessors().coerceAtMost(MOST_THREADS)

/** Maps the model into memory, which an asset allows that is stored as it is: see `noCompress`. */
private fun map(assets: AssetManager): MappedByteBuffer =
    assets.openFd(MODEL).use { asset ->
        FileInputStream(asset.fileDescriptor).use { file ->
            file.channel.map(FileChannel.MapMode.READ_ONLY, asset.startOffset, asset.declaredLength)
        }
    }
