package kerastransfer.demo

import android.content.ContentProvider
import android.content.ContentValues
import android.content.Context
import android.database.Cursor
import android.net.Uri
import android.os.ParcelFileDescriptor
import java.io.File
import java.io.FileNotFoundException

/** Lends the camera app one file to write the photograph to; no permission to any storage is needed for that. */
class PhotoProvider : ContentProvider() {
    override fun onCreate() = true

    override fun getType(uri: Uri) = "image/jpeg"

    override fun openFile(uri: Uri, mode: String): ParcelFileDescriptor {
        if (uri != URI) throw FileNotFoundException("$uri")
        return ParcelFileDescriptor.open(file(requireNotNull(context)), ParcelFileDescriptor.parseMode(mode))
    }

    override fun query(
        uri: Uri,
        projection: Array<String>?,
        selection: String?,
        arguments: Array<String>?,
        order: String?,
    ): Cursor? = null

    override fun insert(uri: Uri, values: ContentValues?): Uri? = null

    override fun update(uri: Uri, values: ContentValues?, selection: String?, arguments: Array<String>?) = 0

    override fun delete(uri: Uri, selection: String?, arguments: Array<String>?) = 0

    companion object {
        val URI: Uri = Uri.parse("content://kerastransfer.demo.photo/photo.jpg")

        fun file(context: Context) = File(context.cacheDir, "photo.jpg")
    }
}
