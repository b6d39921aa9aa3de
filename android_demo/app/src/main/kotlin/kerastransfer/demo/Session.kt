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

/** What is to be seen. */
internal sealed interface Screen {
    object Empty : Screen

    object Working : Screen

    class Result(val picture: Bitmap?, val answer: Answer) : Screen

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
    private var pictures: PictureClassifier? = null // of the worker, as is the next
    private var texts: TextClassifier? = null
    private var turn = 0

    /** Whether the model is one of texts. */
    val ofTexts: Boolean = isOfTexts(context.assets)

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

    private fun work(look: () -> Screen) {
        val mine = ++turn
        screen = Screen.Working
        worker.execute {
            val found = guarded(look)
            main.post { if (mine == turn) screen = found }
        }
    }

    fun close() {
        turn++
        listener = null
        worker.execute {
            pictures?.close()
            texts?.close()
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
        val without = pictures == null && texts == null && error is FileNotFoundException
        val text =
            when {
                without -> R.string.no_model
                ofTexts -> R.string.failed_text
                else -> R.string.failed
            }
        return Screen.Failure(context.getString(text, error.message ?: error.javaClass.simpleName))
    }
}
