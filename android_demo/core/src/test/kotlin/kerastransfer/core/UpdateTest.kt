package kerastransfer.core

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

private const val APP = 7L

/** Python's manifests, as keras_transfer/operations/golden.py writes them; `verify.py` names the folder. */
class UpdateTest {
    @get:Rule val temporary = TemporaryFolder()

    @Test
    fun signaturesOfTheStandardAreVerified() {
        val vectors = // of RFC 8032, section 7.1: public key, message, signature
            listOf(
                Triple(
                    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                    "",
                    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b" +
                        "d25bf5f0595bbe24655141438e7a100b",
                ),
                Triple(
                    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                    "72",
                    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c" +
                        "387b2eaeb4302aeeb00d291612bb0c00",
                ),
                Triple(
                    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                    "af82",
                    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659" +
                        "4a7c15e9716ed28dc027beceea1ec40a",
                ),
            )
        for ((key, message, signature) in vectors) {
            assertTrue(Ed25519.verify(bytes(key), bytes(message), bytes(signature)))
            assertFalse(Ed25519.verify(bytes(key), bytes(message) + 0, bytes(signature)))
            for (at in 0 until 64) {
                val changed = bytes(signature).also { it[at] = (it[at].toInt() xor 4).toByte() }
                assertFalse(Ed25519.verify(bytes(key), bytes(message), changed))
            }
        }
    }

    @Test
    fun manifestsAreJudgedAsInPython() {
        val folder = folder()
        val (key, whole, torn) = listOf("key.txt", "file.bytes", "torn.bytes").map { File(folder, it).readBytes() }
        for (row in rows(folder)) {
            val (name, app, since, verdict) = row
            fun read() = Update.read(File(folder, "$name.update").readBytes(), String(key), app.toLong(), since.toLong())
            if (verdict != "ok") {
                val refused = assertThrows(name, Refused::class.java) { read() }
                assertEquals(name, verdict, refused.reason.name.lowercase())
                continue
            }
            val update = read()
            assertEquals(name, 5, update.labels.size)
            val file = update.files.first { it.name == "model.tflite" }
            file.check(whole)
            assertThrows(name, Refused::class.java) { file.check(torn) }
        }
    }

    @Test
    fun whatIsTornOrForgedLeavesTheOldOneRunning() {
        val folder = folder()
        val key = File(folder, "key.txt").readText()
        val content = File(folder, "file.bytes").readBytes()
        val place = temporary.newFolder()
        val updates = Updates(place, key, APP)
        assertNull(updates.current())
        val manifest = File(folder, "single.update").readBytes()
        val newer = File(folder, "newer.update").readBytes()
        val torn = content.copyOf(content.size / 2)

        assertThrows(Refused::class.java) { updates.install(manifest) { torn } }
        assertNull(updates.current())
        val serial = updates.install(manifest) { content }.serial
        assertEquals(serial.toString(), updates.current()?.name)
        assertThrows(Refused::class.java) { updates.install(newer) { torn } }
        assertThrows(IllegalStateException::class.java) { updates.install(newer) { error("the network is gone") } }
        assertThrows(Refused::class.java) { updates.install(newer.copyOf(newer.size - 1)) { content } }
        assertThrows(Refused::class.java) { updates.install(manifest) { content } } // of no newer serial
        assertEquals(serial.toString(), updates.current()?.name)
        assertEquals(serial + 1, updates.install(newer) { content }.serial)
        val now = updates.current()
        assertEquals((serial + 1).toString(), now?.name)
        assertFalse(File(place, serial.toString()).exists())
        File(now, "model.tflite").writeBytes(torn) // by a disk that fails: the app's own model serves again
        assertNull(updates.current())
    }

    private fun bytes(hex: String) = hex.chunked(2).map { it.toInt(16).toByte() }.toByteArray()

    private fun rows(folder: File) = File(folder, "cases.csv").readLines().drop(1).map { it.split(',') }

    private fun folder(): File {
        val promised = System.getProperty("updates")
        assumeTrue(promised != null)
        return File(promised!!)
    }
}
