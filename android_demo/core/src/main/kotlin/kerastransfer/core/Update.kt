package kerastransfer.core

import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.security.MessageDigest

private const val HEADING = "keras-transfer update 1"
private const val MANIFEST = "update.txt"
private const val SIGNATURE_LINE = 99 // bytes
private const val LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
private val NUMBER = Regex("0|[1-9][0-9]{0,14}")
private val FILE = Regex("file (0|[1-9][0-9]{0,14}) ([0-9a-f]{64}) ([A-Za-z0-9_][A-Za-z0-9_.-]*)")
private val SIGNATURE = Regex("signature ([A-Za-z0-9+/]{85}[AQgw])==")

/** Why an update is refused. */
enum class Reason { DAMAGED, FORGED, OLD, APP }

/** An update that is not taken: the model stays as it is. */
class Refused(val reason: Reason) : IOException("the update is refused: ${reason.name.lowercase()}")

/** A file of an update. */
class UpdateFile(val name: String, val bytes: Long, val sha256: String) {
    /** Throws [Refused] where what was fetched is not this file. */
    fun check(content: ByteArray) {
        val digest = MessageDigest.getInstance("SHA-256").digest(content)
        val found = digest.joinToString("") { ((it.toInt() and 255) + 256).toString(16).substring(1) }
        if (content.size.toLong() != bytes || found != sha256) throw Refused(Reason.DAMAGED)
    }
}

/**
 * A signed update of the model: the twin of keras_transfer/operations/updates.py.
 *
 * @property model what it is a version of, such as `cats@3`
 * @property serial larger than that of every update before
 * @property app the oldest version of the app that can use it
 */
class Update(
    val model: String,
    val serial: Long,
    val app: Long,
    val files: List<UpdateFile>,
    val labels: List<String>,
) {
    companion object {
        /**
         * What a manifest says, once it is sure who signed it.
         *
         * @param key the public key, 64 hexadecimal digits
         * @param app the version of this app
         * @param since the serial of the update that is here
         * @throws Refused if it is damaged, forged, old or for a newer app
         */
        fun read(content: ByteArray, key: String, app: Long, since: Long): Update {
            val lines = text(content).split('\n')
            val parts = lines.size - 2 // but for the signature's line, and the end behind it
            val form = if (parts < 4) null else SIGNATURE.matchEntire(lines[parts])
            if (form == null || lines.last().isNotEmpty() || lines[0] != HEADING) throw Refused(Reason.DAMAGED)
            val files = lines.subList(4, parts).map(FILE::matchEntire).takeWhile { it != null }.filterNotNull()
            val update =
                Update(
                    value(lines[1], "model"),
                    whole(lines[2], "serial"),
                    whole(lines[3], "app"),
                    files.map { UpdateFile(it.groupValues[3], it.groupValues[1].toLong(), it.groupValues[2]) },
                    lines.subList(4 + files.size, parts).map { value(it, "label") },
                )
            if (files.isEmpty()) throw Refused(Reason.DAMAGED)
            val signed = content.copyOf(content.size - SIGNATURE_LINE)
            val trusted = ByteArray(32) { key.substring(2 * it, 2 * it + 2).toInt(16).toByte() }
            if (!Ed25519.verify(trusted, signed, base64(form.groupValues[1]))) throw Refused(Reason.FORGED)
            if (update.serial <= since) throw Refused(Reason.OLD)
            if (update.app > app) throw Refused(Reason.APP)
            return update
        }

        private fun text(content: ByteArray): String =
            try {
                Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(content)).toString()
            } catch (error: CharacterCodingException) {
                throw Refused(Reason.DAMAGED)
            }

        private fun value(line: String, name: String): String {
            if (!line.startsWith("$name ") || line.length == name.length + 1) throw Refused(Reason.DAMAGED)
            return line.substring(name.length + 1)
        }

        private fun whole(line: String, name: String): Long {
            val digits = value(line, name)
            if (!NUMBER.matches(digits)) throw Refused(Reason.DAMAGED)
            return digits.toLong()
        }

        /** 64 bytes of 86 letters: `java.util.Base64` came with Android 8. */
        private fun base64(letters: String): ByteArray {
            val bits = letters.map(LETTERS::indexOf)
            return ByteArray(64) { i ->
                val first = 8 * i / 6
                val pair = (bits[first] shl 6) or bits.getOrElse(first + 1) { 0 }
                (pair shr (4 - 8 * i % 6)).toByte()
            }
        }
    }
}

/**
 * The updates of an app, in a folder of its own: one is in use, whole and signed, or none.
 *
 * @param folder where they lie, such as `File(context.filesDir, "model")`
 * @param key the public key that the app trusts
 * @param app the version of this app
 */
class Updates(private val folder: File, private val key: String, private val app: Long) {
    /** The folder of the update in use, every file checked; null where there is none: the app's own model serves. */
    fun current(): File? =
        try {
            val place = File(folder, File(folder, "current").readText())
            val update = Update.read(File(place, MANIFEST).readBytes(), key, app, 0)
            for (file in update.files) file.check(File(place, file.name).readBytes())
            place
        } catch (error: IOException) {
            null
        }

    /**
     * Takes an update if all of it is right; else what was in use stays.
     *
     * @param fetch gives a file that lies beside the manifest
     * @throws Refused if it is torn, forged, old or for a newer app
     */
    fun install(manifest: ByteArray, fetch: (String) -> ByteArray): Update {
        val before = current()
        val update = Update.read(manifest, key, app, before?.name?.toLong() ?: 0)
        val whole = File(folder, update.serial.toString())
        whole.deleteRecursively() // of an attempt that was cut short
        whole.mkdirs()
        for (file in update.files) write(File(whole, file.name), fetch(file.name).also(file::check))
        write(File(whole, MANIFEST), manifest)
        val next = File(folder, "next")
        write(next, whole.name.toByteArray())
        if (!next.renameTo(File(folder, "current"))) throw IOException("cannot write in $folder")
        for (old in folder.listFiles().orEmpty()) if (old.isDirectory && old != whole) old.deleteRecursively()
        return update
    }

    private fun write(file: File, content: ByteArray) =
        FileOutputStream(file).use {
            it.write(content)
            it.fd.sync()
        }
}
