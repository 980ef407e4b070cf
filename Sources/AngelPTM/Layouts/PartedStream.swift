import AngelDistributed
import AngelNN
import AngelTensor

/// Parted values on their way to this process, ahead of the passes that will ask for them.
///
/// All processes start the same gathers in the same order. How far ahead is bounded by bytes, for what has come lies in memory
/// until its use; the very next one may be larger.
final class PartedStream {
  private struct Coming {
    let use: UseOrder.Use
    let whole: Tensor
    let ticket: CollectiveQueue.Ticket
  }

  // SAFETY: what it points to is held by `Coming`, and kept after a failure, until the ticket has been waited for.
  private struct Places: @unchecked Sendable {
    let whole: UnsafeMutableRawBufferPointer
    let own: UnsafeRawBufferPointer?
  }

  private let map: ShareMap
  private let lane: SideLane
  private let backend: any Backend
  private let mostBytesAhead: Int
  private var order = UseOrder()
  private var specifications: [UseOrder.Use: TensorSpecification] = [:]
  private var coming: [Coming] = []

  private static let purpose = "all-gather of parameters"

  init(_ map: ShareMap, _ lane: SideLane, mostBytesAhead: Int, on backend: any Backend) {
    (self.map, self.lane, self.mostBytesAhead, self.backend) = (map, lane, mostBytesAhead, backend)
  }

  deinit { abandon() }

  func beginStep() { order.beginStep() }

  /// The values of a use, which come while the passes go on where the use was foreseen.
  ///
  /// - Parameter own: this process's share of a plane.
  func take(
    _ use: UseOrder.Use, _ specification: TensorSpecification, own: (UseOrder.Use) -> Tensor?
  ) throws(DistributedError) -> Tensor {
    specifications[use] = specification
    if coming.first.map({ $0.use != use }) ?? true {
      try drop()
      try start(use, own(use))
    }
    let number = order.count
    order.ask(use)
    let next = coming.removeFirst()
    do throws(DistributedError) {
      while let use = order.use(after: coming.count), isRoom(for: use) { try start(use, own(use)) }
      lane.note(.use(number), .needed)
      try lane.wait(next.ticket)
    } catch {
      keep(afterFailure: next.whole.storage)
      abandon()
      throw error
    }
    return next.whole
  }

  /// Waits for what was foreseen and is not asked for.
  func drop() throws(DistributedError) {
    do throws(DistributedError) {
      while let first = coming.first {
        try lane.wait(first.ticket)
        coming.removeFirst()
      }
    } catch {
      abandon()
      throw error
    }
  }

  private func isRoom(for use: UseOrder.Use) -> Bool {
    guard !coming.isEmpty else { return true }
    let bytes = coming.reduce(0) { $0 + $1.whole.specification.byteCount }
    return bytes + (specifications[use]?.byteCount ?? 0) <= mostBytesAhead
  }

  private func start(_ use: UseOrder.Use, _ own: Tensor?) throws(DistributedError) {
    guard let specification = specifications[use] else { return }
    let whole = Tensor(uninitialized: specification, on: backend, kind: .workspace)
    let width = specification.byteCount / max(1, map.shapes[use.index].elementCount)
    let bounds = map.values(use.index).map { $0 * width }
    let places = Places(
      whole: try whole.hostBytes(Self.purpose),
      own: try own.map { own throws(DistributedError) in UnsafeRawBufferPointer(try own.hostBytes(Self.purpose)) })
    lane.note(.use(order.count + coming.count), .ready(byteCount: lane.busyBytes(bounds)))
    let group = lane.group
    let ticket = lane.start { () throws(DistributedError) in
      if let own = places.own {
        UnsafeMutableRawBufferPointer(rebasing: places.whole[bounds[group.rank]...]).copyMemory(from: own)
      }
      try group.gather(places.whole, bounds, Self.purpose)
    }
    coming.append(Coming(use: use, whole: whole, ticket: ticket))
  }

  /// Leaves what may still be written to as it is until the process ends.
  private func abandon() {
    for one in coming { keep(afterFailure: one.whole.storage) }
    coming = []
  }
}
