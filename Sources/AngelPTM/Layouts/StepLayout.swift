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
  /// Those that share the model's layers out; nil where this process's model is whole.
  var peers: (any LayerPeers)? { get }
  /// Whether this process is the one that writes and prints.
  var isFirst: Bool { get }

  /// Whether layers have to be computed again in the backward pass.
  var needsRecomputation: Bool { get }
  /// Seconds since the step began in which passes and updates stood still for gradients and parameters to be sent.
  var waitedSeconds: Double { get }
  /// Seconds of processor time since the step began that sending took beside passes and updates.
  var takenSeconds: Double { get }
  /// When what was sent in the step so far could go and was missed; nil where all of it stands in the way by nature.
  var schedule: StepSchedule? { get }

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
  /// Says that this process has changed what it owns under `path`; those come in the order of `finish`.
  func changed(_ path: String)
  /// Lets the others have what this process has changed.
  func publish() throws

  /// What every process says of each of its passes, in the order of the batches; each as many numbers.
  func gathered(_ numbers: [[Double]]) throws -> [[Double]]
  /// How many processes change the same values of what is owned under `path`.
  func changerCount(of path: String) -> Int
  /// Numbers about what is owned, each process's share of them, summed.
  func summed(_ numbers: [Double]) throws -> [Double]
  /// Whether it is so for any process.
  func anyone(_ flag: Bool) throws -> Bool

  /// The shape of a checkpoint's tensor as a whole.
  func shape(of value: StoredValue) -> Shape
  /// Replaces what this process holds of a checkpoint's tensor, given the bytes of all of it.
  func restore(_ value: StoredValue, from bytes: UnsafeRawBufferPointer)
  /// The whole of a checkpoint's tensor; for the first process, inside `lead`.
  func whole(_ value: StoredValue) throws -> Tensor
  /// Runs `body` on the first process, while the others give it what it asks for of `values` and of parameters; nil elsewhere.
  func lead<Result>(_ values: [StoredValue], _ body: () throws -> Result) throws -> Result?
}

extension StepLayout {
  var peers: (any LayerPeers)? { nil }
  var takenSeconds: Double { 0 }
  var schedule: StepSchedule? { nil }
  func changed(_ path: String) {}
  func shape(of value: StoredValue) -> Shape { value.shape }
  func changerCount(of path: String) -> Int { 1 }
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
