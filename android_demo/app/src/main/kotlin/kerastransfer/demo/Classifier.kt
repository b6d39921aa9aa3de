package kerastransfer.demo

import android.content.res.AssetManager
import java.io.FileInputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.MappedByteBuffer
import java.nio.channels.FileChannel
import kerastransfer.core.Element
import kerastransfer.core.FrontEnd
import kerastransfer.core.Geometry
import kerastransfer.core.Label
import kerastransfer.core.LogMel
import kerastransfer.core.Picture
import kerastransfer.core.Quantization
import kerastransfer.core.Rejection
import kerastransfer.core.SensorSettings
import kerastransfer.core.WordPiece
import kerastransfer.core.dequantize
import kerastransfer.core.normalized
import kerastransfer.core.preprocess
import kerastransfer.core.quantize
import kerastransfer.core.readLabels
import kerastransfer.core.tokens
import kerastransfer.core.topK
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.Tensor

private const val MODEL = "model.tflite"
private const val LABELS = "labels.txt"
private const val GEOMETRY = "geometry.json"
private const val FRONT_END = "front_end.json"
private const val SENSOR = "sensor.json"
private const val REJECTION = "rejection.json"
private const val VOCABULARY = "vocab.txt"
private const val CHARACTERS = "characters.txt"
private const val TOKENIZER = "tokenizer.csv"
private const val MOST_THREADS = 4

/**
 * What the model says of an item, the most probable class first, and how long it took.
 *
 * @property unlikeness of an item that is none of the classes: how many of those that it was tried on are less unlike
 *   them, 0 to 1; else null
 */
internal class Answer(val labels: List<Label>, val milliseconds: Double, val unlikeness: Double?)

/** What a model gives: a probability for each class and, where it has that output, how unlike all of them an item is. */
internal class Scores(val classes: FloatArray, val unlike: Float?)

/** What the model in the assets is of. */
internal enum class Items { PICTURES, TEXTS, SOUNDS, SERIES }

/** By what lies beside the model: a vocabulary, a front end, what a sensor is to give, or none of these. */
internal fun itemsOf(assets: AssetManager): Items {
    val names = assets.list("").orEmpty()
    return when {
        VOCABULARY in names -> Items.TEXTS
        FRONT_END in names -> Items.SOUNDS
        SENSOR in names -> Items.SERIES
        else -> Items.PICTURES
    }
}

/**
 * The model and its class names, of the assets; used by one thread at a time.
 *
 * @throws IOException there is no such asset, or it was compressed
 * @throws IllegalArgumentException it takes something else, or has another number of classes than names
 */
internal abstract class Classifier(assets: AssetManager) : AutoCloseable {
    val names: List<String> = readLabels(read(assets, LABELS))
    private val interpreter = Interpreter(map(assets), Interpreter.Options().setNumThreads(threads()))
    private val output: Tensor = interpreter.getOutputTensor(0)
    private val rejection = if (REJECTION in assets.list("").orEmpty()) Rejection(read(assets, REJECTION)) else null
    private val unlike: Tensor? = rejection?.let { interpreter.getOutputTensor(1) }
    protected val input: Tensor = interpreter.getInputTensor(0)

    init {
        require(interpreter.inputTensorCount == 1) { "$MODEL takes ${interpreter.inputTensorCount} inputs, not one" }
        require(output.numElements() == names.size) {
            "$MODEL has ${output.numElements()} classes, $LABELS has ${names.size}"
        }
    }

    /** The [count] most probable classes of what [prepare] makes for the model; both are timed. */
    protected fun answer(count: Int, prepare: () -> ByteBuffer): Answer {
        val start = System.nanoTime()
        val scores = scores(prepare())
        return answer(scores, count, (System.nanoTime() - start) / 1e6)
    }

    /** The [count] most probable classes, and whether it is none of them. */
    fun answer(scores: Scores, count: Int, milliseconds: Double): Answer {
        val unlikeness = scores.unlike?.let { score -> rejection?.takeIf { it.rejects(score) }?.unlikeness(score) }
        return Answer(topK(scores.classes, names, count), milliseconds, unlikeness)
    }

