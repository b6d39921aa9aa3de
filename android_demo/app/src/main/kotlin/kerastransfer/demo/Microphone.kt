package kerastransfer.demo

import android.annotation.SuppressLint
import android.media.AudioFormat
import android.media.AudioRecord
import android.media.MediaRecorder

private const val FULL = 32768f // of 16 bits

/** What is classified over and over: it comes on the thread that calls [listen], until another calls [stop]. */
internal interface Source {
    fun stop()

    fun listen(heard: (FloatArray) -> Unit)
}

/** Hears the microphone. */
internal class Microphone(private val sampleRate: Int, private val samples: Int, private val hop: Int) : Source {
    @Volatile private var open = true

    override fun stop() {
        open = false
    }

    /**
     * Hands the latest samples, in -1..1, to [heard], as often as a hop is full and it has returned.
     *
     * @throws IllegalStateException there is no microphone, or another app has it
     */
    @SuppressLint("MissingPermission") // MainActivity asks for it
    override fun listen(heard: (FloatArray) -> Unit) {
        val format = AudioFormat.ENCODING_PCM_16BIT
        val least = AudioRecord.getMinBufferSize(sampleRate, AudioFormat.CHANNEL_IN_MONO, format)
        val bytes = maxOf(least, 2 * maxOf(samples, 2 * hop))
        // Of all sources the one that phones are asked to leave as it is.
        val source = MediaRecorder.AudioSource.VOICE_RECOGNITION
        val recorder = AudioRecord(source, sampleRate, AudioFormat.CHANNEL_IN_MONO, format, bytes)
        try {
            check(recorder.state == AudioRecord.STATE_INITIALIZED) { "no microphone gives $sampleRate samples a second" }
            recorder.startRecording()
            val part = ShortArray(hop)
            val recent = FloatArray(samples)
            var count = 0L
            while (open) {
                val read = recorder.read(part, 0, hop)
                check(read >= 0) { "the microphone failed ($read)" }
                val used = minOf(read, samples)
                recent.copyInto(recent, 0, used, samples)
                for (i in 0 until used) recent[samples - used + i] = part[read - used + i] / FULL
                count += read
                if (count >= samples && open) heard(recent)
            }
        } finally {
            recorder.release()
        }
    }
}
