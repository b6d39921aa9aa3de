#!/usr/bin/env python3
"""Checks the app on a machine without Android's SDK, from Maven Central and Debian alone.

    python android_demo/verify.py

1. Golden vectors are made by the Python package, that moment.
2. `:core` is compiled by the Kotlin compiler and its JUnit tests are run on them.
3. Resources and manifest are linked by aapt2 against those of Android 10, as Debian has them; R.java is compiled.
4. `:app` is type-checked and compiled against the real Android (Robolectric's build of it), once of `compileSdk` and
   once of `minSdk`, and TFLite's API.
5. All classes are turned into DEX code, and an APK is assembled, aligned, signed with a throw-away key, and verified;
   the model in it is stored, not compressed.

Versions are read from the Gradle files, so that what is checked is what Android Studio builds; but LiteRT itself is
only in Google's repository: TFLite 2.16.1, whose `Interpreter` has the same API, stands in for it. What this leaves
out is told in README.md. Exit code 0: all passed; 1: a check failed; 2: something that it needs is missing.
"""

import argparse
import csv
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent
TOOLS = {
    "java": "default-jdk-headless",
    "javac": "default-jdk-headless",
    "keytool": "default-jdk-headless",
    "mvn": "maven",
    "aapt2": "aapt",
    "zipalign": "zipalign",
    "apksigner": "apksigner",
}  # name -> Debian's package
RESOURCES = Path("/usr/share/android-framework-res/framework-res.apk")
ANDROID_RELEASES = {26: "8.0.0_r4-robolectric-r1", 35: "15-robolectric-12650502"}  # API level -> Robolectric's build
JARS = ROOT / "jars.csv"
"""What is fetched from Maven Central, with its SHA-256; `{name}` stands for a version of the Gradle files."""
PASSWORD = "throw-away"
JAVA = ("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""For programs that end after seconds: they spend less on collecting garbage and on compiling themselves."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=ROOT / "build/verify", help="where to work and keep the jars")
    parser.add_argument("--photographs", type=Path, nargs="*", default=[], help="golden vectors of these as well")
    options = parser.parse_args()
    try:
        verify(options.build.resolve(), [path.resolve() for path in options.photographs])
    except Missing as error:
        print(f"Missing: {error}", file=sys.stderr)
        return 2
    except Failed as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    return 0


class Missing(Exception):
    """Something that the checks need is not there."""


class Failed(Exception):
    """A check failed."""


def verify(build: Path, photographs: Sequence[Path]) -> None:
    """Runs all checks; what they make is left in `build`."""
    absent = {package for tool, package in TOOLS.items() if shutil.which(tool) is None}
    if not RESOURCES.is_file():
        absent.add("android-framework-res")
    if absent:
        raise Missing(f"apt-get install {' '.join(sorted(absent))}")
    versions = read_versions()
    jars = fetch(build / "jars", versions)
    for name in ("golden", "core", "app", "apk"):
        shutil.rmtree(build / name, ignore_errors=True)
        (build / name).mkdir(parents=True)
    golden = step("golden vectors", make_golden, build / "golden", photographs)
    kotlin = Kotlin(jars)
    step(":core compiled and tested", check_core, build / "core", kotlin, golden)
    linked = step("resources and manifest linked", link, build / "app", versions, build / "golden")
    step(":app type-checked against Android and TFLite", compile_app, build / "app", kotlin, build / "core/main")
    dex = step("classes turned into DEX", make_dex, build, jars, versions)
    apk = step("APK assembled, aligned, signed and verified", assemble, build / "apk", linked, dex, jars)
    print(f"All passed: {apk} ({apk.stat().st_size / 1e6:.1f} MB)")


