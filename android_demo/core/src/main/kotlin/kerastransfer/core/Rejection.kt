package kerastransfer.core

/**
 * From which score on an item is none of the classes: `rejection.json`, as `keras-transfer export` writes it.
 *
 * The twin of `RejectionLimit` in keras_transfer/decisions.py.
 */
class Rejection(json: String) {
    private val threshold = word(json, "threshold").toDouble()
    private val reference = words(json, "reference").map { it.toDouble() }

    /** The share of validation items that are less unlike the training items, 0 to 1. */
    fun unlikeness(score: Float): Double = reference.count { it < score }.toDouble() / maxOf(1, reference.size)

    fun rejects(score: Float): Boolean = score > threshold
}