    protected fun scores(prepared: ByteBuffer): Scores {
        val outputs = listOfNotNull(output, unlike)
        val raw = outputs.map { ByteBuffer.allocateDirect(it.numBytes()).order(ByteOrder.nativeOrder()) }
        interpreter.runForMultipleInputsOutputs(arrayOf<Any>(prepared), raw.indices.associateWith<Int, Any> { raw[it] })
        val values = outputs.zip(raw).map { (tensor, bytes) -> dequantize(bytes, element(tensor), quantization(tensor)) }
        return Scores(values[0], values.getOrNull(1)?.first())
    }

    override fun close() = interpreter.close()
}

/** Classifies pictures, by the geometry in the assets. */
internal class PictureClassifier(assets: AssetManager) : Classifier(assets) {
    private val shape = input.shape()

    init {
        require(shape.size == 4 && shape[0] == 1 && shape[3] in setOf(1, 3)) {
            "$MODEL takes ${shape.toList()}, not one image"
        }
    }

    /** What the model takes, in pixels. */
    val height: Int = shape[1]
    val width: Int = shape[2]
    val geometry: Geometry = Geometry.read(read(assets, GEOMETRY))

    /** Classifies a picture as it is stored, with the EXIF tag of its orientation. */
    fun classify(picture: Picture, orientation: Int, count: Int): Answer =
        answer(count) {
            quantize(preprocess(picture, orientation, width, height, geometry), element(input), shape[3])
        }
}

/** Classifies texts, by the tokenizer in the assets. */
internal class TextClassifier(assets: AssetManager) : Classifier(assets) {
    private val shape = input.shape()
    private val tokenizer = WordPiece.read(read(assets, VOCABULARY), read(assets, CHARACTERS), read(assets, TOKENIZER))

    init {
        require(shape.size == 2 && shape[0] == 1 && input.dataType().name == "INT32") {
            "$MODEL takes ${input.dataType()} ${shape.toList()}, not token ids"
        }
    }

    /** Classifies a text, of which the model reads the beginning. */
    fun classify(text: String, count: Int): Answer = answer(count) { tokens(tokenizer.encode(text, shape[1])) }
}

/** Classifies sounds, from their samples on or, by the front end in the assets, from their spectrograms on. */
internal class SoundClassifier(assets: AssetManager) : Classifier(assets) {
    private val shape = input.shape()
    private val frontEnd = FrontEnd(read(assets, FRONT_END))
    private val spectrograms = LogMel(frontEnd)

    init {
        require(shape.size in 2..3 && shape[0] == 1) { "$MODEL takes ${shape.toList()}, not one sound" }
    }

    /** Samples a second. */
    val sampleRate: Int = frontEnd.sampleRate

    /** Samples of a clip. */
    val samples: Int = if (shape.size == 2) shape[1] else frontEnd.samples(shape[1])

    /** What a clip of samples in -1..1 is. */
    fun scores(clip: FloatArray): Scores {
        val values = if (shape.size == 2) clip else spectrograms.spectrogram(clip)
        return scores(quantize(values, element(input), quantization(input)))
    }
}

/** Classifies series of raw samples. */
internal class SeriesClassifier(assets: AssetManager) : Classifier(assets) {
    private val shape = input.shape()
    val settings: SensorSettings = SensorSettings(read(assets, SENSOR))

    init {
        require(shape.size == 3 && shape[0] == 1 && shape[2] in setOf(3, 6)) {
            "$MODEL takes ${shape.toList()}, not one series of an accelerometer, or of that and a gyroscope"
        }
    }

    /** Moments of a series. */
    val length: Int = shape[1]

    val channels: Int = shape[2]

    /** What a series is, the samples of each moment together. */
    fun scores(series: FloatArray): Scores {
        val values = normalized(series, settings.means, settings.deviations)
        return scores(quantize(values, element(input), quantization(input)))
    }
}

private fun read(assets: AssetManager, name: String) =
    assets.open(name).use { it.readBytes().toString(Charsets.UTF_8) }

private fun element(tensor: Tensor) = Element.valueOf(tensor.dataType().name)

private fun quantization(tensor: Tensor) = tensor.quantizationParams().let { Quantization(it.scale, it.zeroPoint) }

private fun threads() = Runtime.getRuntime().availableProcessors().coerceAtMost(MOST_THREADS)

/** Maps the model into memory, which an asset allows that is stored as it is: see `noCompress`. */
private fun map(assets: AssetManager): MappedByteBuffer =
    assets.openFd(MODEL).use { asset ->
        FileInputStream(asset.fileDescriptor).use { file ->
            file.channel.map(FileChannel.MapMode.READ_ONLY, asset.startOffset, asset.declaredLength)
        }
    }