def step(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    start = time.monotonic()
    print(f"- {what} ...", end="", flush=True)
    result = function(*arguments)
    print(f" {time.monotonic() - start:.0f} s", flush=True)
    return result


def read_versions() -> dict[str, str]:
    """What the Gradle files state, and the Android releases that belong to it."""
    catalogue = (ROOT / "gradle/libs.versions.toml").read_text("utf-8")
    versions = dict(re.findall(r'^(\w+) = "([^"]+)"$', catalogue, re.MULTILINE))
    module = (ROOT / "app/build.gradle.kts").read_text("utf-8")
    versions |= dict(re.findall(r"(compileSdk|minSdk|targetSdk|versionCode) = (\d+)", module))
    versions |= dict(re.findall(r'(applicationId|versionName) = "([^"]+)"', module))
    for name, level in (("android", "compileSdk"), ("oldest", "minSdk")):
        if int(versions[level]) not in ANDROID_RELEASES:
            raise Failed(f"{level} is {versions[level]}, but this script knows {sorted(ANDROID_RELEASES)}")
        versions[name] = ANDROID_RELEASES[int(versions[level])]
    return versions


def fetch(folder: Path, versions: dict[str, str]) -> dict[str, Path]:
    """The jars by name, downloaded by Maven where they are not there already, each with its own checksum."""
    found = {}
    with JARS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = [row["coordinates"].format(**versions) for row in rows]
    paths = [folder / "{1}-{2}.{3}".format(*_split(coordinates)) for coordinates in wanted]
    if not all(path.is_file() for path in paths):
        step("jars from Maven Central", _download, wanted, folder)
    for row, path in zip(rows, paths, strict=True):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != row["sha256"]:
            path.unlink()
            raise Failed(f"{path.name} has the SHA-256 {digest}, not {row['sha256']}: it was removed")
        found[row["name"]] = path
    return found


def _split(coordinates: str) -> tuple[str, str, str, str]:
    plain, _, kind = coordinates.partition("@")
    group, artifact, version = plain.split(":")
    return group, artifact, version, kind or "jar"


def _download(wanted: list[str], folder: Path) -> None:
    item = "<groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version><type>{}</type>"
    items = "".join(f"<artifactItem>{item.format(*_split(coordinates))}</artifactItem>" for coordinates in wanted)
    plugin = "<groupId>org.apache.maven.plugins</groupId><artifactId>maven-dependency-plugin</artifactId>"
    project = (
        "<project><modelVersion>4.0.0</modelVersion><groupId>verify</groupId><artifactId>verify</artifactId>"
        f"<version>1</version><build><plugins><plugin>{plugin}<version>3.6.1</version><configuration><artifactItems>"
        f"{items}</artifactItems></configuration></plugin></plugins></build></project>"
    )
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "pom.xml").write_text(project, "utf-8")
        call(["mvn", "-B", "-q", "dependency:copy", f"-DoutputDirectory={folder}"], cwd=place, error=Missing)


def make_golden(folder: Path, photographs: Sequence[Path]) -> list[Path]:
    """Golden vectors of pictures and of a small model with each kind of ends.

    `sentences/`, `sounds/`, `series/`, `log/` and `updates/` have folders of their own. All in a process of its own:
    TensorFlow says much, and is not needed after.
    """
    call([sys.executable, str(ROOT / "golden.py"), str(folder), *map(str, photographs)])
    return sorted(path.parent for path in folder.glob("*/cases.csv") if path.parent.name != "updates")


class Kotlin:
    """The Kotlin compiler, and the class paths that it is told."""

    def __init__(self, jars: dict[str, Path]) -> None:
        parts = ("kotlin-compiler-embeddable", "kotlin-script-runtime", "kotlin-reflect", "kotlin-daemon-embeddable")
        parts += ("kotlinx-coroutines-core-jvm", "annotations", "kotlin-stdlib")
        self.jars = jars
        self.classpath = _path([jars[part] for part in parts])
        self.library = [jars["kotlin-stdlib"], jars["annotations"]]

    def compile(self, source: Path, out: Path, classpath: Sequence[Path], *options: str) -> None:
        """Compiles a folder with every warning an error, and so that old dx understands it: no invokedynamic."""
        java = [*JAVA, "-cp", self.classpath, "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"]
        flags = ["-no-stdlib", "-no-reflect", "-Werror", "-jvm-target", "1.8", "-Xjdk-release=1.8"]
        flags += ["-Xlambdas=class", "-Xsam-conversions=class", "-Xstring-concat=inline"]
        call([*java, *flags, *options, "-cp", _path([*classpath, *self.library]), "-d", str(out), str(source)])


