import AngelCore
import AngelData
import AngelDistributed
import AngelNN
import AngelTensor

/// A step on processes that read different rows, and that hold all of the parameters' values, gradients and states or shares of
/// them (ZeRO, arXiv:1910.02054, §5).
///
/// Gradients are summed by rank as they become final, beside the backward pass. What is shared out is a matter of
/// `ShareMap`; at every level a process updates what it owns with the bits that one process would.
final class DataLayout: StepLayout {
  /// What is shared out; each level what the one before does, too.
  enum Sharing: Int, Comparable {
    case nothing, states, gradients, parameters
    static func < (one: Self, other: Self) -> Bool { one.rawValue < other.rawValue }
  }

  let sharing: Sharing
  /// Those that read other rows; used by the trainer's thread.
  let group: any ProcessGroup
  let parameters: [(path: String, parameter: Parameter)]
  let map: ShareMap
  /// This process's shares, by parameter; nil where it has none. Whole parameters where states are not shared out.
  let shares: [Parameter?]
  let gradients: GradientStream
  /// What both streams of this layout go by.
  let lane: SideLane
  /// Where whole parameters are shared out to be updated.
  private(set) var values: ParameterStream?
  let parted: PartedStream
  /// The numbers of parameters by their paths.
  let places: [String: Int]
  /// Whether passes run.
  private(set) var isStepping = false
  /// What products could not be given; thrown where the step ends.
  var failure: DistributedError?
  let leading: Leading
  /// While this process leads, the numbers by which it asks for values.
  var questions: [String: Int] = [:]
  private let rows: RowShare

  init(
    _ parameters: [(path: String, parameter: Parameter)], optimizer: OptimizerConfiguration,
    _ configuration: MeshConfiguration, _ group: any ProcessGroup, on backend: any Backend
  ) throws {
    guard let sharing = Sharing(rawValue: configuration.zero) else {
      throw PTMError.recipe("mesh.zero is \(configuration.zero), expected 0 to 3")
    }
    self.sharing = sharing
    self.group = group
    leading = Leading(group)
    self.parameters = parameters
    rows = RowShare(place: group.rank, count: group.size)
    map = ShareMap(parameters, over: group.size) { optimizer.changesValuesAlone($0, path: $1) }
    let own = map
    shares = parameters.enumerated().map { index, entry in
      guard sharing > .nothing else { return entry.parameter }
      return entry.parameter.share(own.range(index, of: group.rank), isCopied: sharing == .parameters)
    }
    places = Dictionary(uniqueKeysWithValues: parameters.enumerated().map { ($1.path, $0) })
    lane = try SideLane(group)
    let bucketBytes = Int(configuration.bucket * 0x1p20)
    gradients = GradientStream(map, sharing, lane, bucketBytes: bucketBytes, on: backend)
    parted = PartedStream(map, lane, mostBytesAhead: 2 * bucketBytes, on: backend)
    switch sharing {
    case .nothing: break
    case .states, .gradients:
      let stream = ParameterStream(map, lane, parameters.map(\.parameter))
      values = stream
      for (index, entry) in parameters.enumerated() {
        guard let values = entry.parameter.trainedValues else { continue }
        entry.parameter.value = .parted(AwaitedParameter(values, index, of: stream))
      }
    case .parameters:
      for (index, entry) in parameters.enumerated() {
        entry.parameter.value = .parted(PartedParameter(index, of: self))
      }
    }
  }

  var owned: [(path: String, parameter: Parameter)] {
    zip(parameters, shares).compactMap { entry, share in share.map { (entry.path, $0) } }
  }

  var isFirst: Bool { group.rank == 0 }
  var needsRecomputation: Bool { sharing == .parameters }
  var waitedSeconds: Double { lane.waitedSeconds }
  var takenSeconds: Double { lane.takenSeconds }
  var schedule: StepSchedule? { lane.schedule }

  func passes(of batches: [TokenBatch]) -> [StepPass] { rows.passes(of: batches) }

