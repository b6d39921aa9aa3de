package kerastransfer.core

import java.math.BigInteger
import java.security.MessageDigest

private fun number(text: String) = BigInteger(text)

/**
 * Ed25519 signatures are verified here, as RFC 8032 has it: Android's own providers know them only from version 13 on.
 *
 * There is no secret in verifying, so that nothing is lost by arithmetic whose time depends on its numbers.
 */
internal object Ed25519 {
    private val TWO = BigInteger.valueOf(2)
    private val P = TWO.pow(255) - BigInteger.valueOf(19)
    private val ORDER = TWO.pow(252) + number("27742317777372353535851937790883648493")
    private val D = (-BigInteger.valueOf(121665) * BigInteger.valueOf(121666).modInverse(P)).mod(P)
    private val ROOT = TWO.modPow((P - BigInteger.ONE) / BigInteger.valueOf(4), P) // of -1
    private val BASE =
        Point.of(
            number("15112221349535400772501151409588531511454012693041857206046113283949847762202"),
            number("46316835694926478169428394003475163141307993866256225615783033603165251855960"),
        )

    /** Whether [signature] is one of [message] by the owner of the public key [key]. */
    fun verify(key: ByteArray, message: ByteArray, signature: ByteArray): Boolean {
        if (key.size != 32 || signature.size != 64) return false
        val owner = decode(key) ?: return false
        val point = signature.copyOf(32)
        val scalar = little(signature.copyOfRange(32, 64))
        if (scalar >= ORDER) return false
        val digest = MessageDigest.getInstance("SHA-512")
        for (part in listOf(point, key, message)) digest.update(part)
        val challenge = little(digest.digest()).mod(ORDER)
        return encode(BASE * scalar + -owner * challenge).contentEquals(point)
    }

    private fun little(bytes: ByteArray) = BigInteger(1, bytes.reversedArray())

    private fun decode(bytes: ByteArray): Point? {
        val odd = bytes[31] < 0
        val y = little(bytes.copyOf().also { it[31] = (it[31].toInt() and 127).toByte() })
        if (y >= P) return null
        val square = ((y * y - BigInteger.ONE) * (D * y * y + BigInteger.ONE).modInverse(P)).mod(P)
        var x = square.modPow((P + BigInteger.valueOf(3)) / BigInteger.valueOf(8), P)
        if ((x * x - square).mod(P).signum() != 0) x = (x * ROOT).mod(P)
        if ((x * x - square).mod(P).signum() != 0 || (x.signum() == 0 && odd)) return null
        return Point.of(if (x.testBit(0) == odd) x else P - x, y)
    }

    private fun encode(point: Point): ByteArray {
        val inverse = point.z.modInverse(P)
        val x = (point.x * inverse).mod(P)
        val y = (point.y * inverse).mod(P).toByteArray().reversedArray().copyOf(32)
        if (x.testBit(0)) y[31] = (y[31].toInt() or 128).toByte()
        return y
    }

    /** On the curve, as x / z and y / z, with t = x y / z. */
    private class Point(val x: BigInteger, val y: BigInteger, val z: BigInteger, val t: BigInteger) {
        operator fun unaryMinus() = Point((-x).mod(P), y, z, (-t).mod(P))

        operator fun plus(other: Point): Point {
            val a = (y - x) * (other.y - other.x)
            val b = (y + x) * (other.y + other.x)
            val c = TWO * t * other.t * D
            val d = TWO * z * other.z
            val (e, f, g, h) = listOf(b - a, d - c, d + c, b + a).map { it.mod(P) }
            return Point((e * f).mod(P), (g * h).mod(P), (f * g).mod(P), (e * h).mod(P))
        }

        operator fun times(scalar: BigInteger): Point {
            var sum = Point(BigInteger.ZERO, BigInteger.ONE, BigInteger.ONE, BigInteger.ZERO)
            for (bit in scalar.bitLength() - 1 downTo 0) {
                sum += sum
                if (scalar.testBit(bit)) sum += this
            }
            return sum
        }

        companion object {
            fun of(x: BigInteger, y: BigInteger) = Point(x, y, BigInteger.ONE, (x * y).mod(P))
        }
    }
}
