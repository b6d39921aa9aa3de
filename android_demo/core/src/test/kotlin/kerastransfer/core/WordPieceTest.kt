package kerastransfer.core

import java.io.File
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Test

/** Python's ids, as keras_transfer/modalities/text/golden.py writes them; `verify.py` names the folders. */
class WordPieceTest {
    @Test
    fun idsAreThoseOfPython() {
        for (folder in folders()) {
            fun read(name: String) = File(folder, name).readText()
            val settings = read("tokenizer.csv")
            val tokenizer = WordPiece.read(read("vocab.txt"), read("characters.txt"), settings)
            val length = settings.trim().lines().last().substringAfter("length,").toInt()
            val rows = read("sentences.csv").trim().lines().drop(1)
            assertTrue(rows.isNotEmpty())
            for (row in rows) {
                val (hex, ids, encoded) = row.split(',')
                val text = String(hex.chunked(2).map { it.toInt(16).toByte() }.toByteArray(), Charsets.UTF_8)
                assertEquals(row, numbers(ids), tokenizer.ids(text))
                val made = tokenizer.encode(text, length)
                assertArrayEquals(row, numbers(encoded).toIntArray(), made)
                val buffer = tokens(made)
                assertArrayEquals(row, made, IntArray(length) { buffer.getInt() })
            }
        }
    }

    @Test
    fun aVocabularyOfAnotherKindIsRefused() {
        val names = "removed spaces chinese punctuation lower marks bounds classes decomposed"
        val characters = Characters(names.replace(' ', '\n'), true, true)
        val error = assertThrows(IllegalArgumentException::class.java) { WordPiece("[PAD]\n[UNK]\n", characters) }
        assertEquals("the vocabulary lacks [CLS], [SEP]: it is not one of BERT", error.message)
    }

    private fun numbers(text: String) = text.split(' ').filter { it.isNotEmpty() }.map { it.toInt() }

    /** The folders; a test is passed over where there are none, unless the property `sentences` promised them. */
    private fun folders(): List<File> {
        val exported = javaClass.getResource("/golden/sentences.csv")?.let { File(it.toURI()).parentFile }
        val promised = System.getProperty("sentences")?.split(File.pathSeparator)?.map(::File)
        assumeTrue(promised != null || exported != null)
        return promised ?: listOfNotNull(exported)
    }
}
