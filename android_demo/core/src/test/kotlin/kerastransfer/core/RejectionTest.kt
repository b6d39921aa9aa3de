package kerastransfer.core

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assume.assumeTrue
import org.junit.Test

class RejectionTest {
    /** Scores and what Python makes of them: `verify.py` names the folder. */
    @Test
    fun scoresMeanWhatTheyMeanInPython() {
        val promised = System.getProperty("rejection")
        assumeTrue(promised != null)
        val rejection = Rejection(File(promised!!, "rejection.json").readText())
        for (line in File(promised, "scores.csv").readLines()) {
            val (score, share, rejected) = line.split(',')
            assertEquals(line, share.toDouble(), rejection.unlikeness(score.toFloat()), 0.0)
            assertEquals(line, rejected == "1", rejection.rejects(score.toFloat()))
        }
    }

    @Test
    fun aTornFileIsRefused() {
        assertThrows(IllegalArgumentException::class.java) { Rejection("""{"threshold": 1.0, "refer""") }
    }
}
