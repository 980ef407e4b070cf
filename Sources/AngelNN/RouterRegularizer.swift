import AngelCore
package import AngelTensor
import Synchronization

/// What training asks of the routers of a pass, and what it learns of them.
///
/// Two losses of each router's scores x [R, E], with p = softmax(x), f the share of the rows that chose an expert:
/// balance = E · Σ_e f_e · mean_r p_re (arXiv:2101.03961, §2.2, where a row chooses one expert: f adds up to K here, as in
/// transformers) and z = mean_r (log Σ_e exp x_re)² (arXiv:2202.08906, eq. 5). Their weighted sum over the layers is part of
/// what is minimised, and of the gradients, but not of the value that the model's loss has: each layer adds its own gradient
/// where the backward pass meets it, so that recomputed layers need nothing kept.
public final class RouterRegularizer: Sendable {
  /// Of one layer in one pass.
  public struct Load: Sendable, Hashable {
    /// How many rows chose each expert.
    public var rows: [Int]
    public var balance: Double
    public var z: Double

    public init(rows: [Int], balance: Double, z: Double) {
      (self.rows, self.balance, self.z) = (rows, balance, z)
    }
  }

  /// What a layer leaves behind, still on the device.
  private struct Note: Sendable {
    let router: ObjectIdentifier
    let offsets: Tensor
    let balance: Tensor
    let z: Tensor
  }

  private let weights: (balance: Double, z: Double)
  private let notes = Mutex<[Note]>([])

  /// - Parameters:
  ///   - balance, z: what the losses are multiplied by; 0 leaves one out.
  ///   - share: the pass's part of a step of several.
  public init(balance: Double = 0, z: Double = 0, share: Double = 1) {
    weights = (balance * share, z * share)
  }

  /// The layers' numbers in the order of the pass; none where no layer has experts.
  ///
  /// - Throws: the first failure recorded on the backend.
  public func loads() throws -> [Load] {
    try notes.withLock { $0 }.map { note in
      let offsets: [Int32] = try note.offsets.read()
      return Load(
        rows: zip(offsets, offsets.dropFirst()).map { Int($1 - $0) },
        balance: Double(try note.balance.read(as: Float.self)[0]), z: Double(try note.z.read(as: Float.self)[0]))
    }
  }

  /// `output` of a layer as it is, with the gradient of the losses by its router's `scores` [R, E] float32.
  func watch(_ output: Tensor, scores: Tensor, _ order: ExpertOrder, router: Parameter) -> Tensor {
    let constant = scores.detached
    let (balance, z) = Self.losses(of: constant, order.offsets)
    let note = Note(router: ObjectIdentifier(router), offsets: order.offsets, balance: balance, z: z)
    notes.withLock { notes in
      // A layer that is recomputed comes twice, with the same numbers.
      if !notes.contains(where: { $0.router == note.router }) { notes.append(note) }
    }
    let (weights, offsets) = (weights, order.offsets)
    guard scores.isTrainable, weights.balance != 0 || weights.z != 0 else { return output }
    return output.detached.recorded(from: [output, scores]) { wanted in
      { gradient in
        let leaf = constant.asLeaf()
        let (balance, z) = Self.losses(of: leaf, offsets)
        let total = balance * weights.balance + z * weights.z
        let one = total.detached.constant(1).reshaped(total.shape.array)
        return [wanted[0] ? gradient : nil, wanted[1] ? total.gradients(weightedBy: one)[leaf] : nil]
      }
    }
  }

  /// Both losses of one layer, unweighted.
  package static func losses(of scores: Tensor, _ offsets: Tensor) -> (balance: Tensor, z: Tensor) {
    let (rows, choices) = (scores.shape[0], scores.shape[1])
    let bounds = offsets.cast(to: scores.dtype)
    let shares = (bounds.prefix(1..<choices + 1) - bounds.prefix(0..<choices)) / Double(max(1, rows))  // [E]
    let means = scores.softmax().mean(over: 0).reshaped(choices)
    let largest = scores.detached.max(over: 1)
    let logSums = log(exp(scores - largest).sum(over: 1)) + largest  // [R, 1]
    return ((shares * means).sum() * Double(choices), (logSums.squared().sum() / Double(max(1, rows))))
  }
}
