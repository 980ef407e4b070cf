import AngelCore
import AngelData
import AngelDistributed
import AngelNN
import AngelTensor

/// A step on processes that share layers out (arXiv:1909.08053) and rows between them (arXiv:2205.05198, §4.2.2), each of which
/// is one of several that read other batches, or by itself: what lies on those is the inner layout's business.
///
/// Of a parameter that is split, this process has a part and that part's whole gradient. What stays whole is used on this
/// process's rows or heads alone, so its gradients are summed over the peers before anyone else sees them.
final class TensorLayout: StepLayout {
  let inner: any StepLayout
  let group: any ProcessGroup
  private let members: GroupPeers
  /// For each parameter the axis that is shared out; nil where it is whole.
  let axes: [Int?]
  private let parts: Set<String>
  /// Gradients of whole parameters in the pass in hand.
  private var waiting: [(index: Int, gradient: Tensor, isLastPass: Bool)] = []
  private var waitedHere = 0.0
  let leading: Leading
  /// While this process leads, the numbers by which it asks its peers for values.
  var questions: [String: Int] = [:]

  /// - Parameter axes: of the parameters that are split, by path.
  init(
    _ parameters: [(path: String, parameter: Parameter)], axes: [String: Int], _ members: GroupPeers,
    _ group: any ProcessGroup, inner: any StepLayout
  ) {
    self.inner = inner
    self.group = group
    leading = Leading(group)
    self.members = members
    self.axes = parameters.map { axes[$0.path] }
    parts = Set(axes.keys)
  }

  var owned: [(path: String, parameter: Parameter)] { inner.owned }
  var peers: (any LayerPeers)? { members }
  var isFirst: Bool { inner.isFirst && group.rank == 0 }
  var needsRecomputation: Bool { inner.needsRecomputation }
  var waitedSeconds: Double { inner.waitedSeconds + waitedHere }
  var takenSeconds: Double { inner.takenSeconds }

  func passes(of batches: [TokenBatch]) -> [StepPass] { inner.passes(of: batches) }

  func begin(step: Int) {
    waitedHere = 0
    inner.begin(step: step)
    group.enter(step: step)
  }

  func take(_ gradient: Tensor, of index: Int, isLastPass: Bool) {
    if axes[index] == nil {
      waiting.append((index, gradient, isLastPass))
    } else {
      inner.take(gradient, of: index, isLastPass: isLastPass)
    }
  }

  func endPass() {
    let sums = summedGradients()
    waitedHere += members.takeWaitedSeconds()
    for (index, gradient, isLastPass) in sums { inner.take(gradient, of: index, isLastPass: isLastPass) }
    inner.endPass()
  }

  /// From here on a gradient is summed where it lies.
  static let largeByteCount = 1 << 20

  /// The gradients of whole parameters, summed over the peers: large ones where they lie, the small ones together.
  private func summedGradients() -> [(index: Int, gradient: Tensor, isLastPass: Bool)] {
    var sums = waiting
    waiting = []
    let small = sums.indices.filter { sums[$0].gradient.specification.byteCount < Self.largeByteCount }
    for place in sums.indices where !small.contains(place) {
      // Others may hold this memory.
      if !sums[place].gradient.isStorageUnique { sums[place].gradient = sums[place].gradient.copied(to: .gradients) }
      members.sum(inPlace: sums[place].gradient, Self.summing)
    }
    guard let first = small.first else { return sums }
    let counts = small.map { sums[$0].gradient.shape.elementCount }
    let together = Tensor(
      uninitialized: TensorSpecification([counts.reduce(0, +)], .float32), on: sums[first].gradient.backend,
      kind: .gradients)
    let bucket = Bucket(counts.map { [0, $0] }, width: 4)
    members.attempt(keeping: together) { () throws(DistributedError) in
      try bucket.pack(small.map { sums[$0].gradient }, into: together, Self.summing)
      try group.allReduce(together.hostBytes(Self.summing), Self.summing)
    }
    var offset = 0
    for (place, count) in zip(small, counts) {
      let shape = sums[place].gradient.shape
      sums[place].gradient = together.prefix(offset..<(offset + count)).reshaped(shape.array)
      offset += count
    }
    return sums
  }

  private static var summing: String { "all-reduce of gradients" }

  func finish() throws -> [Trainer.NamedGradient] {
    try members.check()
    return try inner.finish()
  }

  func norm(of gradients: [Trainer.NamedGradient]) throws -> Double {
    let part = try inner.norm(of: gradients.filter { parts.contains($0.path) })
    let whole = try inner.norm(of: gradients.filter { !parts.contains($0.path) })
    let squares = try group.gathered([part * part], "all-gather of gradient norms").reduce(0) { $0 + $1[0] }
    return (squares + whole * whole).squareRoot()
  }

  func changed(_ path: String) { inner.changed(path) }
  func publish() throws { try inner.publish() }
  func gathered(_ numbers: [[Double]]) throws -> [[Double]] { try inner.gathered(numbers) }

  func changerCount(of path: String) -> Int { parts.contains(path) ? 1 : group.size }

  func summed(_ numbers: [Double]) throws -> [Double] {
    let all = try group.gathered(inner.summed(numbers), "all-gather of update ratios")
    return numbers.indices.map { place in all.reduce(0) { $0 + $1[place] } }
  }

  func anyone(_ flag: Bool) throws -> Bool {
    try inner.anyone(group.gathered([flag ? 1 : 0], "all-gather of requests to stop").contains([1]))
  }
}
