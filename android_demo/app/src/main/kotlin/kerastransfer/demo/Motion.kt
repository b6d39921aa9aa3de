package kerastransfer.demo

import android.content.Context
import android.hardware.Sensor
import android.hardware.SensorEvent
import android.hardware.SensorEventListener
import android.hardware.SensorManager
import android.os.Handler
import android.os.HandlerThread
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit.MILLISECONDS
import kerastransfer.core.Recent

private const val AXES = 3
private const val FASTEST = 5000 // microseconds between readings: what is faster needs a permission
private const val WAITING = 1024 // readings; what comes while so many wait is passed over
private const val PATIENCE = 100L

/** Reads the accelerometer, and the gyroscope where the model has six channels. */
internal class Motion(context: Context, private val model: SeriesClassifier) : Source {
    private class Reading(val type: Int, val nanoseconds: Long, val values: FloatArray)

    private val manager = requireNotNull(context.getSystemService(SensorManager::class.java))
    private val readings = LinkedBlockingQueue<Reading>(WAITING)
    @Volatile private var open = true

    override fun stop() {
        open = false
    }

    /**
     * Hands the latest moments to [heard], as often as a hop is full and it has returned.
     *
     * @throws IllegalStateException this device lacks a sensor
     */
    override fun listen(heard: (FloatArray) -> Unit) {
        val types = listOf(Sensor.TYPE_ACCELEROMETER, Sensor.TYPE_GYROSCOPE).take(model.channels / AXES)
        val sensors = types.map { checkNotNull(manager.getDefaultSensor(it)) { "this device lacks a motion sensor" } }
        val listener =
            object : SensorEventListener {
                override fun onSensorChanged(event: SensorEvent) {
                    readings.offer(Reading(event.sensor.type, event.timestamp, event.values.copyOf(AXES)))
                }

                override fun onAccuracyChanged(sensor: Sensor, accuracy: Int) = Unit
            }
        val period = model.settings.rate?.let { maxOf(FASTEST, (1e6 / it).toInt()) } ?: SensorManager.SENSOR_DELAY_GAME
        val thread = HandlerThread("motion").apply { start() }
        try {
            sensors.forEach { manager.registerListener(listener, it, period, Handler(thread.looper)) }
            read(heard)
        } finally {
            manager.unregisterListener(listener)
            thread.quitSafely()
        }
    }

    private fun read(heard: (FloatArray) -> Unit) {
        val settings = model.settings
        val recent = Recent(model.length, model.channels, settings.rate)
        val moment = FloatArray(model.channels)
        var next = model.length.toLong()
        while (open) {
            val reading = readings.poll(PATIENCE, MILLISECONDS) ?: continue
            val turning = reading.type == Sensor.TYPE_GYROSCOPE
            val factor = if (turning) settings.rotation else settings.acceleration
            for (i in 0 until AXES) moment[if (turning) AXES + i else i] = reading.values[i] * factor
            if (turning) continue // a moment is there with its acceleration
            recent.add(reading.nanoseconds, moment)
            if (recent.moments < next) continue
            next = recent.moments + settings.hop
            heard(recent.samples())
        }
    }
}