def check_core(folder: Path, kotlin: Kotlin, golden: list[Path]) -> None:
    """Compiles `:core` for Java 8 and runs its tests on the golden vectors."""
    junit = [kotlin.jars["junit"], kotlin.jars["hamcrest-core"]]
    main, test = folder / "main", folder / "test"
    kotlin.compile(ROOT / "core/src/main/kotlin", main, [], "-module-name", "core")
    friends = f"-Xfriend-paths={main}"
    kotlin.compile(ROOT / "core/src/test/kotlin", test, [main, *junit], friends, "-module-name", "core_test")
    classes = sorted(path.stem for path in (ROOT / "core/src/test/kotlin").rglob("*Test.kt"))
    made = golden[0].parent
    sentences = sorted((made / "sentences").iterdir())
    sounds = sorted((made / "sounds").iterdir())
    series = sorted((made / "series").iterdir())
    properties = [f"-Dgolden={_path(golden)}", f"-Dalpha={made / 'alpha.bytes'}", f"-Dsentences={_path(sentences)}"]
    properties += [f"-Dsounds={_path(sounds)}", f"-Dseries={_path(series)}", f"-Dlog={made / 'log'}"]
    properties.append(f"-Drejection={made / 'rejection'}")
    if (made / "updates").is_dir():
        properties.append(f"-Dupdates={made / 'updates'}")
    java = [*JAVA, *properties, "-cp", _path([main, test, *junit, *kotlin.library])]
    said = call([*java, "org.junit.runner.JUnitCore", *(f"kerastransfer.core.{name}" for name in classes)])
    passed = re.search(r"OK \((\d+) tests?\)", said)
    written = sum(path.read_text("utf-8").count("@Test\n") for path in (ROOT / "core/src/test/kotlin").rglob("*.kt"))
    if not passed or int(passed[1]) != written:
        raise Failed(f"{written} tests are written, JUnit says: {said}")
    cases = sum(len((path / "cases.csv").read_text("utf-8").splitlines()) - 1 for path in golden)
    texts = sum(len((path / "sentences.csv").read_text("utf-8").splitlines()) - 1 for path in sentences)
    clips = sum(len((path / "clips.csv").read_text("utf-8").splitlines()) - 1 for path in sounds)
    vectors = f"{cases} golden vectors of pictures, {texts} of sentences, {clips} of sounds, {len(series)} of series"
    print(f" {written} tests on {vectors},", end="")


def link(folder: Path, versions: dict[str, str], golden: Path) -> Path:
    """Compiles and links resources, manifest and assets; compiles R.java. Returns the APK without code."""
    call(["aapt2", "compile", "--dir", str(ROOT / "app/src/main/res"), "-o", str(folder / "resources.zip")])
    manifest = ElementTree.parse(ROOT / "app/src/main/AndroidManifest.xml")
    manifest.getroot().set("package", versions["applicationId"])  # which Gradle adds
    ElementTree.register_namespace("android", "http://schemas.android.com/apk/res/android")
    manifest.write(folder / "AndroidManifest.xml", "utf-8", xml_declaration=True)
    assets = ROOT / "app/src/main/assets"
    if not (assets / "model.tflite").is_file():
        assets = golden / "assets"
    linked = folder / "linked.apk"
    android = ["-I", str(RESOURCES), "--manifest", str(folder / "AndroidManifest.xml")]
    levels = ["--min-sdk-version", versions["minSdk"], "--target-sdk-version", versions["targetSdk"]]
    release = ["--version-code", versions["versionCode"], "--version-name", versions["versionName"]]
    ours = ["-A", str(assets), "-0", ".tflite", str(folder / "resources.zip")]
    out = ["--java", str(folder / "java"), "-o", str(linked)]
    call(["aapt2", "link", *android, *levels, *release, *ours, *out])
    generated = [str(path) for path in (folder / "java").rglob("*.java")]
    call(["javac", "-Werror", "-Xlint:-options", "-source", "8", "-target", "8", "-d", str(folder / "r"), *generated])
    return linked


def compile_app(folder: Path, kotlin: Kotlin, core: Path) -> None:
    """Compiles `:app` against Android's classes, and Java 8's, which Android 8 has.

    Twice: the oldest Android that it is to run on may lack a call that the newest has.
    """
    tflite = [_classes(kotlin.jars[name], folder) for name in ("tensorflow-lite", "tensorflow-lite-api")]
    for android, out in (("android-all-oldest", "oldest"), ("android-all", "main")):
        classpath = [core, folder / "r", *tflite, kotlin.jars[android]]
        kotlin.compile(ROOT / "app/src/main/kotlin", folder / out, classpath, "-module-name", "app")


