import AngelMemory
import AngelNN
import AngelText
import Synchronization

@testable import AngelHCF

/// Stands in for a model: it remembers which token was stored where, and its logits are a function of all that a row
/// sees through its block table. A wrong, shared or reused block changes answers.
final class FakeRunner: BatchRunner {
  static let vocabularySize = 32
  let scaling: RotaryScaling
  /// For each table of blocks, how many positions a row sees through it; 0 for all.
  let windows: [Int]
  private var contents: [Int64: [UInt64]] = [:]
  private(set) var rowsOfSteps: [Int] = []
  /// After this token the logits are not numbers.
  var damagedToken: Int32?

  init(scaling: RotaryScaling = .none, windows: [Int] = [0]) {
    self.scaling = scaling
    self.windows = windows
  }

  /// What the cache holds of a token, with the frequencies it was rotated by.
  static func cell(_ token: Int32, rotaryClass: Int, adapter: Int32 = -1) -> UInt64 {
    UInt64(token) + UInt64(rotaryClass) << 32 + UInt64(adapter + 1) << 40
  }

  /// The logits after a row that sees these cells.
  static func logits(after cells: some Sequence<UInt64>) -> [Float] {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for cell in cells { hash = (hash ^ cell) &* 0x0100_0000_01B3 }
    return (0..<vocabularySize).map { Float((hash &>> UInt64($0)) & 1023) / 128 }
  }

  func run(_ slices: [SequenceSlice], sequenceLength: Int, uses: BatchUse) throws -> any BatchRows {
    let rotaryClass = scaling.lengthClass(sequenceLength)
    for slice in slices {
      for (index, token) in slice.tokens.enumerated() {
        let (block, place) = (slice.start + index).quotientAndRemainder(dividingBy: 16)
        for table in slice.blocks {
          contents[table[block], default: Array(repeating: .max, count: 16)][place] =
            Self.cell(token, rotaryClass: rotaryClass, adapter: slice.adapter)
        }
      }
    }
    let rows = slices.flatMap { slice in slice.tokens.indices.map { (slice, slice.start + $0) } }
    rowsOfSteps.append(rows.count)
    return Rows(rows: rows, contents: contents, windows: windows, damagedToken: damagedToken)
  }

  func forgetRecorded() {}

  private struct Rows: BatchRows {
    let rows: [(SequenceSlice, Int)]
    let contents: [Int64: [UInt64]]
    let windows: [Int]
    let damagedToken: Int32?

    private func cells(_ row: Int) -> some Sequence<UInt64> {
      let (slice, position) = rows[row]
      return zip(slice.blocks, windows).flatMap { table, window in
        let first = window > 0 ? max(0, position - window + 1) : 0
        return table.dropFirst(first / 16).lazy.flatMap { contents[$0] ?? [] }
          .dropFirst(first % 16).prefix(position + 1 - first)
      }
    }

    func forEachLogits(after rows: [Range<Int>], _ visit: @Sendable (Int, UnsafeBufferPointer<Float>) -> Void) throws {
      for (index, row) in rows.enumerated().flatMap({ index, rows in rows.map { (index, $0) } }) {
        let (slice, position) = self.rows[row]
        let isDamaged = slice.tokens[position - slice.start] == damagedToken
        let logits = FakeRunner.logits(after: cells(row)).map { isDamaged ? .nan : $0 }
        logits.withUnsafeBufferPointer { visit(index, $0) }
      }
    }

    func hiddenState(of row: Int) throws -> [Float] { FakeRunner.logits(after: cells(row)) }
  }
}

/// A serving loop over a fake model.
struct FakeEngine {
  let loop: ServingLoop
  let runner: FakeRunner
  let pool: BlockPool
  private var nextID: UInt64 = 1

