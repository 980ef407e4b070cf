import AngelCore
import AngelData
import AngelNN
import AngelTensor

/// How rows, gradients, states and parameters of a step lie on processes: the seam between a trainer and the others.
///
/// A trainer runs the passes that it is given, hands every gradient over as it becomes final, updates what it owns and
/// publishes it. Every process does the same in the same order; numbers that decide anything are the same on all.
protocol StepLayout: AnyObject {
  /// What this process's optimizer changes: parameters, or its shares of them under the parameters' paths.
  var owned: [(path: String, parameter: Parameter)] { get }
  /// Whether this process is the one that writes and prints.
  var isFirst: Bool { get }

  /// Whether layers have to be computed again in the backward pass.
  var needsRecomputation: Bool { get }
  /// Seconds since the step began in which passes and updates stood still for gradients and parameters to be sent.
  var waitedSeconds: Double { get }

  /// This process's part of a step.
  func passes(of batches: [TokenBatch]) -> [StepPass]
  /// Begins a step, counted from 1.
  func begin(step: Int)
  /// Takes the gradient of parameter number `index` in one pass; every process comes to them in the same order.
  func take(_ gradient: Tensor, of index: Int, isLastPass: Bool)
  /// Says that all gradients of a pass have been handed over.
  func endPass()
  /// The gradients of what is owned, in the order of the parameters, those of all processes together.
  func finish() throws -> [Trainer.NamedGradient]
  /// The norm of all gradients together, on every process.
  func norm(of gradients: [Trainer.NamedGradient]) throws -> Double
  /// Lets the others have what this process has changed.
  func publish() throws

  /// What every process says of each of its passes, in the order of the batches; each as many numbers.
  func gathered(_ numbers: [[Double]]) throws -> [[Double]]
  /// Numbers about what is owned, summed over the owners.
  func summed(_ numbers: [Double]) throws -> [Double]
  /// Whether it is so for any process.
  func anyone(_ flag: Bool) throws -> Bool

  /// The bytes of a checkpoint's tensor that this process holds.
  func ownBytes(of value: StoredValue) -> Range<Int>
  /// The whole of a checkpoint's tensor; for the first process, inside `lead`.
  func whole(_ value: StoredValue) throws -> Tensor
  /// Runs `body` on the first process, while the others give it what it asks for of `values` and of parameters; nil elsewhere.
  func lead<Result>(_ values: [StoredValue], _ body: () throws -> Result) throws -> Result?
}

/// A part of a step: rows that go through the model at once.
struct StepPass {
  let batch: TokenBatch
  /// Whether its rows are part of the step; other processes may have had the last of them, and this one only keeps pace.
  var counts = true
}

/// A tensor of a checkpoint: what it is by itself, and what this process holds of it.
struct StoredValue {
  let name: String
  /// The number of the parameter that it belongs to, and whether it is that parameter itself.
  let index: Int
  let isParameter: Bool
  let shape: Shape
  let dtype: DType
  /// What this process holds; nil where that is nothing.
  let own: () -> Tensor?
  /// Replaces what this process holds.
  let restore: (UnsafeRawBufferPointer) -> Void

  var byteCount: Int { dtype.byteCount(of: shape.elementCount) }
}
