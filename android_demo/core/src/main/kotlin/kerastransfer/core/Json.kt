package kerastransfer.core

/** The value of a name in the flat JSON that `keras-transfer export` writes: a word or a number. */
internal fun word(json: String, name: String): String =
    requireNotNull(Regex("\"$name\"\\s*:\\s*\"?([A-Za-z0-9.+-]+)").find(json)) { "no $name in $json" }.groupValues[1]

/** The numbers of a name in such JSON, as text. */
internal fun words(json: String, name: String): List<String> =
    requireNotNull(Regex("\"$name\"\\s*:\\s*\\[([^]]*)]").find(json)) { "no $name in $json" }
        .groupValues[1].split(',').map { it.trim() }.filter { it.isNotEmpty() }
