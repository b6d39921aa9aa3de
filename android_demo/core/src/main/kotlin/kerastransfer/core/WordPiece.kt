package kerastransfer.core

private const val UNKNOWN = "[UNK]"
private const val FIRST = "[CLS]"
private const val LAST = "[SEP]"
private const val PADDING = "[PAD]"
private const val INSIDE = "##" // begins a piece that does not begin a word
private const val LONGEST_WORD = 100 // characters; what is longer is unknown

/**
 * BERT's tokenizer: the twin of keras_transfer/modalities/text/wordpiece.py, equal in every id.
 *
 * One thread at a time may use it.
 *
 * @param vocabulary content of `vocab.txt`, one entry a line
 * @param characters what becomes of characters
 */
class WordPiece(vocabulary: String, private val characters: Characters) {
    private val pieces: Map<String, Int> = linesOf(vocabulary).withIndex().associate { it.value to it.index }
    private val longest = pieces.keys.maxOfOrNull { it.length } ?: 0

    init {
        val missing = listOf(UNKNOWN, FIRST, LAST, PADDING).filter { it !in pieces }
        require(missing.isEmpty()) { "the vocabulary lacks ${missing.joinToString()}: it is not one of BERT" }
    }

    /** The ids of a text, without special tokens. */
    fun ids(text: String): List<Int> = characters.words(text).flatMap(::idsOfWord)

    /** The ids of a text between `[CLS]` and `[SEP]`, cut and padded to a length. */
    fun encode(text: String, length: Int): IntArray {
        val ids = listOf(pieces.getValue(FIRST)) + ids(text).take(length - 2) + pieces.getValue(LAST)
        return IntArray(length) { ids.getOrElse(it) { pieces.getValue(PADDING) } }
    }

    /** The longest piece that the vocabulary has, then the longest of the rest; unknown where a rest has none. */
    private fun idsOfWord(word: String): List<Int> {
        val unknown = listOf(pieces.getValue(UNKNOWN))
        if (word.codePointCount(0, word.length) > LONGEST_WORD) return unknown
        val ids = ArrayList<Int>()
        var start = 0
        while (start < word.length) {
            val prefix = if (start > 0) INSIDE else ""
            val end =
                (minOf(word.length, start + longest) downTo start + 1).firstOrNull {
                    prefix + word.substring(start, it) in pieces
                } ?: return unknown
            ids.add(pieces.getValue(prefix + word.substring(start, end)))
            start = end
        }
        return ids
    }

    companion object {
        /**
         * Reads a tokenizer as Python writes it.
         *
         * @param vocabulary content of `vocab.txt`
         * @param characters content of `characters.txt`
         * @param settings content of `tokenizer.csv`: lines of a name and a value
         */
        fun read(vocabulary: String, characters: String, settings: String): WordPiece {
            val values = linesOf(settings).associate { it.substringBefore(',') to it.substringAfter(',') }
            fun isOn(name: String) = values.getValue(name).toBooleanStrict()
            return WordPiece(vocabulary, Characters(characters, isOn("lowercase"), isOn("strip_accents")))
        }
    }
}
