package kerastransfer.demo

import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.util.AttributeSet
import android.view.View

private const val ROWS = 6
private const val ROW_DP = 28
private const val TEXT_SP = 14
private const val OPAQUE = 255

/** Scores over time: the class names, and what each looked like at each moment, the latest at the right. */
internal class History(val names: List<String>, val most: Int, val scores: List<FloatArray>)

/** Shows a [History]: a row for each of the classes that were likeliest in it, darker the more probable. */
internal class Timeline(context: Context, attributes: AttributeSet) : View(context, attributes) {
    private val paint = Paint(Paint.ANTI_ALIAS_FLAG)
    private val row = ROW_DP * resources.displayMetrics.density

    var history: History? = null
        set(value) {
            field = value
            visibility = if (value == null) GONE else VISIBLE
            requestLayout()
            invalidate()
        }

    override fun onMeasure(width: Int, height: Int) {
        val rows = minOf(ROWS, history?.names?.size ?: 0)
        setMeasuredDimension(MeasureSpec.getSize(width), (rows * row).toInt())
    }

    override fun onDraw(canvas: Canvas) {
        val shown = history ?: return
        val peaks = FloatArray(shown.names.size) { i -> shown.scores.maxOfOrNull { it[i] } ?: 0f }
        val classes = peaks.indices.sortedByDescending { peaks[it] }.take(ROWS).sorted()
        val left = width / 3f
        val step = (width - left) / shown.most
        paint.color = context.getColor(R.color.timeline)
        paint.textSize = TEXT_SP * resources.displayMetrics.density * resources.configuration.fontScale
        for ((place, index) in classes.withIndex()) {
            val top = place * row
            paint.alpha = OPAQUE
            canvas.save()
            canvas.clipRect(0f, top, left, top + row)
            canvas.drawText(shown.names[index], 0f, top + (row - paint.ascent() - paint.descent()) / 2, paint)
            canvas.restore()
            for ((i, scores) in shown.scores.withIndex()) {
                paint.alpha = (OPAQUE * scores[index]).toInt()
                canvas.drawRect(left + i * step, top + 1, left + (i + 1) * step, top + row - 1, paint)
            }
        }
    }
}
