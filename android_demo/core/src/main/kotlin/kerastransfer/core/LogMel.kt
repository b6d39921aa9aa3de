package kerastransfer.core

import kotlin.math.PI
import kotlin.math.cos
import kotlin.math.exp
import kotlin.math.ln
import kotlin.math.ln1p
import kotlin.math.sin
import kotlin.math.sqrt

private const val SLANEY = "slaney"
private const val KNEE = 1000.0 // Slaney's scale is linear up to here, 15 mels, and logarithmic above
private const val KNEE_MELS = 15.0
private val STEP = ln(6.4) / 27

/** The settings of a front end, whose [value]s are found by the names of Python's FrontEnd. */
class FrontEnd(private val json: String) {
    val window: Int = value("window").toInt()
    val hop: Int = value("hop").toInt()
    val fft: Int = value("fft").toInt()
    val mels: Int = value("mels").toInt()
    val margin: Int = value("margin").toInt()
    val sampleRate: Int = value("sample_rate").toInt()

    /** The fewest samples that make so many frames. */
    fun samples(frames: Int): Int = (frames - 1) * hop + window + 2 * margin

    fun number(name: String): Double = value(name).toDouble()

    fun value(name: String): String = word(json, name)
}

/**
 * From samples to a log-mel spectrogram: the twin of keras_transfer/modalities/audio/front_end.py, within 1e-5.
 *
 * One thread at a time may use it.
 */
class LogMel(private val settings: FrontEnd) {
    private class Band(val first: Int, val weights: DoubleArray)

    private val gain = settings.number("gain")
    private val squares = settings.value("power") == "2"
    private val floor = settings.number("floor")
    private val offset = settings.number("offset")
    private val span = settings.value("span").toDoubleOrNull() ?: Double.POSITIVE_INFINITY
    private val hann = DoubleArray(settings.window) { 0.5 - 0.5 * cos(2 * PI * it / settings.window) }
    private val cosines = DoubleArray(settings.fft) { cos(2 * PI * it / settings.fft) }
    private val sines = DoubleArray(settings.fft) { -sin(2 * PI * it / settings.fft) }
    private val bands = bands(settings)
    private val frame = DoubleArray(settings.fft)
    private val real = DoubleArray(settings.fft)
    private val imaginary = DoubleArray(settings.fft)

    /** How many frames a clip has. */
    fun frames(samples: Int): Int = maxOf(0, (samples - 2 * settings.margin - settings.window + settings.hop) / settings.hop)

    /** The spectrogram of samples in -1..1, a row of mels a frame. */
    fun spectrogram(samples: FloatArray): FloatArray {
        val mels = settings.mels
        val logs = DoubleArray(frames(samples.size) * mels)
        for (at in logs.indices step mels) logs(samples, settings.margin + at / mels * settings.hop, logs, at)
        val least = (logs.maxOrNull() ?: 0.0) - span
        val scale = settings.number("scale")
        val shift = settings.number("shift")
        return FloatArray(logs.size) { (maxOf(logs[it], least) * scale + shift).toFloat() }
    }

    /** The logarithms of the bands of the frame that begins with the sample [start], from `out[at]` on. */
    private fun logs(samples: FloatArray, start: Int, out: DoubleArray, at: Int) {
        for (i in hann.indices) frame[i] = samples[start + i] * gain * hann[i]
        transform()
        for ((number, band) in bands.withIndex()) {
            var sum = 0.0
            for ((i, weight) in band.weights.withIndex()) {
                val bin = band.first + i
                val energy = real[bin] * real[bin] + imaginary[bin] * imaginary[bin]
                sum += weight * if (squares) energy else sqrt(energy)
            }
            out[at + number] = ln(maxOf(sum, floor) + offset)
        }
    }

    /** The DFT of [frame]: of the odd part of its length directly, then by halves. */
    private fun transform() {
        val n = frame.size
        var size = n shr Integer.numberOfTrailingZeros(n)
        val step = n / size
        var start = 0
        for (block in 0 until step) {
            for (k in 0 until size) {
                val place = block * size + k
                real[place] = 0.0
                imaginary[place] = 0.0
                for (j in 0 until size) {
                    val turn = j * k * step % n
                    real[place] += frame[start + j * step] * cosines[turn]
                    imaginary[place] += frame[start + j * step] * sines[turn]
                }
            }
            var bit = step / 2 // the next start: counting with the bits in reverse
            while (start and bit != 0) {
                start -= bit
                bit /= 2
            }
            start += bit
        }
        while (size < n) {
            for (even in 0 until n step 2 * size) {
                for (a in even until even + size) {
                    val b = a + size
                    val turn = (a - even) * n / (2 * size)
                    val re = real[b] * cosines[turn] - imaginary[b] * sines[turn]
                    val im = real[b] * sines[turn] + imaginary[b] * cosines[turn]
                    real[b] = real[a] - re
                    imaginary[b] = imaginary[a] - im
                    real[a] += re
                    imaginary[a] += im
                }
            }
            size *= 2
        }
    }

    private companion object {
        /** What the frequencies of the DFT count in each band. */
        fun bands(settings: FrontEnd): List<Band> {
            val slaney = settings.value("bands") == SLANEY
            val from = mels(settings.number("low"), slaney)
            val to = mels(settings.number("high"), slaney)
            val edges = DoubleArray(settings.mels + 2) { from + (to - from) * it / (settings.mels + 1) }
            val places = DoubleArray(settings.fft / 2 + 1) { it.toDouble() * settings.sampleRate / settings.fft }
            if (slaney) edges.indices.forEach { edges[it] = hertz(edges[it]) }
            if (!slaney) places.indices.forEach { places[it] = mels(places[it], false) }
            return List(settings.mels) { band ->
                val (low, peak, high) = edges.slice(band..band + 2)
                val weights = places.map { maxOf(0.0, minOf((it - low) / (peak - low), (high - it) / (high - peak))) }
                val first = maxOf(0, weights.indexOfFirst { it > 0 })
                val inside = weights.slice(first..weights.indexOfLast { it > 0 })
                val area = if (slaney) 2 / (high - low) else 1.0
                Band(first, DoubleArray(inside.size) { inside[it] * area })
            }
        }

        fun mels(hertz: Double, slaney: Boolean): Double =
            when {
                !slaney -> 1127 * ln1p(hertz / 700)
                hertz < KNEE -> hertz * 3 / 200
                else -> KNEE_MELS + ln(hertz / KNEE) / STEP
            }

        fun hertz(mels: Double): Double =
            if (mels < KNEE_MELS) mels * 200 / 3 else KNEE * exp((mels - KNEE_MELS) * STEP)
    }
}
