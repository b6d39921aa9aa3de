package kerastransfer.core

private const val CAPITAL_I_WITH_DOT = 0x130 // the only letter whose lower case is two characters

// Hangul, by Unicode's arithmetic.
private const val SYLLABLES = 0xAC00
private const val SYLLABLES_END = 0xD7A4
private const val LEADING = 0x1100
private const val VOWELS = 0x1161
private const val TRAILING = 0x11A7

/**
 * What BERT's tokenizer makes of characters: the twin of keras_transfer/modalities/text/characters.py.
 *
 * Java's own Unicode tables would differ from one version of Android to another.
 *
 * @param tables content of `characters.txt`, whose first lines say how it is read
 * @property lowercase whether letters become lower-case
 * @property stripAccents whether text is decomposed and loses its nonspacing marks
 */
class Characters(tables: String, private val lowercase: Boolean, private val stripAccents: Boolean) {
    private val ranges: Map<String, List<Range>> =
        linesOf(tables).filter { !it.startsWith("#") }.map { it.split(' ') }.associate { items ->
            items.first() to items.drop(1).map(::range)
        }
    private val spaces = values("spaces") { _, value -> value }
    private val punctuation = values("punctuation") { _, value -> value }
    private val lower =
        values("lower") { code, value -> string(code + value.toInt(16)) } + (CAPITAL_I_WITH_DOT to "i\u0307")
    private val marks = values("marks") { _, value -> value }
    private val bounds = values("bounds") { _, value -> value }
    private val classes = values("classes") { _, value -> value.toInt(16) }
    private val decompositions =
        values("decomposed") { _, value -> value.split('+').joinToString("") { string(it.toInt(16)) } }
    private val images = HashMap<Int, String>()

    /** The words and punctuation marks of a text. */
    fun words(text: String): List<String> {
        val all = codesOf(text)
        val whole = StringBuilder()
        for (code in if (stripAccents) inOrder(all) else all) whole.append(images.getOrPut(code) { image(code) })
        return whole.split(' ').filter { it.isNotEmpty() }
    }

    /** What a character becomes. */
    private fun image(code: Int): String {
        if (within("removed", code)) return ""
        if (code in spaces) return " "
        val apart =
            codesOf(if (stripAccents) decomposed(code) else string(code)).joinToString("") {
                val low = if (lowercase) lower[it] ?: string(it) else string(it)
                if (it in punctuation) " $low " else low
            }
        return if (within("chinese", code)) " $apart " else apart
    }

    /** The canonical decomposition of a character without its nonspacing marks. */
    private fun decomposed(code: Int): String {
        if (code in marks) return ""
        if (code !in SYLLABLES until SYLLABLES_END) return decompositions[code] ?: string(code)
        val syllable = (code - SYLLABLES) / 28
        val trailing = (code - SYLLABLES) % 28
        val end = if (trailing > 0) string(TRAILING + trailing) else ""
        return string(LEADING + syllable / 21) + string(VOWELS + syllable % 21) + end
    }

    /** Characters whose combining ones that stay, which are rare, are in canonical order. */
    private fun inOrder(text: List<Int>): List<Int> {
        val parts =
            text.flatMap { code ->
                val own = decompositions[code]?.let(::codesOf)
                if (own != null && own.any { it in classes }) own else listOf(code)
            }
        if (parts.none { it in classes }) return text
        val out = ArrayList<Int>()
        val run = ArrayList<Int>()
        for (code in parts) {
            if (code in classes) {
                run.add(code)
            } else if (!within("removed", code) && !(code in marks && code !in bounds)) {
                out.addAll(run.sortedBy { classes[it] })
                run.clear()
                out.add(code)
            }
        }
        return out + run.sortedBy { classes[it] }
    }

    private fun within(name: String, code: Int) =
        ranges.getValue(name).any { code >= it.codes.first && code <= it.codes.last } // not `in`: it would iterate

    private fun <T> values(name: String, read: (Int, String) -> T): Map<Int, T> {
        val found = HashMap<Int, T>()
        for (range in ranges.getValue(name)) for (code in range.codes) found[code] = read(code, range.value)
        return found
    }
}

/** Lines of a text, whether or not the last one is ended; one may hold what other readers take for its end. */
internal fun linesOf(text: String): List<String> {
    val all = text.removePrefix("\uFEFF").split('\n')
    return (if (all.last().isEmpty()) all.dropLast(1) else all).map { it.removeSuffix("\r") }
}

/** The code points of a text; a lone surrogate is one. */
internal fun codesOf(text: String): List<Int> {
    val codes = ArrayList<Int>(text.length)
    var i = 0
    while (i < text.length) {
        val code = text.codePointAt(i)
        codes.add(code)
        i += Character.charCount(code)
    }
    return codes
}

private class Range(val codes: IntProgression, val value: String)

private fun range(item: String): Range {
    val ends = item.substringBefore(':').substringBefore('/')
    val step = item.substringBefore(':').substringAfter('/', "1").toInt()
    val first = ends.substringBefore('-').toInt(16)
    return Range(first..ends.substringAfter('-').toInt(16) step step, item.substringAfter(':', ""))
}

private fun string(code: Int) = String(Character.toChars(code))
