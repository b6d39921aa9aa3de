package kerastransfer.core

/** What a model of series must know of a sensor: `sensor.json`, as `keras-transfer export` writes it. */
class SensorSettings(private val json: String) {
    /** Moments a second; null where nobody said it: then each that comes is one. */
    val rate: Double? = value("rate").toDoubleOrNull()

    /** Moments from one look of the model to the next. */
    val hop: Int = value("hop").toInt()

    /** What m/s² are multiplied by. */
    val acceleration: Float = value("acceleration").toFloat()

    /** What radians a second are multiplied by. */
    val rotation: Float = value("rotation").toFloat()

    /** Of each channel, where the model takes normalized samples; else empty. */
    val means: FloatArray = values("means")
    val deviations: FloatArray = values("deviations")

    private fun values(name: String) = words(json, name).map { it.toFloat() }.toFloatArray()

    private fun value(name: String) = word(json, name)
}

/** Samples less the means of their channels and by their deviations; as they are where there are none. */
fun normalized(samples: FloatArray, means: FloatArray, deviations: FloatArray): FloatArray {
    if (means.isEmpty()) return samples
    return FloatArray(samples.size) { (samples[it] - means[it % means.size]) / deviations[it % means.size] }
}

/** The latest [length] moments of a sensor at a model's rate: what it says holds until it says something else. */
class Recent(length: Int, private val channels: Int, rate: Double?) {
    private val values = FloatArray(length * channels)
    private val step = rate?.let { 1e9 / it }
    private var due = Double.NaN

    /** How many moments there were. */
    var moments: Long = 0
        private set

    /** Adds what a sensor says at a time. */
    fun add(nanoseconds: Long, moment: FloatArray) {
        if (step == null) {
            push(moment)
            return
        }
        if (due.isNaN()) due = nanoseconds.toDouble()
        while (due <= nanoseconds) {
            push(moment)
            due += step
        }
    }

    /** Samples as the model takes them, those of each moment together. */
    fun samples(): FloatArray = values.copyOf()

    private fun push(moment: FloatArray) {
        values.copyInto(values, 0, channels, values.size)
        moment.copyInto(values, values.size - channels)
        moments++
    }
}