  init(
    blocks: Int, limits: SchedulerLimits, contextLength: Int, scaling: RotaryScaling = .none,
    windows: [Int] = [0], pages: Int? = nil, sharesPrefixes: Bool = true, guessCount: Int? = nil
  ) throws {
    // With a number of pages, two blocks fill one.
    pool = BlockPool(
      pool: try PagePool(budget: pages.map { $0 * Page.byteCount } ?? 8 << 20),
      blockByteCount: pages == nil ? 64 : Page.byteCount / 2, limit: blocks)
    runner = FakeRunner(scaling: scaling, windows: windows)
    var settings = ServingLoop.Settings(contextLength: contextLength, vocabularySize: FakeRunner.vocabularySize)
    settings.limits = limits
    settings.rotaryScaling = scaling
    settings.limits.windows = CacheWindows(
      wide: windows[0], local: windows.dropFirst().max() ?? 0, localCount: windows.count - 1)
    settings.sharesPrefixes = sharesPrefixes
    settings.guessing = guessCount.map { .always($0) } ?? .off
    loop = ServingLoop(settings, pool: pool, runner: runner)
  }

  /// Submits a request; its number.
  mutating func submit(_ request: ServingRequest, onEvent: @escaping @Sendable (ServingEvent) -> Void) throws -> UInt64
  {
    try loop.submit(request, id: nextID, onEvent: onEvent)
    defer { nextID += 1 }
    return nextID
  }

  mutating func submit(embedding tokens: [Int32], onResult: @escaping @Sendable (Result<[Float], any Error>) -> Void) {
    loop.submit(
      Submission(
        id: nextID, prompt: tokens, queuedTokens: 0, begin: .now, content: .embedding(onResult: onResult), sampler: nil)
    )
    nextID += 1
  }

  /// The blocks of every sequence.
  var users: [SequenceBlocks] { (loop.running + loop.waiting).map(\.blocks) }

  /// Steps until nothing is left to do; false when that takes more than `limit`.
  func finish(limit: Int = 100_000) -> Bool {
    for _ in 0..<limit {
      if loop.isIdle { return true }
      loop.runStep()
    }
    return loop.isIdle
  }

  /// The answers to a request that runs alone, without cache, batch or interruption.
  static func expected(
    _ request: ServingRequest, contextLength: Int, scaling: RotaryScaling = .none,
    windows: [Int] = [0]
  ) throws -> [[Int32]] {
    try (0..<request.answerCount).map { answer in
      var sampler = try Sampler(
        parameters: request.sampling, promptTokens: request.prompt.lazy.map(Int.init),
        vocabularySize: FakeRunner.vocabularySize, stream: UInt64(answer))
      let promptClass = scaling.lengthClass(request.prompt.count)
      var cells = request.prompt.map { FakeRunner.cell($0, rotaryClass: promptClass) }
      var tokens: [Int32] = []
      let room = contextLength - request.prompt.count
      while tokens.count < min(request.sampling.maxTokens ?? room, room) {
        let logits = FakeRunner.logits(after: windows.flatMap { $0 > 0 ? cells.suffix($0) : cells[...] })
        let token = try logits.withUnsafeBufferPointer { try sampler.sample($0, step: tokens.count).token }
        tokens.append(Int32(token))
        cells.append(FakeRunner.cell(Int32(token), rotaryClass: scaling.lengthClass(cells.count + 1)))
      }
      return tokens
    }
  }
}

/// The events of a request, as they came.
final class EventLog: Sendable {
  private let events = Mutex<[ServingEvent]>([])

  func add(_ event: ServingEvent) { events.withLock { $0.append(event) } }
  var all: [ServingEvent] { events.withLock { $0 } }

  /// The tokens of an answer.
  func tokens(of answer: Int = 0) -> [Int32] { sampled(of: answer).map { Int32($0.token) } }

  func sampled(of answer: Int = 0) -> [SampledToken] {
    all.flatMap { event -> [SampledToken] in
      if case .piece(let piece) = event, piece.answer == answer { piece.tokens } else { [] }
    }
  }

  func text(of answer: Int = 0) -> String {
    all.map { event in if case .piece(let piece) = event, piece.answer == answer { piece.text } else { "" } }.joined()
  }

  /// How often the request ended, which is once.
  var endCount: Int {
    all.count { event in
      switch event {
      case .done, .failed: true
      case .prompt, .piece, .finished: false
      }
    }
  }

  var usage: ServingUsage? {
    if case .done(let usage) = all.last { usage } else { nil }
  }

  var failure: (any Error)? {
    if case .failed(let error) = all.last { error } else { nil }
  }

  /// Why each answer finished.
  var reasons: [Int: FinishReason] {
    var reasons: [Int: FinishReason] = [:]
    for case .finished(let answer, let reason, _) in all { reasons[answer] = reason }
    return reasons
  }
}