def make_dex(build: Path, jars: dict[str, Path], versions: dict[str, str]) -> Path:
    """Turns the app, `:core`, Kotlin's library and TFLite into one classes.dex."""
    library = build / "app/kotlin-stdlib.jar"
    with zipfile.ZipFile(jars["kotlin-stdlib"]) as source, zipfile.ZipFile(library, "w") as target:
        for name in source.namelist():
            if name.startswith("kotlin/") and name.endswith(".class"):  # not those for newer Java
                target.writestr(name, source.read(name))
    dex = build / "apk/classes.dex"
    parts = [build / "app/main", build / "app/r", build / "core/main", library]
    parts += [build / "app" / f"{name}.jar" for name in ("tensorflow-lite", "tensorflow-lite-api")]
    dx = [*JAVA, "-Xss4m", "-cp", str(jars["dalvik-dx"]), "com.android.dx.command.Main"]
    call([*dx, "--dex", f"--min-sdk-version={versions['minSdk']}", f"--output={dex}", *map(str, parts)])
    return dex


def assemble(folder: Path, linked: Path, dex: Path, jars: dict[str, Path]) -> Path:
    """Puts the code and TFLite's native libraries in, aligns and signs the APK, and verifies what came out."""
    raw, aligned, signed = folder / "raw.apk", folder / "aligned.apk", folder / "app.apk"
    shutil.copyfile(linked, raw)
    with (
        zipfile.ZipFile(raw, "a", zipfile.ZIP_DEFLATED) as apk,
        zipfile.ZipFile(jars["tensorflow-lite"]) as tflite,
    ):
        apk.write(dex, "classes.dex")
        for name in tflite.namelist():
            if name.startswith("jni/"):
                apk.writestr(name.replace("jni/", "lib/", 1), tflite.read(name))
    call(["zipalign", "-f", "-p", "4", str(raw), str(aligned)])
    key = folder / "key.p12"
    secret = ["-storepass", PASSWORD, "-keypass", PASSWORD]
    subject = ["-dname", "CN=nobody", "-alias", "key", "-validity", "1"]
    call(["keytool", "-genkeypair", "-keyalg", "EC", "-storetype", "PKCS12", "-keystore", str(key), *secret, *subject])
    sign = ["apksigner", "sign", "--ks", str(key), "--ks-pass", f"pass:{PASSWORD}", "--out", str(signed)]
    call([*sign, str(aligned)])
    key.unlink()
    call(["zipalign", "-c", "-p", "4", str(signed)])
    call(["apksigner", "verify", "--Werr", str(signed)])
    with zipfile.ZipFile(signed) as apk:
        model = apk.getinfo("assets/model.tflite")
        if model.compress_type != zipfile.ZIP_STORED or model.file_size != model.compress_size:
            raise Failed("the model is compressed in the APK: it could not be mapped into memory")
        needed = {"classes.dex", "resources.arsc", "AndroidManifest.xml", "assets/labels.txt", "assets/geometry.json"}
        missing = needed - set(apk.namelist())
        if missing:
            raise Failed(f"the APK lacks {sorted(missing)}")
        if not apk.read("classes.dex").startswith(b"dex\n"):
            raise Failed("classes.dex is no DEX file")
    return signed


def _classes(archive: Path, folder: Path) -> Path:
    """The classes.jar of an AAR."""
    path = folder / f"{archive.name.rsplit('-', 1)[0]}.jar"
    with zipfile.ZipFile(archive) as source:
        path.write_bytes(source.read("classes.jar"))
    return path


def _path(parts: Sequence[Path]) -> str:
    return os.pathsep.join(map(str, parts))


def call(command: Sequence[str], cwd: str | Path = ROOT, error: type[Exception] = Failed) -> str:
    """Runs a command and returns what it said; raises with all of that where it fails."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise error(f"{Path(command[0]).name} ended with {done.returncode}:\n{done.stdout[-6000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
