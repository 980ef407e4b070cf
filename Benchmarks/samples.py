"""Samples of one comparison, kept in a file as they are measured, and the rows of a table made from them."""
import json

from harness import BenchmarkError, spread

ANGEL = "angel"
# What a sample measures. speed and ready are bracketed by checks whether the machine is quiet; cpu is a rival's speed with
# a clock that counts CPU time.
MEASURES = ("speed", "ready", "cpu", "bandwidth", "perplexity")


class Samples:
    """All samples of some calls: a file of JSON lines, one for each call's machine and one for each sample."""

    def __init__(self, path=None):
        self.path, self.machines, self.samples = path, [], []
        if path and path.exists():
            for number, line in enumerate(path.read_text().splitlines(), 1):
                try:
                    self._take(json.loads(line))
                except (ValueError, KeyError, TypeError):
                    raise BenchmarkError(f"'{path}' line {number} is no sample: mend or remove the file") from None

    def _take(self, value):
        if "machine" in value:
            self.machines.append(value["machine"])
        else:
            value["subject"], value["test"], value["engine"], value["value"], value["round"]
            if value["measure"] not in MEASURES:
                raise ValueError(value["measure"])
            self.samples.append(value)

    def add(self, value):
        """Keeps a sample, or a {"machine": ...}; on disk at once."""
        self._take(value)
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a") as file:
                file.write(json.dumps(value) + "\n")

    def select(self, **wanted):
        return [sample for sample in self.samples if all(sample.get(key) == value for key, value in wanted.items())]

    def kept(self, **wanted):
        return self.select(kept=True, **wanted)

    def engines(self):
        names = list(dict.fromkeys(sample["engine"] for sample in self.samples))
        return sorted(names, key=lambda name: name != ANGEL)

    def pairs(self, subject, test, engine):
        """Kept values of angel and of another engine in the same rounds; of angel alone where it is that engine."""
        ours = {sample["round"]: sample["value"] for sample in self.kept(subject=subject, test=test, engine=ANGEL)
                if sample["measure"] in ("speed", "ready")}
        theirs = {sample["round"]: sample["value"] for sample in self.kept(subject=subject, test=test, engine=engine)
                  if sample["measure"] in ("speed", "ready")}
        return [(ours[key], theirs[key]) for key in ours if key in theirs]

    # --- Rows -------------------------------------------------------------------------------------------------------

    def rows(self, subject, test):
        """The rows of one test on one file: speed, the same per CPU-second, and what else its samples tell."""
        samples = self.select(subject=subject, test=test)
        measures = {sample["measure"] for sample in samples}
        rows = []
        if measures & {"speed", "ready"}:
            rows += self._timed_rows(subject, test, "ready" in measures)
        if "bandwidth" in measures:
            rows.append(self._row(subject, test, "%", "bandwidth"))
        if "perplexity" in measures:
            rows.append(self._row(subject, test, "", "perplexity"))
        # Which instruction set angel's kernels were chosen for; nothing where its samples do not say.
        sets = sorted({sample["instruction_set"] for sample in samples if sample.get("instruction_set")})
        for one in rows:
            one["instruction_set"] = " ".join(sets)
        return rows

    def _timed_rows(self, subject, test, is_ready):
        measure = "ready" if is_ready else "speed"
        names = self.engines()
        values = {name: spread([sample["value"] for sample in self.kept(
            subject=subject, test=test, engine=name, measure=measure)]) for name in names}
        ratios = {}
        for name in names:
            pairs = self.pairs(subject, test, name)
            if name != ANGEL and pairs:
                ratios[name] = spread([b / a if is_ready else a / b for a, b in pairs])
        dropped = {name: len([s for s in self.select(subject=subject, test=test, engine=name, measure=measure)
                              if not s["kept"]]) for name in names}
        rows = [row(subject, test, "s" if is_ready else "tokens/s", values, ratios, dropped)]
        cpu = {name: spread([sample["value"] for sample in self.select(
            subject=subject, test=test, engine=name, measure="cpu")]) for name in names}
        for name in names:
            if name == ANGEL or is_ready:
                cpu[name] = spread([sample.get("cpu") for sample in self.select(
                    subject=subject, test=test, engine=name, measure=measure)])
        rows.append(row(subject, test, "CPU-s" if is_ready else "tokens/CPU-s", cpu))
        if test.startswith("decode") and " at " not in test:
            peaks = {name: spread([sample["peak_bytes"] / 1e6 for sample in self.select(
                subject=subject, test=test, engine=name, measure=measure)]) for name in names}
            rows.append(row(subject, "peak memory", "MB", peaks))
        return rows

    def _row(self, subject, test, unit, measure):
        return row(subject, test, unit, {name: spread([sample["value"] for sample in self.select(
            subject=subject, test=test, engine=name, measure=measure)]) for name in self.engines()})

    def all_rows(self):
        """Every row, and for each engine its best 4-bit format, which need not be the same one."""
        rows = []
        for subject, test in dict.fromkeys((sample["subject"], sample["test"]) for sample in self.samples):
            rows += self.rows(subject, test)
        four_bits = [one for one in rows if one["subject"].startswith("Q4") and one["unit"] == "tokens/s"]
        for test in dict.fromkeys(one["test"] for one in four_bits):
            values = {}
            for one in four_bits:
                for name, value in one["values"].items() if one["test"] == test else ():
                    if value and value["median"] > (values.get(name) or {"median": 0})["median"]:
                        values[name] = {**value, "format": one["subject"]}
            rows.append(row("best 4-bit", test, "tokens/s", values))
        return rows


def row(subject, test, unit, values, ratios=None, dropped=None):
    """A row; where no paired ratios are given, those of the medians. Above 1: angel is better."""
    ours = (values.get(ANGEL) or {}).get("median")
    if ratios is None:
        ratios = {}
        for name, value in values.items():
            if name != ANGEL and value and ours:
                faster = unit.startswith("tokens")
                ratios[name] = {"median": ours / value["median"] if faster else value["median"] / ours}
    return {"subject": subject, "test": test, "unit": unit, "values": values, "ratios": ratios, "dropped": dropped or {}}
