package kerastransfer.core

import java.io.File
import java.io.FileOutputStream
import java.io.RandomAccessFile
import java.text.SimpleDateFormat
import java.util.Date
import java.util.Locale
import java.util.TimeZone
import kotlin.math.abs
import kotlin.math.floor

private const val LARGEST = 1e9
private const val SHORT = "\b\u000c\n\r\t\"\\"
private const val NAMED = "bfnrt\"\\"

/**
 * A prediction as a log has it: the twin of keras_transfer/operations/log.py.
 *
 * @property model the first 16 hexadecimal digits of the SHA-256 of the model's file
 * @property top the likeliest classes with their probabilities, best first
 * @property time in milliseconds since 1970
 */
class Entry(
    val model: String,
    val top: List<Pair<String, Double>>,
    val time: Long? = null,
    val score: Double? = null,
    val ms: Double? = null,
) {
    /** The line, without its end. */
    fun line(): String {
        val pairs = top.joinToString(",") { (name, value) -> "[${quoted(name)},${decimal(value, 4)}]" }
        val fields =
            listOf(
                "time" to time?.let { quoted(iso(it)) },
                "model" to quoted(model),
                "top" to "[$pairs]",
                "score" to score?.let { decimal(it, 3) },
                "ms" to ms?.let { decimal(it, 1) },
            )
        return fields.filter { it.second != null }.joinToString(",", "{", "}") { (name, value) -> "\"$name\":$value" }
    }

    private fun iso(milliseconds: Long): String {
        val form = SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", Locale.ROOT)
        form.timeZone = TimeZone.getTimeZone("UTC")
        return form.format(Date(milliseconds))
    }

    /** With so many digits behind the point, of halves the upper one; null for what is no number. */
    private fun decimal(value: Double, digits: Int): String? {
        if (value.isNaN() || value.isInfinite()) return null
        var unit = 1L
        repeat(digits) { unit *= 10 }
        val whole = floor(value.coerceIn(-LARGEST, LARGEST) * unit + 0.5).toLong()
        val rest = (abs(whole) % unit).toString().padStart(digits, '0')
        return "${if (whole < 0) "-" else ""}${abs(whole) / unit}.$rest"
    }

    private fun quoted(text: String): String {
        val made = StringBuilder("\"")
        for (letter in text) {
            val place = SHORT.indexOf(letter)
            when {
                place >= 0 -> made.append('\\').append(NAMED[place])
                letter < ' ' -> made.append("\\u").append(letter.code.toString(16).padStart(4, '0'))
                else -> made.append(letter)
            }
        }
        return made.append('"').toString()
    }
}

/**
 * A log that only this app writes. A line is one write; a torn one stays alone. A full log becomes `FILE.1`, whose
 * predecessor goes.
 *
 * @param most bytes of the log
 * @param sync wait after each line until it is on the disk
 */
class Log(private val file: File, private val most: Long = 16L shl 20, private val sync: Boolean = false) {
    /** Appends an entry. */
    @Synchronized
    fun add(entry: Entry) {
        val line = "${entry.line()}\n".toByteArray(Charsets.UTF_8)
        if (file.length() > 0 && file.length() + line.size > most) {
            val older = File("${file.path}.1")
            older.delete()
            file.renameTo(older)
        }
        val end = if (torn()) "\n".toByteArray() else ByteArray(0)
        FileOutputStream(file, true).use {
            it.write(end + line)
            if (sync) it.fd.sync()
        }
    }

    private fun torn(): Boolean =
        file.length() > 0 &&
            RandomAccessFile(file, "r").use {
                it.seek(it.length() - 1)
                it.read() != '\n'.code
            }
}
