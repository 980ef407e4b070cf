import AngelDistributed
import AngelNN
import AngelTensor

/// Changed values on their way to everyone who holds whole parameters, each from the process that owns it.
///
/// They leave in the order of the parameters, while later ones are still being updated, and the next step's passes wait for a
/// parameter where they first ask for it.
final class ParameterStream {
  private typealias Plane = (index: Int, width: Int, tensor: Tensor)

  private let map: ShareMap
  private let lane: SideLane
  private let parameters: [Parameter]
  /// The parameter that goes next.
  private var next = 0
  /// Planes that wait to travel together.
  private var waiting: [Plane] = []
  /// What may still be on its way, oldest first, and the parameters that the last of it is about.
  private var tickets: [CollectiveQueue.Ticket] = []
  private var arrived = 0
  private var loads: [Int: Int] = [:]
  private var failure: DistributedError?

  /// From here on planes do not wait for others.
  private static let loadByteCount = 1 << 20
  private static let purpose = "all-gather of parameters"

  init(_ map: ShareMap, _ lane: SideLane, _ parameters: [Parameter]) {
    (self.map, self.lane, self.parameters) = (map, lane, parameters)
  }

  /// Says that parameters up to this number are as they shall be, where this process owns any of them.
  func release(upTo index: Int) {
    for index in next..<max(next, index + 1) {
      parameters[index].update { values in
        for plane in values.planes {
          let width = plane.specification.byteCount / max(1, map.shapes[index].elementCount)
          waiting.append((index, width, plane))
        }
        let bytes = waiting.filter { $0.index == index }.reduce(0) { $0 + lane.busyBytes(bounds($1)) }
        lane.note(.parameter(index), .ready(byteCount: bytes))
      }
      if waiting.reduce(0, { $0 + $1.tensor.specification.byteCount }) >= Self.loadByteCount { send() }
    }
    next = max(next, index + 1)
  }

  /// Lets all others go.
  func end() {
    release(upTo: parameters.count - 1)
    send()
    next = 0
  }

  /// Waits until everyone's shares of a parameter are here.
  func arrive(_ index: Int) {
    guard let load = loads[index] else { return }
    lane.note(.parameter(index), .needed)
    loads[index] = nil
    wait(upTo: load)
  }

  /// Waits for all; throws what kept any of them away.
  func arriveAll() throws {
    wait(upTo: arrived + tickets.count - 1)
    loads = [:]
    if let failure { throw failure }
  }

  private func wait(upTo load: Int) {
    while arrived <= load {
      do throws(DistributedError) { try lane.wait(tickets.removeFirst()) } catch { failure = failure ?? error }
      arrived += 1
    }
  }

  private func bounds(_ plane: Plane) -> [Int] { map.values(plane.index).map { $0 * plane.width } }

  /// Large planes by themselves where they lie, small ones together.
  private func send() {
    let planes = waiting.map(\.tensor)
    guard !planes.isEmpty else { return }
    for index in waiting.map(\.index) { loads[index] = arrived + tickets.count }
    let layout = Bucket(waiting.map(bounds), width: 1)
    waiting = []
    let group = lane.group
    tickets.append(
      lane.start { () throws(DistributedError) in
        if planes.count == 1 { return try group.gather(planes[0].hostBytes(Self.purpose), layout.bounds, Self.purpose) }
        try group.scratch.withBytes(layout.byteCount) { bucket throws(DistributedError) in
          guard let start = bucket.baseAddress else { return }
          layout.pack(planes.map { UnsafeRawPointer($0.address) }, into: start, of: group.rank)
          try group.gather(bucket, layout.bounds, Self.purpose)
          layout.unpack(start, into: planes.map(\.address), except: group.rank)
        }
        withExtendedLifetime(planes) {}
      })
  }
}
