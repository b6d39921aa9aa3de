package kerastransfer.demo

import android.content.Context
import android.graphics.Bitmap
import android.net.Uri
import android.os.Handler
import android.os.Looper
import android.util.Log
import java.io.FileNotFoundException
import java.util.concurrent.Executors

private const val TAG = "keras_transfer"
private const val SHOWN_LABELS = 5
private const val HOPS = 4 // a second
private const val SHOWN_HOPS = 30 * HOPS
private const val MEMORY = 0.5f // how much of what is shown was heard before: against single wrong answers

/** What is to be seen. */
internal sealed interface Screen {
    object Empty : Screen

    object Working : Screen

    class Result(val picture: Bitmap?, val answer: Answer, val history: History? = null) : Screen

    class Failure(val message: String) : Screen
}

/**
 * What outlives a rotation: the model, the thread it works on, and what is to be seen.
 *
 * All calls come from the main thread.
 */
internal class Session(private val context: Context) {
    private val worker = Executors.newSingleThreadExecutor()
    private val main = Handler(Looper.getMainLooper())
    private var pictures: PictureClassifier? = null // of the worker, as are the next
    private var texts: TextClassifier? = null
    private var sounds: SoundClassifier? = null
    private var series: SeriesClassifier? = null
    @Volatile private var source: Source? = null
    @Volatile private var turn = 0

    /** What the model is of. */
    val items: Items = itemsOf(context.assets)

    /** Whether the microphone is heard, or the sensor read. */
    @Volatile
    var listening: Boolean = false
        private set

    var screen: Screen = Screen.Empty
        private set(value) {
            field = value
            listener?.invoke(value)
        }

    /** Told of every change, and at once of how things stand. */
    var listener: ((Screen) -> Unit)? = null
        set(value) {
            field = value
            value?.invoke(screen)
        }

    /** Classifies a picture; one that is still being worked on is not shown any more. */
    fun classify(uri: Uri) = work {
        val model = pictures ?: PictureClassifier(context.assets).also { pictures = it }
        val photo = Photo(context.contentResolver, uri)
        val picture = photo.forModel(model.width, model.height, model.geometry)
        val answer = model.classify(picture, photo.orientation, SHOWN_LABELS)
        Screen.Result(photo.forScreen(), answer)
    }

    /** Classifies a text, as a picture. */
    fun classify(text: String) = work {
        val model = texts ?: TextClassifier(context.assets).also { texts = it }
        Screen.Result(null, model.classify(text, SHOWN_LABELS))
    }

    /** Classifies what the microphone hears or the sensor says, until [stop]; whoever calls has the permission. */
    fun listen() {
        listening = true
        work {
            if (items == Items.SERIES) {
                val model = series ?: SeriesClassifier(context.assets).also { series = it }
                hear(model, Motion(context, model)) { model.scores(it) }
            } else {
                val model = sounds ?: SoundClassifier(context.assets).also { sounds = it }
                val microphone = Microphone(model.sampleRate, model.samples, model.sampleRate / HOPS)
                hear(model, microphone) { model.scores(it) }
            }
        }
    }

    /** Hears no more; what was heard stays to be seen. */
    fun stop() {
        listening = false
        source?.stop()
    }

    private fun hear(model: Classifier, from: Source, scores: (FloatArray) -> Scores): Screen {
        source = from
        if (!listening) return Screen.Empty
        val mine = turn
        val heard = ArrayList<FloatArray>()
        var unlike: Float? = null
        var last: Screen = Screen.Empty
        from.listen { item ->
            val start = System.nanoTime()
            val found = scores(item)
            val now = found.classes
            val took = (System.nanoTime() - start) / 1e6
            heard.lastOrNull()?.let { old -> now.indices.forEach { now[it] += MEMORY * (old[it] - now[it]) } }
            unlike = found.unlike?.let { it + MEMORY * ((unlike ?: it) - it) }
            heard.add(now)
            if (heard.size > SHOWN_HOPS) heard.removeAt(0)
            val answer = model.answer(Scores(now, unlike), SHOWN_LABELS, took)
            val result = Screen.Result(null, answer, History(model.names, SHOWN_HOPS, ArrayList(heard)))
            last = result
            main.post { if (mine == turn) screen = result }
        }
        return last
    }

    private fun work(look: () -> Screen) {
        val mine = ++turn
        screen = Screen.Working
        worker.execute {
            val found = guarded(look)
            main.post {
                listening = listening && mine != turn
                if (mine == turn) screen = found
            }
        }
    }

    fun close() {
        turn++
        stop()
        listener = null
        worker.execute {
            pictures?.close()
            texts?.close()
            sounds?.close()
            series?.close()
        }
        worker.shutdown()
    }

    private fun guarded(look: () -> Screen): Screen =
        try {
            look()
        } catch (error: Exception) {
            // Whatever app the picture comes from, and whatever file stands in the assets, may be at fault.
            Log.w(TAG, error)
            failure(error)
        } catch (error: OutOfMemoryError) {
            Log.w(TAG, error)
            Screen.Failure(context.getString(R.string.too_large))
        }

    private fun failure(error: Exception): Screen {
        val without = listOfNotNull(pictures, texts, sounds, series).isEmpty() && error is FileNotFoundException
        val text =
            when {
                without -> R.string.no_model
                items == Items.TEXTS -> R.string.failed_text
                items == Items.SOUNDS -> R.string.failed_sound
                items == Items.SERIES -> R.string.failed_series
                else -> R.string.failed
            }
        return Screen.Failure(context.getString(text, error.message ?: error.javaClass.simpleName))
    }
}
