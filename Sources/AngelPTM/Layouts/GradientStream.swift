import AngelCore
import AngelDistributed
import AngelNN
import AngelTensor

/// Gradients on their way: summed over processes by rank, bucket by bucket, on a thread beside the backward pass.
///
/// Buckets are filled in the order in which gradients become final, which is the program's and so the same on all processes.
/// Where gradients are shared out, a process's sums go on from pass to pass, in the order of the batches; otherwise a process
/// adds its own passes up first and sends once a step.
final class GradientStream {
  /// Gradients that travel together, or have arrived.
  private struct Load {
    let indices: [Int]
    let layout: Bucket
    /// The sums: of all gradients one after the other, or of this process's shares.
    let result: Tensor
  }

  private let map: ShareMap
  private let sharing: DataLayout.Sharing
  private let lane: SideLane
  /// The lane's.
  private var group: any ProcessGroup { lane.group }
  private let bucketBytes: Int
  let backend: any Backend
  /// Sums of this process's own passes so far.
  private var sums: [Int: Tensor] = [:]
  /// Gradients that wait for their bucket to fill.
  private var waiting: [(index: Int, gradient: Tensor)] = []
  /// The buckets of a pass, in order.
  private var loads: [Load] = []
  private var passLoads = 0
  /// Of buckets that may still be on their way.
  private var tickets: [(ticket: CollectiveQueue.Ticket, byteCount: Int)] = []
  private var failure: (any Error)?

  /// How many full buckets may be on their way where gradients are shared out, so that whole gradients do not gather.
  private static let mostOnTheirWay = 4

  init(
    _ map: ShareMap, _ sharing: DataLayout.Sharing, _ lane: SideLane, bucketBytes: Int, on backend: any Backend
  ) {
    self.map = map
    self.sharing = sharing
    self.lane = lane
    self.bucketBytes = bucketBytes
    self.backend = backend
  }

  func take(_ gradient: Tensor, of index: Int, isLastPass: Bool) {
    var gradient = gradient
    if sharing < .gradients {
      if var sum = sums.removeValue(forKey: index) {
        sum.add(gradient)
        gradient = sum
      }
      guard isLastPass else { return sums[index] = gradient }
    }
    lane.note(.gradient(index), .ready(byteCount: wireBytes(index)))
    // A bucket leaves before it would grow beyond its size, so a large gradient is in one by itself; and not before the next
    // comes, for only then is it nobody's but ours.
    if waitingBytes + gradient.specification.byteCount > bucketBytes { send() }
    waiting.append((index, gradient))
  }

  func endPass() {
    send()
    passLoads = 0
  }

  /// The sums of what this process updates, by parameter.
  func finish() throws -> [(index: Int, gradient: Tensor)] {
    defer { loads = [] }
    for index in loads.flatMap(\.indices) { lane.note(.gradient(index), .needed) }
    wait(leaving: 0)
    if let failure { throw failure }
    return loads.flatMap(sharesOf).sorted { $0.index < $1.index }
  }

  /// Waits until no more than so many bytes are on their way.
  private func wait(leaving byteCount: Int) {
    while tickets.reduce(0, { $0 + $1.byteCount }) > byteCount {
      do { try lane.wait(tickets.removeFirst().ticket) } catch { failure = failure ?? error }
    }
  }

  /// What one gradient takes of the wire: both ways of an all-reduce in even shares, or one to the owners.
  private func wireBytes(_ index: Int) -> Int {
    guard sharing == .nothing else { return lane.busyBytes(map.values(index).map { 4 * $0 }) }
    return 2 * 4 * map.shapes[index].elementCount * (group.size - 1) / group.size
  }

  private var waitingBytes: Int { waiting.reduce(0) { $0 + $1.gradient.specification.byteCount } }

  /// Hands the bucket over to the queue.
  private func send() {
    guard !waiting.isEmpty else { return }
    let (indices, isAlone) = (waiting.map(\.index), waiting.count == 1)
    let isOurs = isAlone && waiting[0].gradient.isStorageUnique
    let gradients = waiting.map(\.gradient)
    waiting = []
    if sharing == .nothing { return reduce(gradients, indices, inPlace: isOurs) }
    // Of gradients larger than a bucket, one.
    if sharing >= .gradients { wait(leaving: (Self.mostOnTheirWay - 1) * bucketBytes) }
    let layout = Bucket(indices.map(map.values), width: 4)
    // One tensor lies in the order of its owners; it is only read.
    let bucket = isAlone ? gradients[0] : made(layout.byteCount / 4)
    let goesOn = passLoads < loads.count
    if !goesOn {
      let own = (layout.bounds[group.rank + 1] - layout.bounds[group.rank]) / 4
      loads.append(Load(indices: indices, layout: layout, result: made(own)))
    }
    let load = loads[passLoads]
    precondition(load.indices == indices, "gradients came in another order than in the pass before")
    passLoads += 1
    let group = group
    let ticket = lane.start { () throws(DistributedError) in
      let purpose = "reduce-scatter of gradients"
      if !isAlone { try layout.pack(gradients, into: bucket, purpose) }
      try group.reduceScatter(
        UnsafeRawBufferPointer(bucket.hostBytes(purpose)), layout.bounds, into: load.result.hostBytes(purpose),
        goesOn: goesOn, purpose)
      withExtendedLifetime(gradients) {}
    }
    tickets.append((ticket, layout.byteCount))
  }

  /// Sums whole gradients where they are, or in a bucket that they are copied into.
  private func reduce(_ gradients: [Tensor], _ indices: [Int], inPlace: Bool) {
    let bounds = gradients.map { [0, $0.shape.elementCount] }
    let layout = Bucket(bounds, width: 4)
    let bucket = inPlace ? gradients[0] : made(layout.byteCount / 4)
    loads.append(Load(indices: indices, layout: layout, result: bucket))
    let group = group
    let ticket = lane.start { () throws(DistributedError) in
      let purpose = "all-reduce of gradients"
      if !inPlace { try layout.pack(gradients, into: bucket, purpose) }
      try group.allReduce(bucket.hostBytes(purpose), purpose)
      withExtendedLifetime(gradients) {}
    }
    tickets.append((ticket, layout.byteCount))
  }

  private func made(_ count: Int) -> Tensor {
    Tensor(uninitialized: TensorSpecification([count], .float32), on: backend, kind: .gradients)
  }

  /// What has arrived of one bucket, cut into the shares of parameters.
  private func sharesOf(_ load: Load) -> [(index: Int, gradient: Tensor)] {
    let values = load.result.reshaped(-1)
    let owner = sharing == .nothing ? 0 : group.rank
    var offset = 0
    return zip(load.indices, load.layout.shares).compactMap { index, bounds in
      let count = bounds[owner + 1] - bounds[owner]
      defer { offset += count }
      guard count > 0 else { return nil }
      let rest = Array(map.shapes[index].array.dropFirst())
      let entries = count * map.shapes[index][0] / map.shapes[index].elementCount
      return (index, values.prefix(offset..<(offset + count)).reshaped([entries] + rest))
    }
  }
}
