import AngelCheckpoint
import AngelCore
import AngelText

/// `angel bench tokenizer`: how long a tokenizer takes to be ready, and how much text it encodes and decodes in a second.
enum BenchTokenizer {
  /// What the runs found.
  private struct Report {
    let openSeconds: Double
    let readySeconds: Double
    let byteCount: Int
    let tokenCount: Int
    let encodeSeconds: Double
    let decodeSeconds: Double

    /// Megabytes of text per second of CPU time, which on one thread is a core's.
    func speed(_ seconds: Double) -> Double { seconds > 0 ? Double(byteCount) / seconds / 1e6 : 0 }
  }

  /// Bytes of text in a run.
  private static let byteCount = 1_000_000

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    guard let model = arguments.positional(1) else { throw UsageError("MODEL is missing", command: BenchCommand.name) }
    if let extra = arguments.positional(2) {
      throw UsageError("unexpected argument '\(extra)'", command: BenchCommand.name)
    }
    let report = try measure(model, repetitions: arguments[BenchInference.repetitions], context)
    if context.printsJSON {
      return try context.print([
        "model": .string(model), "open_ms": .number(report.openSeconds * 1e3),
        "ready_ms": .number(report.readySeconds * 1e3), "bytes": .integer(report.byteCount),
        "tokens": .integer(report.tokenCount), "encode_mb_per_cpu_second": .number(report.speed(report.encodeSeconds)),
        "decode_mb_per_cpu_second": .number(report.speed(report.decodeSeconds)),
      ])
    }
    var table = Table([("OPEN", .right), ("READY", .right), ("ENCODE", .right), ("DECODE", .right)])
    func short(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
    table.append([
      short(report.openSeconds * 1e3) + " ms", short(report.readySeconds * 1e3) + " ms",
      short(report.speed(report.encodeSeconds)) + " MB/CPU-s",
      short(report.speed(report.decodeSeconds)) + " MB/CPU-s",
    ])
    try context.output.line(table.lines.joined(separator: "\n"))
  }

  /// Starts and runs in CPU time, medians of `repetitions` after one that warms up.
  private static func measure(_ model: String, repetitions: Int, _ context: CommandContext) throws -> Report {
    let text = MixedText(byteCount: byteCount).bytes
    var (opens, readies, encodes, decodes): ([Double], [Double], [Double], [Double]) = ([], [], [], [])
    var tokenCount = 0
    for run in 0...repetitions {
      try context.interruption.check()
      let start = BenchCommand.cpuSeconds()
      let checkpoint = try context.openCheckpoint(model)
      let opened = BenchCommand.cpuSeconds()
      let tokenizer = try Tokenizer(checkpoint.tokenizer())
      let ready = BenchCommand.cpuSeconds()
      let tokens = try tokenizer.encode(text, addingSpecialTokens: false, parsingSpecialTokens: false)
      let encoded = BenchCommand.cpuSeconds()
      _ = try tokenizer.decode(tokens, skippingSpecialTokens: false)
      let decoded = BenchCommand.cpuSeconds()
      tokenCount = tokens.count
      guard run > 0 else { continue }
      opens.append(opened - start)
      readies.append(ready - opened)
      encodes.append(encoded - ready)
      decodes.append(decoded - encoded)
    }
    return Report(
      openSeconds: opens.median, readySeconds: readies.median, byteCount: text.count, tokenCount: tokenCount,
      encodeSeconds: encodes.median, decodeSeconds: decodes.median)
  }
}

/// The same numbers on every run.
private struct Draws: RandomNumberGenerator {
  private let source = PhiloxGenerator(seed: 7)
  private var position: UInt64 = 0

  mutating func next() -> UInt64 {
    defer { position += 1 }
    let words = source.block(at: position)
    return UInt64(words[0]) << 32 | UInt64(words[1])
  }
}

/// Text of many kinds, the same on every run: prose of words with the frequencies of language, code, JSON, other scripts.
private struct MixedText {
  private(set) var bytes: [UInt8] = []
  private var random: Draws
  private let words: [String]

  init(byteCount: Int) {
    var generator = Draws()
    words = (0..<20_000).map { _ in Self.word(&generator) }
    random = generator
    bytes.reserveCapacity(byteCount + 400)
    while bytes.count < byteCount { bytes += line().utf8 }
  }

  private mutating func line() -> String {
    switch Int.random(in: 0..<10, using: &random) {
    case 0: "for (let \(any()) = 0; \(any()) < \(number()); ++i) { \(any())[i] += \(any())(x, \"\(any())\"); }\n"
    case 1: "{\"id\": \(number()), \"\(any())\": [\(number()), \(number()).\(number()), null], \"ok\": true}\n"
    case 2: "\(run(0x4E00..<0x6E00, 18))，\(run(0x4E00..<0x6E00, 12))。\(run(0x3042..<0x3094, 9))\n"
    case 3: "\(run(0x430..<0x450, 7)) \(run(0x430..<0x450, 9)) \(run(0x5D0..<0x5EB, 5)) \(run(0x905..<0x93A, 6))!\n"
    default: prose()
    }
  }

  private mutating func prose() -> String {
    let count = Int.random(in: 8..<24, using: &random)
    return (0..<count).map { _ in any() }.joined(separator: " ").capitalizedFirst + ", it's \(number()) %.\n"
  }

  /// Zipf's law, roughly: the cube of a uniform number prefers the first words.
  private mutating func any() -> String {
    let share = Double.random(in: 0..<1, using: &random)
    return words[Int(share * share * share * Double(words.count))]
  }

  private mutating func number() -> Int { Int.random(in: 0..<100_000, using: &random) }

  private mutating func run(_ range: Range<UInt32>, _ count: Int) -> String {
    var result = ""
    for _ in 0..<count {
      if let scalar = Unicode.Scalar(UInt32.random(in: range, using: &random)) { result.unicodeScalars.append(scalar) }
    }
    return result
  }

  private static func word(_ random: inout Draws) -> String {
    let (consonants, vowels) = (Array("tnshrdlcmwfgypbvk"), Array("eaoiu"))
    return (0..<Int.random(in: 1..<5, using: &random)).map { _ in
      String([consonants.randomElement(using: &random) ?? "t", vowels.randomElement(using: &random) ?? "e"])
        + (Bool.random(using: &random) ? String(consonants.randomElement(using: &random) ?? "n") : "")
    }.joined()
  }
}

extension String {
  fileprivate var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }
}
