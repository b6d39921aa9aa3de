package kerastransfer.demo

import android.Manifest.permission.RECORD_AUDIO
import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.ClipData
import android.content.Intent
import android.content.pm.PackageManager.PERMISSION_GRANTED
import android.net.Uri
import android.os.Bundle
import android.provider.MediaStore
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.EditText
import android.widget.ImageView
import android.widget.ProgressBar
import android.widget.TextView
import android.widget.Toast
import java.text.NumberFormat
import kerastransfer.core.Label

private const val PICK = 1
private const val TAKE = 2
private const val HEAR = 3
private const val URI = "uri"

/** The one screen: a picture from the gallery or the camera, a text, the microphone or the motion sensor, and what the model says of it. */
class MainActivity : Activity() {
    private lateinit var session: Session
    private var uri: Uri? = null

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.main)
        window.decorView.part<Button>(R.id.gallery).setOnClickListener { pick() }
        window.decorView.part<Button>(R.id.camera).setOnClickListener { take() }
        session = lastNonConfigurationInstance as Session? ?: Session(applicationContext)
        val shown = ofItems(R.id.pictures, R.id.texts, R.id.listen, R.id.listen)
        window.decorView.part<View>(shown).visibility = View.VISIBLE
        window.decorView.part<Button>(R.id.ask).setOnClickListener { ask() }
        window.decorView.part<Button>(R.id.listen).setOnClickListener { listen() }
        uri = state?.getString(URI)?.let(Uri::parse)
        // The process was ended in the background, and the answer with it.
        uri?.let { if (session.screen == Screen.Empty) session.classify(it) }
        session.listener = ::show
    }

    override fun onRetainNonConfigurationInstance(): Any = session

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putString(URI, uri?.toString())
    }

    override fun onStop() {
        if (!isChangingConfigurations) session.stop() // nobody is heard whom the app does not show
        super.onStop()
    }

    override fun onDestroy() {
        session.listener = null
        if (!isChangingConfigurations) session.close()
        super.onDestroy()
    }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        super.onActivityResult(request, result, data)
        if (result != RESULT_OK) return
        val found = if (request == TAKE) PhotoProvider.URI else data?.data
        if (found != null) {
            uri = found
            session.classify(found)
        }
    }

    override fun onRequestPermissionsResult(request: Int, permissions: Array<out String>, results: IntArray) {
        super.onRequestPermissionsResult(request, permissions, results)
        if (results.firstOrNull() == PERMISSION_GRANTED) {
            session.listen()
        } else {
            Toast.makeText(this, R.string.no_microphone, Toast.LENGTH_LONG).show()
        }
    }

    private fun listen() {
        when {
            session.listening -> session.stop()
            session.items == Items.SERIES || checkSelfPermission(RECORD_AUDIO) == PERMISSION_GRANTED -> session.listen()
            else -> requestPermissions(arrayOf(RECORD_AUDIO), HEAR)
        }
    }

    private fun ask() {
        val text = window.decorView.part<EditText>(R.id.text).text.toString()
        if (text.isNotBlank()) session.classify(text)
    }

    private fun pick() =
        open(Intent(Intent.ACTION_GET_CONTENT).addCategory(Intent.CATEGORY_OPENABLE).setType("image/*"), PICK)

    private fun take() {
        val intent = Intent(MediaStore.ACTION_IMAGE_CAPTURE).putExtra(MediaStore.EXTRA_OUTPUT, PhotoProvider.URI)
        intent.clipData = ClipData.newRawUri(null, PhotoProvider.URI) // what the permission is for
        intent.addFlags(Intent.FLAG_GRANT_WRITE_URI_PERMISSION or Intent.FLAG_GRANT_READ_URI_PERMISSION)
        open(intent, TAKE)
    }

    private fun open(intent: Intent, request: Int) {
        try {
            startActivityForResult(intent, request)
        } catch (_: ActivityNotFoundException) {
            Toast.makeText(this, R.string.no_app, Toast.LENGTH_LONG).show()
        }
    }

    private fun show(screen: Screen) {
        val result = screen as? Screen.Result
        val picture = window.decorView.part<ImageView>(R.id.picture)
        picture.setImageBitmap(result?.picture)
        picture.visibility = if (result?.picture == null) View.GONE else View.VISIBLE
        window.decorView.part<View>(R.id.working).visibility = if (screen == Screen.Working) View.VISIBLE else View.GONE
        val status = window.decorView.part<TextView>(R.id.status)
        // What changes four times a second is not read aloud.
        status.accessibilityLiveRegion =
            if (session.listening) View.ACCESSIBILITY_LIVE_REGION_NONE else View.ACCESSIBILITY_LIVE_REGION_POLITE
        status.text =
            when (screen) {
                Screen.Empty -> getString(ofItems(R.string.empty, R.string.empty_text, R.string.empty_sound, R.string.empty_series))
                Screen.Working -> getString(ofItems(R.string.working, R.string.reading, R.string.listening, R.string.sensing))
                is Screen.Failure -> screen.message
                is Screen.Result -> {
                    val (best, none) = screen.answer.labels.first() to screen.answer.unlikeness
                    if (none == null) {
                        getString(R.string.found, best.name, percent(best.score), screen.answer.milliseconds)
                    } else {
                        getString(R.string.none, percent(none.toFloat()), screen.answer.milliseconds)
                    }
                }
            }
        window.decorView.part<Timeline>(R.id.timeline).history = result?.history
        val begin = if (session.items == Items.SERIES) R.string.sense else R.string.listen
        window.decorView.part<Button>(R.id.listen).setText(if (session.listening) R.string.stop else begin)
        val list = window.decorView.part<ViewGroup>(R.id.labels)
        list.removeAllViews()
        result?.answer?.labels?.forEach { list.addView(row(it, list)) }
    }

    private fun ofItems(pictures: Int, texts: Int, sounds: Int, series: Int): Int =
        when (session.items) {
            Items.PICTURES -> pictures
            Items.TEXTS -> texts
            Items.SOUNDS -> sounds
            Items.SERIES -> series
        }

    private fun row(label: Label, list: ViewGroup): View {
        val row = layoutInflater.inflate(R.layout.row, list, false)
        row.part<TextView>(R.id.name).text = label.name
        row.part<TextView>(R.id.percent).text = percent(label.score)
        row.part<ProgressBar>(R.id.bar).apply { progress = (label.score * max).toInt() }
        row.contentDescription = getString(R.string.label, label.name, percent(label.score))
        return row
    }

    private fun percent(score: Float): String =
        NumberFormat.getPercentInstance().apply { maximumFractionDigits = 1 }.format(score)
}

/** A view of the layout, which is there. */
private fun <T : View> View.part(id: Int): T = requireNotNull(findViewById(id))
