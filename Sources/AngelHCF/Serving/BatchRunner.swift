import AngelModels
import AngelTensor
import Synchronization

/// What the serving loop needs of a model: rows in, logits and hidden states out.
protocol BatchRunner: AnyObject {
  /// Runs the rows of several sequences as one step. What it returns is good until the next step.
  ///
  /// - Parameters:
  ///   - sequenceLength: of any of the sequences; all must have the same rotary frequencies.
  ///   - givesHiddenStates: whether hidden states will be asked for.
  func run(_ slices: [SequenceSlice], sequenceLength: Int, givesHiddenStates: Bool) throws -> any BatchRows
  /// Says that the model has more to do from now on than in steps before.
  func forgetRecorded()
}

/// What a step made of its rows, slices laid end to end.
protocol BatchRows {
  /// Calls `visit` with i and the logits after row `rows[i]`, several at a time on several threads; returns when all
  /// were.
  func forEachLogits(after rows: [Int], _ visit: @Sendable (Int, UnsafeBufferPointer<Float>) -> Void) throws
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

  func run(_ slices: [SequenceSlice], sequenceLength: Int, givesHiddenStates: Bool) throws -> any BatchRows {
    if !givesHiddenStates, sequenceLength <= uniformLength, slices.allSatisfy({ $0.tokens.count == 1 }) {
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

    func forEachLogits(after rows: [Int], _ visit: @Sendable (Int, UnsafeBufferPointer<Float>) -> Void) throws {
      try logits.forEachRow(rows, visit)
    }

    func hiddenState(of row: Int) throws -> [Float] { preconditionFailure("a step without hidden states") }
  }

  /// Rows of which few need logits.
  private struct PromptRows: BatchRows {
    let hidden: Tensor
    let model: any LanguageModel
    let logitRows: Int

    func forEachLogits(after rows: [Int], _ visit: @Sendable (Int, UnsafeBufferPointer<Float>) -> Void) throws {
      for start in stride(from: 0, to: rows.count, by: logitRows) {
        let some = rows[start..<min(start + logitRows, rows.count)]
        let logits = model.logits(of: hidden.rows(Tensor(some.map { Int32($0) }, on: hidden.backend)))
        try logits.forEachRow(Array(0..<some.count)) { visit(start + $0, $1) }
      }
    }

    func hiddenState(of row: Int) throws -> [Float] { try hidden.prefix(row..<(row + 1)).read() }
  }
}

extension Tensor {
  /// Calls `visit` with i and the values of row `rows[i]`, several at a time on several threads.
  fileprivate func forEachRow(_ rows: [Int], _ visit: @Sendable (Int, UnsafeBufferPointer<Float>) -> Void) throws {
    try backend.synchronize()
    let failure = Mutex<(any Error)?>(nil)
    backend.perform(rows.count) { index in
      do {
        try prefix(rows[index]..<(rows[index] + 1)).withHostBytes {
          visit(index, $0.assumingMemoryBound(to: Float.self))
        }
      } catch { failure.withLock { if $0 == nil { $0 = error } } }
    }
    if let failure = failure.withLock({ $0 }) { throw failure }
  }
}
