"""Running and timing of programs, the quiet-machine check, and statistics. Standard library only."""
import datetime
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time


class BenchmarkError(Exception):
    """Something a user can put right; printed as one line."""


def say(text):
    print(text, file=sys.stderr, flush=True)


# --- Programs -------------------------------------------------------------------------------------------------------


class Finished:
    """What a program printed, and what it took."""

    def __init__(self, output, errors, wall, usage):
        self.output, self.errors, self.wall = output, errors, wall
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak_bytes = usage.ru_maxrss * 1024


def run(command, environment=None):
    """Runs a program to its end; raises with the end of what it said when it fails."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        begin = time.monotonic()
        try:
            process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                env={**os.environ, **(environment or {})})
        except OSError as error:
            raise BenchmarkError(f"cannot run '{command[0]}': {error.strerror}") from None
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        wall = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    if process.returncode != 0:
        tail = " ".join((texts[1].strip() or texts[0].strip()).split("\n")[-3:])
        raise BenchmarkError(f"'{' '.join(str(word) for word in command)}' ended with {process.returncode}: {tail}")
    return Finished(texts[0], texts[1], wall, usage)


# --- Is the machine quiet? ------------------------------------------------------------------------------------------


def _spin(seconds):
    """Turns of an empty loop in a span of time: what a core gives just now."""
    turns, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(1000):
            pass
        turns += 1
    return turns


def _spin_in_processes(count, seconds):
    pipes = []
    for _ in range(count):
        reader, writer = os.pipe()
        if os.fork() == 0:
            try:
                os.write(writer, str(_spin(seconds)).encode())
            finally:
                os._exit(0)
        os.close(writer)
        pipes.append(reader)
    turns = 0
    for reader in pipes:
        with os.fdopen(reader) as file:
            turns += int(file.read() or 0)
        os.wait()
    return turns


def scaling(threads, seconds=0.15):
    """How many times one core `threads` cores are worth now: one and all spin in turn, three times; the middle counts."""
    if threads == 1:
        return 1.0
    ratios = []
    for _ in range(3):
        one = _spin_in_processes(1, seconds)
        ratios.append(_spin_in_processes(threads, seconds) / max(one, 1))
    return statistics.median(ratios)


# --- Numbers --------------------------------------------------------------------------------------------------------


def spread(values):
    """Median, extremes and number of some values."""
    values = [value for value in values if value is not None]
    if not values:
        return None
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "count": len(values)}


def shown(value):
    """A number with three or four significant digits."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def line(cells, widths):
    """One line of a table: the first columns of text to the left, the others to the right."""
    parts = [cell.ljust(width) if column < 3 else cell.rjust(width)
             for column, (cell, width) in enumerate(zip(cells, widths))]
    return "  ".join(parts).rstrip()


def table(headings, rows):
    """Aligned lines, each column as wide as its widest cell."""
    cells = [headings] + rows
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    return "\n".join(line(row, widths) for row in cells)


def machine(threads):
    """What the numbers were measured on."""
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    memory = re.search(r"MemTotal:\s*(\d+)", open("/proc/meminfo").read())
    return {
        "cpu": cpu.group(1) if cpu else platform.machine(), "cores": len(os.sched_getaffinity(0)), "threads": threads,
        "memory_bytes": int(memory.group(1)) * 1024 if memory else None, "kernel": platform.release(),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "load": os.getloadavg()[0],
    }
