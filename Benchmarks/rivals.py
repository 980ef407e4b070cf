"""llama.cpp from the source package of llama-cpp-python, and model files made with its tools."""
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

from harness import BenchmarkError, run, say

PACKAGE = "llama-cpp-python"
VERSION = "0.3.36"
TOOLS = ["llama-bench", "llama-quantize", "llama-perplexity", "llama-server"]


def cache_folder():
    """Where rivals and model files are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base) / "angel" / "rivals"


def build_llama(jobs):
    """The folder of llama.cpp's programs, built on the first call (some minutes, 80 MB of source)."""
    folder = cache_folder() / f"llama-cpp-{VERSION}"
    programs = folder / "build" / "bin"
    if all((programs / tool).exists() for tool in TOOLS):
        return programs
    for tool in ("cmake", "c++"):
        if not shutil.which(tool):
            raise BenchmarkError(f"building llama.cpp needs {tool}: install it, or give --llama-bench PATH")
    folder.mkdir(parents=True, exist_ok=True)
    say(f"fetching the source of {PACKAGE} {VERSION}")
    run([sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", PACKAGE, "--dest", folder,
         f"{PACKAGE}=={VERSION}"])
    archives = sorted(folder.glob("*.tar.gz"))
    if not archives:
        raise BenchmarkError(f"pip left no source package in {folder}")
    with tarfile.open(archives[-1]) as archive:
        archive.extractall(folder, filter="data")
    sources = sorted(folder.glob("*/vendor/llama.cpp"))
    if not sources:
        raise BenchmarkError(f"{archives[-1].name} brings no vendor/llama.cpp")
    keep_tile_configuration(sources[0] / "ggml/src/ggml-cpu/amx/mmq.cpp")
    say(f"building llama.cpp in {folder}")
    flags = {
        "CMAKE_BUILD_TYPE": "Release", "BUILD_SHARED_LIBS": "OFF", "GGML_NATIVE": "ON", "LLAMA_CURL": "OFF",
        "LLAMA_OPENSSL": "OFF", "LLAMA_BUILD_TESTS": "OFF", "LLAMA_BUILD_EXAMPLES": "OFF", "LLAMA_BUILD_UI": "OFF",
        "LLAMA_USE_PREBUILT_UI": "OFF",
    }
    run(["cmake", "-S", sources[0], "-B", folder / "build"] + [f"-D{key}={value}" for key, value in flags.items()])
    run(["cmake", "--build", folder / "build", "--parallel", jobs, "--target"] + TOOLS)
    return programs


def keep_tile_configuration(source):
    """Has old GCCs write the configuration of AMX tiles before it is loaded.

    GCC 12's _tile_loadconfig reads, for the optimizer, eight of its 64 bytes; the stores to the others are left out, and
    llama.cpp dies of an illegal instruction at its first product of a prompt. One barrier keeps them.
    """
    load = "_tile_loadconfig(&tc);"
    barrier = '__asm__ volatile("" : : "r"(&tc) : "memory");'
    text = source.read_text() if source.exists() else ""
    if load in text and barrier not in text:
        source.write_text(text.replace(load, f"{barrier} {load}"))


def clock_library():
    """A library that makes a program's timers count its CPU time, or None without a C compiler."""
    compiler = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if compiler is None:
        return None
    source = pathlib.Path(__file__).with_name("cpu_clock.c")
    library = cache_folder() / "cpu_clock.so"
    library.parent.mkdir(parents=True, exist_ok=True)
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source])
    return library


def model_file(format, folder, model, programs):
    """The GGUF file of a format: from `folder`, or quantised from `model` into the cache."""
    for candidate in (folder and folder / f"{format}.gguf", cache_folder() / f"{model.stem}-{format}.gguf"):
        if candidate and candidate.exists():
            return candidate
    if f".{format}." in model.name:
        return model
    target = cache_folder() / f"{model.stem}-{format}.gguf"
    target.parent.mkdir(parents=True, exist_ok=True)
    if not (programs / "llama-quantize").exists():
        raise BenchmarkError(f"no {format}.gguf and no llama-quantize in {programs}: give --models FOLDER")
    say(f"making {target.name}")
    part = target.with_suffix(".part")
    run([programs / "llama-quantize", "--allow-requantize", model, part, format])
    part.rename(target)
    return target


def default_model(angel):
    """The file of the default model in angel's store, pulled when it is not there."""
    import json

    for attempt in range(2):
        try:
            path = pathlib.Path(json.loads(run([angel, "models", "show", "smollm2", "--json"]).output)["path"])
            files = [path] if path.is_file() else sorted(path.glob("*.gguf"))
            if files:
                return files[0]
        except BenchmarkError:
            if attempt:
                raise
        run([angel, "pull", "smollm2"])
    raise BenchmarkError("the store has no GGUF file of smollm2: give --model FILE")
