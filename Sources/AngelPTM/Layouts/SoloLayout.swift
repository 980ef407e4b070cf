import AngelCore
import AngelData
import AngelNN
import AngelTensor

/// A step on one process.
final class SoloLayout: StepLayout {
  let owned: [(path: String, parameter: Parameter)]
  let isFirst = true
  let needsRecomputation = false
  let waitedSeconds = 0.0
  private var sums: [Tensor?]

  init(_ parameters: [(path: String, parameter: Parameter)]) {
    owned = parameters
    sums = [Tensor?](repeating: nil, count: parameters.count)
  }

  func passes(of batches: [TokenBatch]) -> [StepPass] { batches.map { StepPass(batch: $0) } }

  func begin(step: Int) {}

  func take(_ gradient: Tensor, of index: Int, isLastPass: Bool) {
    guard sums[index] != nil else { return sums[index] = gradient }
    sums[index]?.add(gradient)
  }

  func endPass() {}

  func finish() -> [Trainer.NamedGradient] {
    defer { sums = [Tensor?](repeating: nil, count: owned.count) }
    return zip(owned, sums).compactMap { entry, sum in sum.map { (entry.path, entry.parameter, $0) } }
  }

  func norm(of gradients: [Trainer.NamedGradient]) throws -> Double { try GradientNorm.of(gradients.map(\.gradient)) }

  func publish() {}
  func gathered(_ numbers: [[Double]]) -> [[Double]] { numbers }
  func summed(_ numbers: [Double]) -> [Double] { numbers }
  func anyone(_ flag: Bool) -> Bool { flag }

  func ownBytes(of value: StoredValue) -> Range<Int> { 0..<value.byteCount }

  func whole(_ value: StoredValue) throws -> Tensor {
    guard let tensor = value.own() else { preconditionFailure("'\(value.name)' has no values") }
    return tensor
  }

  func lead<Result>(_ values: [StoredValue], _ body: () throws -> Result) throws -> Result? { try body() }
}
