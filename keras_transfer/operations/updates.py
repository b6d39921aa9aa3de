"""Updates of devices: a signed manifest of files, which a device checks before it lets go of what it has.

    keras-transfer update 1
    model cats@3
    serial 1790000000
    app 1
    file 2593424 SHA256 model.tflite
    label crème brûlée
    signature BASE64

Lines of UTF-8, ended by a line feed; there may be several files and labels. The Ed25519 signature is of all bytes above
its line. `web_demo/update.js` and `android_demo/core/.../Update.kt` are the twins of `read_update` and `check_file`.
"""

import base64
import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from keras_transfer.errors import InputError
from keras_transfer.extras import require
from keras_transfer.files import read_file, write_bytes
from keras_transfer.litert.labels import LABELS_FILE, labels_text
from keras_transfer.run import command_line, read_run

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Target = Literal["file", "web", "android"]
MANIFEST = "update.txt"
_KITS = {"web": "export/web", "android": "export/android/app/src/main/assets"}
HEADING = "keras-transfer update 1"
# Why a device refuses a manifest.
DAMAGED, FORGED, OLD, APP = "damaged", "forged", "old", "app"
_WORDS = {
    DAMAGED: "is damaged: fetch it again",
    FORGED: "is not signed by this key",
    OLD: "is no newer than what the device has",
    APP: "needs a newer app",
}
_NUMBER = r"(0|[1-9][0-9]{0,14})"
_FORM = re.compile(
    rf"{HEADING}\nmodel ([^\n]+)\nserial {_NUMBER}\napp {_NUMBER}\n"
    rf"((?:file {_NUMBER} [0-9a-f]{{64}} [A-Za-z0-9_][A-Za-z0-9_.-]*\n)+)((?:label [^\n]+\n)*)"
    r"signature ([A-Za-z0-9+/]{85}[AQgw]==)\n"  # of 64 bytes, which can be written in one way only
)
_SIGNATURE_LINE = 99  # bytes


class UpdateError(InputError):
    """A device would refuse this update.

    Attributes:
        reason: `DAMAGED`, `FORGED`, `OLD` or `APP`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"The update {_WORDS[reason]}.")
        self.reason = reason


@dataclass(frozen=True)
class UpdateFile:
    """A file of an update."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Update:
    """What a manifest says.

    Attributes:
        model: what it is a version of, such as `cats@3`.
        serial: larger than that of every update before; seconds since 1970.
        app: the oldest version of the app that can use it.
        files: what to fetch, from beside the manifest.
        labels: the class names.
    """

    model: str
    serial: int
    app: int
    files: tuple[UpdateFile, ...]
    labels: tuple[str, ...]

    def text(self) -> str:
        """What is signed."""
        lines = [HEADING, f"model {self.model}", f"serial {self.serial}", f"app {self.app}"]
        lines += [f"file {file.bytes} {file.sha256} {file.name}" for file in self.files]
        return "\n".join([*lines, *(f"label {label}" for label in self.labels)]) + "\n"


def make_key(path: str | Path) -> str:
    """Writes a new private key, as PEM, and returns the public one, which devices are given.

    Raises:
        InputError: `cryptography` is missing, or there is a file already: a key is not replaced.
    """
    _require()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = Path(path)
    if path.exists():
        raise InputError(f"{path} is there already, and devices may trust it: name another file.")
    key = Ed25519PrivateKey.generate()
    plain = serialization.NoEncryption()
    content = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600, exist_ok=False)
    path.write_bytes(content)
    return public_key(key)


def read_key(path: str | Path) -> "Ed25519PrivateKey":
    """A private key from a file.

    Raises:
        InputError: `cryptography` is missing, or the file holds no Ed25519 key.
    """
    _require()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(read_file(path), password=None)
    except (InputError, ValueError, TypeError) as error:
        raise InputError(f"{path} holds no private key ({error}): `keras-transfer models key` makes one.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path} holds a key of another kind than Ed25519: `keras-transfer models key` makes one.")
    return key


def public_key(key: "Ed25519PrivateKey") -> str:
    """The public half of a key: 64 hexadecimal digits."""
    return bytes(key.public_key().public_bytes_raw()).hex()