  func begin(step: Int) {
    lane.beginStep()
    parted.beginStep()
    isStepping = true
    group.enter(step: step)
  }

  func take(_ gradient: Tensor, of index: Int, isLastPass: Bool) {
    gradients.take(gradient, of: index, isLastPass: isLastPass)
  }

  func endPass() { gradients.endPass() }

  func finish() throws -> [Trainer.NamedGradient] {
    isStepping = false
    defer { failure = nil }
    if let failure { throw failure }
    // Of parameters that no pass asked for, too, before they are changed again.
    try values?.arriveAll()
    try parted.drop()
    return try gradients.finish().compactMap { index, gradient in
      shares[index].map { (parameters[index].path, $0, gradient) }
    }
  }

  func norm(of gradients: [Trainer.NamedGradient]) throws -> Double {
    guard sharing > .nothing else { return try GradientNorm.of(gradients.map(\.gradient)) }
    var sums: [String: [Double]] = [:]
    let launched = gradients.map { ($0.path, $0.gradient.squareSums()) }
    for (path, blocks) in launched { sums[path] = try blocks.read(as: Double.self) }
    let own = parameters.enumerated().map { index, entry in
      sums[entry.path] ?? [Double](repeating: 0, count: map.blockCount(index, of: group.rank))
    }
    return try map.inOrder(own, group).reduce(0, +).squareRoot()
  }

  func gathered(_ numbers: [[Double]]) throws -> [[Double]] {
    let width = numbers.first?.count ?? 0
    let all = try group.gathered(numbers.flatMap(\.self), "all-gather of losses")
    return numbers.indices.flatMap { pass in all.map { Array($0[(pass * width)..<((pass + 1) * width)]) } }
  }

  func summed(_ numbers: [Double]) throws -> [Double] {
    guard sharing > .nothing else { return numbers }
    let all = try group.gathered(numbers, "all-gather of update ratios")
    return numbers.indices.map { place in all.reduce(0) { $0 + $1[place] } }
  }

  func anyone(_ flag: Bool) throws -> Bool {
    try group.gathered([flag ? 1 : 0], "all-gather of requests to stop").contains([1])
  }
}

extension OptimizerConfiguration {
  /// Whether a parameter's values are each changed by themselves, so that processes may share them out.
  func changesValuesAlone(_ parameter: Parameter, path: String) -> Bool {
    switch rule {
    case .adamw, .lion, .sgd: true
    case .adamw8: parameter.shape.rank == 1
    case .muon: !Muon.takes(parameter, path: path)
    case .adafactor: false
    }
  }
}

extension Parameter {
  /// Some entries of the outermost axis as a parameter of their own, in the same memory or copied; nil where there are none.
  fileprivate func share(_ range: Range<Int>, isCopied: Bool) -> Parameter? {
    guard let values = trainedValues, !range.isEmpty else { return nil }
    let result = Parameter(Shape([range.count] + shape.array.dropFirst()), role, tokenShare: tokenShare)
    let share = values.entries(range)
    result.value = .halved(isCopied ? share.copied() : share)
    return result
  }
}

extension ShareMap {
  /// Sums of blocks of every parameter in the order of the parameters, from those of this process's shares.
  fileprivate func inOrder(_ own: [[Double]], _ group: any ProcessGroup) throws(DistributedError) -> [Double] {
    let counts = shapes.indices.map { index in (0..<group.size).map { blockCount(index, of: $0) } }
    var bounds = [0]
    for rank in 0..<group.size { bounds.append(bounds[rank] + counts.reduce(0) { $0 + $1[rank] }) }
    let all = try group.gathered(Array(own.joined()), bounds, "all-gather of gradient norms")
    var next = bounds
    return counts.flatMap { count in
      (0..<group.size).flatMap { rank in
        defer { next[rank] += count[rank] }
        return all[next[rank]..<(next[rank] + count[rank])]
      }
    }
  }
}
