import AngelModels
import AngelTensor
import Synchronization

/// What the serving loop needs of a model: rows in, logits and hidden states out.
protocol BatchRunner: AnyObject {
  /// Runs the rows of several sequences as one step. What it returns is good until the next step.
  ///
  /// - Parameters:
  ///   - sequenceLength: of any of the sequences; all must have the same rotary frequencies.
  ///   - uses: what will be asked for.
  func run(_ slices: [SequenceSlice], sequenceLength: Int, uses: BatchUse) throws -> any BatchRows
  /// Says that the model has more to do from now on than in steps before.
  func forgetRecorded()
}

/// What is wanted of a step's rows.
enum BatchUse {
  /// The logits of few of them, or of all, as where every sequence decodes.
  case someLogits
  case allLogits
  /// Hidden states, and the logits of some.
  case hiddenStates
}

/// What a step made of its rows, slices laid end to end.
protocol BatchRows {
  /// Calls `visit` with i and the logits after each of the rows `rows[i]`, which come one after the other; those of different i
  /// several at a time on several threads. Returns when all were.
  func forEachLogits(after rows: [Range<Int>], _ visit: @Sendable (Int, UnsafeBufferPointer<Float>) -> Void) throws
  /// The final hidden state of a row.
  func hiddenState(of row: Int) throws -> [Float]
}

/// Runs batches on a model.
final class ModelBatchRunner: BatchRunner {
  private let runner: StepRunner
  private let backend: any Backend
  private let uniformLength: Int
  /// The most rows whose logits exist at a time.
  private let logitRows: Int

  init(_ runner: StepRunner, logitRows: Int, on backend: any Backend) {
    self.runner = runner
    self.backend = backend
    self.logitRows = logitRows
    uniformLength = runner.model.configuration.rotaryScaling.uniformLength
  }

  func run(_ slices: [SequenceSlice], sequenceLength: Int, uses: BatchUse) throws -> any BatchRows {
    if uses == .allLogits, sequenceLength <= uniformLength, !runner.hasChoices(slices) {
      return Rows(logits: try runner.decode(slices))
    }
    let hidden = runner.hidden(of: slices, sequenceLength: sequenceLength)
    try backend.synchronize()
    return PromptRows(hidden: hidden, model: runner.model, logitRows: logitRows)
  }

  func forgetRecorded() { runner.forgetRecorded() }

  /// Rows whose logits are there.
  private struct Rows: BatchRows {
    let logits: Tensor

    func forEachLogits(after rows: [Range<Int>], _ visit: @Sendable (Int, UnsafeBufferPointer<Float>) -> Void) throws {
      try logits.forEachRow(rows, visit)
    }

    func hiddenState(of row: Int) throws -> [Float] { preconditionFailure("a step without hidden states") }
  }

  /// Rows of which few need logits.
  private struct PromptRows: BatchRows {
    let hidden: Tensor
    let model: any LanguageModel
    let logitRows: Int

    func forEachLogits(after rows: [Range<Int>], _ visit: @Sendable (Int, UnsafeBufferPointer<Float>) -> Void) throws {
      for start in stride(from: 0, to: rows.count, by: logitRows) {
        let some = rows[start..<min(start + logitRows, rows.count)]
        precondition(some.allSatisfy { $0.count == 1 }, "guesses beside prompts")
        let logits = model.logits(of: hidden.rows(Tensor(some.map { Int32($0.lowerBound) }, on: hidden.backend)))
        try logits.forEachRow(some.indices.map { ($0 - start)..<($0 - start + 1) }) { visit(start + $0, $1) }
      }
    }

    func hiddenState(of row: Int) throws -> [Float] { try hidden.prefix(row..<(row + 1)).read() }
  }
}

extension Tensor {
  /// Calls `visit` with i and the values of each of the rows `rows[i]`, those of different i on several threads.
  fileprivate func forEachRow(_ rows: [Range<Int>], _ visit: @Sendable (Int, UnsafeBufferPointer<Float>) -> Void) throws
  {
    try backend.synchronize()
    let failure = Mutex<(any Error)?>(nil)
    backend.perform(rows.count) { index in
      do {
        for row in rows[index] {
          try prefix(row..<(row + 1)).withHostBytes { visit(index, $0.assumingMemoryBound(to: Float.self)) }
        }
      } catch { failure.withLock { if $0 == nil { $0 = error } } }
    }
    if let failure = failure.withLock({ $0 }) { throw failure }
  }
}
