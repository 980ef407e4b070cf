import AngelTesting
import Testing

@testable import AngelPTM

@Suite("Reports") struct ReportTests {
  @Test("schedules rise, stay and fall where they say")
  func schedules() {
    var schedule = LearningRateSchedule()
    schedule.warmup = 4
    schedule.finalRatio = 0.1
    #expect((0..<4).map { schedule.ratio(at: $0, of: 104) } == [0.2, 0.4, 0.6, 0.8])
    #expect(schedule.ratio(at: 4, of: 104) == 1)
    #expect(abs(schedule.ratio(at: 54, of: 104) - 0.55) < 1e-12)
    #expect(abs(schedule.ratio(at: 104, of: 104) - 0.1) < 1e-12)
    schedule.shape = .linear
    #expect(abs(schedule.ratio(at: 54, of: 104) - 0.55) < 1e-12)
    schedule.shape = .wsd
    schedule.decayRatio = 0.2
    #expect(schedule.ratio(at: 83, of: 104) == 1)
    #expect(abs(schedule.ratio(at: 94, of: 104) - 0.55) < 1e-12)
    schedule.shape = .constant
    #expect(schedule.ratio(at: 104, of: 104) == 1)
  }

  @Test("CRC-32C of the usual check text")
  func checksum() { #expect(CRC32C.of(Array("123456789".utf8)) == 0xE306_9283) }

  @Test("an event file holds framed messages with their checksums")
  func events() throws {
    let folder = try TemporaryFolder()
    do {
      let file = try TensorBoardFile(folder: folder("tb"), now: 1)
      try file.write(step: 300, seconds: 2, [("a", 0.5)])
    }
    let name = try #require(folder.files(below: "tb").first)
    let bytes = try TemporaryFolder.read(folder(name))
    var (position, messages) = (0, [[UInt8]]())
    while position < bytes.count {
      let length = Int(bytes[position])
      messages.append(Array(bytes[(position + 12)..<(position + 12 + length)]))
      position += 16 + length
    }
    #expect(position == bytes.count && messages.count == 2)
    #expect(Array(messages[0].suffix(15)) == [26, 13] + Array("brain.Event:2".utf8))
    // Step 300 as field 2, then a summary with one value: tag "a", 0.5.
    #expect(Array(messages[1].dropFirst(9)) == [16, 172, 2, 42, 10, 10, 8, 10, 1, 97, 21, 0, 0, 0, 63])
  }

  @Test("an event file of a resumed run says from which step on others are void")
  func resumedEvents() throws {
    let folder = try TemporaryFolder()
    do { _ = try TensorBoardFile(folder: folder("tb"), now: 1, resumingAfter: 4) }
    let bytes = try TemporaryFolder.read(folder(try #require(folder.files(below: "tb").first)))
    // Field 1 takes 9 bytes; then step 5 as field 2, and as field 7 a message whose field 1 is START, 1.
    #expect(Array(bytes.dropLast(4).suffix(6)) == [16, 5, 58, 2, 8, 1])
  }

  @Test("a plot has a line for each series, axes and escaped names")
  func plot() {
    let svg = CurvePlot(
      title: "a<b",
      series: [
        .init(name: "one", color: "red", points: (0..<3000).map { (Double($0), 1 / Double($0 + 1)) }),
        .init(name: "two", color: "blue", points: [(5, 0.5), (6, .nan)], hasDots: true),
      ]
    ).svg
    #expect(svg.components("<polyline") == 2 && svg.components("<circle") == 1)
    #expect(svg.contains("a&lt;b") && svg.contains(">1000</text>"))
  }
}

extension String {
  fileprivate func components(_ text: String) -> Int { ranges(of: text).count }
}
