import Synchronization
import Testing

@testable import AngelCore

@Suite("Text for people")
struct TextTests {
  @Test(
    "byte counts read well",
    arguments: [
      (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (98_362_432, "98.4 MB"), (999_950, "1.0 MB"), (Int.max, "9.2 EB"),
    ])
  func bytes(count: Int, text: String) { #expect(TextFormat.bytes(count) == text) }

  @Test(
    "durations read well",
    arguments: [(0, "0:00"), (7.4, "0:07"), (754, "12:34"), (3723, "1:02:03"), (.infinity, "-:--")])
  func duration(seconds: Double, text: String) { #expect(TextFormat.duration(seconds: seconds) == text) }

  @Test(
    "numbers keep their digits",
    arguments: [(0.05, 1, "0.1"), (-1.25, 2, "-1.25"), (12, 0, "12"), (0.004, 2, "0.00"), (-0.001, 1, "0.0")])
  func fixed(value: Double, digits: Int, text: String) { #expect(TextFormat.fixed(value, digits: digits) == text) }

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
    let display = recorder.reporter(.lines).start("model", total: 100_000_000)
    for _ in 0..<10 {
      recorder.advance(1)
      display.advance(by: 5_000_000)
    }
    display.finish()
    let lines = recorder.written.split(separator: "\n")
    #expect(lines.first == "model: 25.0 MB of 100.0 MB (25 %), 5.0 MB/s, 0:15 left")
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
