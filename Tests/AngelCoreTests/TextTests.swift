import Synchronization
import Testing

@testable import AngelCore

@Suite("Text for people")
struct TextTests {
  @Test(
    "byte counts are binary, with one decimal",
    arguments: [
      (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (368_640, "360.0 KiB"), (1_048_524, "1023.9 KiB"),
      (1_048_575, "1.0 MiB"), (101_292_442, "96.6 MiB"), (1_288_490_189, "1.2 GiB"), (-2048, "-2.0 KiB"),
      (1 << 40, "1.0 TiB"), (Int.max, "8.0 EiB"), (Int.min, "-8.0 EiB"),
    ])
  func bytes(count: Int, text: String) { #expect(TextFormat.bytes(count) == text) }

  @Test(
    "counts have their thousands set apart, parameters their unit",
    arguments: [
      (0, "0", "0"), (999, "999", "999"), (1000, "1,000", "1,000"), (-123_456, "-123,456", "-123,456"),
      (134_515_008, "134,515,008", "134.5 M"), (1_235_814_400, "1,235,814,400", "1.2 B"),
    ])
  func counts(value: Int, count: String, parameters: String) {
    #expect(TextFormat.count(value) == count && TextFormat.parameters(value) == parameters)
  }

  @Test(
    "durations read well",
    arguments: [(0, "0:00"), (7.4, "0:07"), (754, "12:34"), (3723, "1:02:03"), (.infinity, "-:--")])
  func duration(seconds: Double, text: String) { #expect(TextFormat.duration(seconds: seconds) == text) }

  @Test(
    "numbers keep their digits",
    arguments: [(0.05, 1, "0.1"), (-1.25, 2, "-1.25"), (12, 0, "12"), (0.004, 2, "0.00"), (-0.001, 1, "0.0")])
  func fixed(value: Double, digits: Int, text: String) { #expect(TextFormat.fixed(value, digits: digits) == text) }

  @Test(
    "words for a shell are quoted where they must be",
    arguments: [
      ("runs/keeper-1.gguf", "runs/keeper-1.gguf"), ("", "''"), ("my models/a", "'my models/a'"),
      ("it's $HOME", #"'it'\''s $HOME'"#), ("*", "'*'"), ("größe", "'größe'"),
    ])
  func shellWords(text: String, expected: String) { #expect(TextFormat.shellWord(text) == expected) }

  @Test("a table lines up text to the left and numbers to the right, wide characters counted as two")
  func table() {
    var table = Table([("NAME", .left), ("SIZE", .right)])
    table.append(["模型", "7"])
    table.append(["longer", "1234"])
    #expect(table.lines == ["NAME    SIZE", "模型       7", "longer  1234"])
  }

  @Test("the nearest names are found, far ones are not")
  func suggestions() {
    let names = ["models", "pull", "perplexity", "help"]
    #expect(Suggestion.nearest(to: "modles", among: names) == ["models"])
    #expect(Suggestion.nearest(to: "perp", among: names) == ["perplexity"])
    #expect(Suggestion.nearest(to: "zzz", among: names).isEmpty)
    #expect(Suggestion.question(for: "hepl", among: names) == "; did you mean 'help'?")
    #expect(Suggestion.editDistance(Array("kitten".unicodeScalars), Array("sitting".unicodeScalars)) == 3)
  }
}

@Suite("Progress")
struct ProgressTests {
  /// A clock set by hand, and what was written.
  private final class Recorder: Sendable {
    let time = Mutex(0.0)
    let text = Mutex("")

    func reporter(_ style: ProgressReporter.Style) -> ProgressReporter {
      ProgressReporter(
        style: style, write: { piece in self.text.withLock { $0 += piece } }, now: { self.time.withLock { $0 } })
    }
    func advance(_ seconds: Double) { time.withLock { $0 += seconds } }
    var written: String { text.withLock { $0 } }
  }

  @Test("plain lines come every few seconds with rate and time left")
  func lines() {
    let recorder = Recorder()
    let display = recorder.reporter(.lines).start("model", total: 100 << 20)
    for _ in 0..<10 {
      recorder.advance(1)
      display.advance(by: 5 << 20)
    }
    display.finish()
    let lines = recorder.written.split(separator: "\n")
    #expect(lines.first == "model: 25.0 MiB of 100.0 MiB (25 %), 5.0 MiB/s, 0:15 left")
    #expect(lines.count == 3)
  }

  @Test("short work says nothing in a log")
  func short() {
    let recorder = Recorder()
    let display = recorder.reporter(.lines).start("model", total: 10)
    display.advance(by: 10)
    display.finish()
    #expect(recorder.written.isEmpty)
  }

  @Test("JSON lines are objects")
  func json() throws {
    let recorder = Recorder()
    let display = recorder.reporter(.json).start("model", total: nil)
    recorder.advance(2)
    display.update(to: 5, total: 10)
    #expect(recorder.written == "{\"progress\":\"model\",\"completed\":5,\"total\":10,\"seconds\":2}\n")
  }

  @Test("a bar never reaches the terminal's last column", arguments: [0, 1, 20, 40, 60, 80, 200])
  func bar(width: Int) {
    let display = Recorder().reporter(.silent).start("smollm2", total: 100)
    for completed in [0, 50, 100, 150] {
      #expect(DisplayWidth.of(display.bar(completed, of: 100, elapsed: 1, width: width)) <= max(0, width - 1))
    }
    #expect(display.bar(50, of: 100, elapsed: 5, width: 80).contains(" 50 %  50 B of 100 B  10 B/s  0:05"))
  }

  @Test("an abandoned bar clears its line")
  func abandoned() {
    let recorder = Recorder()
    let display = recorder.reporter(.bar(descriptor: -1)).start("m", total: 10)
    recorder.advance(1)
    display.advance(by: 1)
    display.abandon()
    #expect(recorder.written.hasSuffix("\r\u{1B}[K"))
  }
}