def make_update(
    files: Mapping[str, bytes],
    labels: Sequence[str],
    key: "Ed25519PrivateKey",
    *,
    model: str,
    app: int = 1,
    serial: int | None = None,
) -> bytes:
    """A signed manifest.

    Args:
        files: name -> content.
        labels: the class names.
        key: from `read_key`.
        model: what it is a version of, such as `cats@3`.
        app: the oldest version of the app that can use it.
        serial: the seconds since 1970 unless given. Devices take no update whose serial is not above the one they have:
            to go back to an older model, sign it again.

    Raises:
        InputError: a name cannot stand in a manifest.
    """
    labels_text(labels)  # raises for what cannot stand on a line
    entries = tuple(UpdateFile(name, len(content), _sha256(content)) for name, content in files.items())
    update = Update(model, int(time.time()) if serial is None else serial, app, entries, tuple(labels))
    signature = base64.b64encode(key.sign(update.text().encode())).decode()
    manifest = f"{update.text()}signature {signature}\n"
    if not _FORM.fullmatch(manifest):
        raise InputError(f"Files are named by letters, digits, `_`, `.` and `-`. Received: {', '.join(files)}.")
    return manifest.encode()


def read_update(content: bytes, key: str, *, app: int, since: int = 0) -> Update:
    """What a manifest says, once it is sure who signed it.

    Args:
        content: of the manifest.
        key: the public key, from `public_key`.
        app: the version of the device's app.
        since: the serial of the update that the device has.

    Raises:
        UpdateError: it is damaged, forged, old, or for a newer app.
        InputError: `cryptography` is missing.
    """
    _require()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        form = _FORM.fullmatch(content.decode())
    except UnicodeError:
        form = None
    if form is None:
        raise UpdateError(DAMAGED)
    model, serial, needed, files, _, labels, signature = form.groups()
    try:
        trusted = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        trusted.verify(base64.b64decode(signature), content[:-_SIGNATURE_LINE])
    except InvalidSignature as error:
        raise UpdateError(FORGED) from error
    rows = [line.split(" ") for line in files.splitlines()]
    entries = tuple(UpdateFile(name, int(size), digest) for _, size, digest, name in rows)
    names = tuple(line.removeprefix("label ") for line in labels.split("\n")[:-1])
    update = Update(model, int(serial), int(needed), entries, names)
    if update.serial <= since:
        raise UpdateError(OLD)
    if update.app > app:
        raise UpdateError(APP)
    return update


def check_file(file: UpdateFile, content: bytes) -> None:
    """Raises `UpdateError` where what was fetched is not the file of the manifest."""
    if len(content) != file.bytes or _sha256(content) != file.sha256:
        raise UpdateError(DAMAGED)


def release_files(run: Path, target: Target) -> dict[str, bytes]:
    """The files of a run that a device is to get: name -> content.

    Args:
        run: the run directory.
        target: `"web"` or `"android"`, whose kit the run must have; or `"file"`, the recommended file and its labels.

    Raises:
        InputError: the run has no such files.
    """
    place = run / _KITS.get(target, "export")
    if target == "file":
        recommended = read_run(run)[1]["recommended"]
        if recommended is None:
            raise InputError(f"{run} recommends no file: `keras-transfer export` makes some.")
        return {"model.tflite": read_file(run / recommended), LABELS_FILE: read_file(run / "labels.txt")}
    if not place.is_dir():
        raise InputError(f"{run} was not exported for {target}: `{command_line('export', run)} --target {target}`.")
    paths = sorted(place.iterdir())
    if target == "web":  # beside the page itself, which is not updated
        own = json.loads(read_file(place / "model.json"))["file"]
        paths = [path for path in paths if path.name in {own, "model.json", "vocab.txt", "characters.txt"}]
    return {path.name: read_file(path) for path in paths if path.is_file()}


def write_update(folder: str | Path, files: Mapping[str, bytes], manifest: bytes) -> Path:
    """Writes the files of an update and then its manifest: who reads the manifest finds the files."""
    folder = Path(folder)
    for name, content in files.items():
        write_bytes(folder / name, content)
    return write_bytes(folder / MANIFEST, manifest)


def _require() -> None:
    require("cryptography", "updates", "Signing and checking updates")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
