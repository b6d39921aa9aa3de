package kerastransfer.core

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

/** Python's lines, as keras_transfer/operations/golden.py writes them; `verify.py` names the folder. */
class LogTest {
    @get:Rule val temporary = TemporaryFolder()

    @Test
    fun linesAreThoseOfPython() {
        val promised = System.getProperty("log")
        assumeTrue(promised != null)
        val folder = File(promised!!)
        val lines = File(folder, "lines.jsonl").readText().removeSuffix("\n").split('\n')
        val rows = File(folder, "entries.csv").readText().removeSuffix("\n").split('\n').drop(1)
        assertEquals(lines.size, rows.size)
        for ((row, line) in rows.zip(lines)) {
            val (time, model, score, ms, top) = row.split(',')
            val pairs = top.split(' ').map { pair -> text(pair.substringBefore(':')) to pair.substringAfter(':').toDouble() }
            val entry = Entry(model, pairs, time.toLongOrNull(), score.toDoubleOrNull(), ms.toDoubleOrNull())
            assertEquals(line, entry.line())
        }
    }

    @Test
    fun aLogIsBoundedAndATornLineStaysAlone() {
        val file = File(temporary.root, "log.jsonl")
        val log = Log(file, most = 1000, sync = true)
        repeat(50) { log.add(Entry("0123456789abcdef", listOf("cat" to 0.5), it.toLong())) }
        val older = File(temporary.root, "log.jsonl.1")
        assertTrue(file.length() <= 1000 && older.length() in 900..1000)
        file.appendText("{\"torn")
        log.add(Entry("0123456789abcdef", listOf("cat" to 0.5)))
        assertEquals(listOf("{\"torn", Entry("0123456789abcdef", listOf("cat" to 0.5)).line()), file.readLines().takeLast(2))
    }

    private fun text(hex: String) = String(hex.chunked(2).map { it.toInt(16).toByte() }.toByteArray(), Charsets.UTF_8)
}
