import AngelCore
import Glibc
import Synchronization
import Testing

@testable import AngelDistributed

@Suite("Groups of threads") struct ThreadGroupTests {
  @Test("an all-reduce gives every member the sum by rank, to the bit, small and large", arguments: [1, 2, 3, 4])
  func allReduce(_ size: Int) throws {
    // The last in several pieces.
    for count in [1, 7, 100_003, 1_500_001] {
      let values = (0..<size).map { rank in (0..<count).map { Float($0 % 97) * 0.37 + Float(rank) * 1e-4 } }
      let expected = (0..<count).map { place in values.dropFirst().reduce(values[0][place]) { $0 + $1[place] } }
      try inGroup(size) { group in
        var own = values[group.rank]
        try own.withUnsafeMutableBytes { try group.allReduce($0, "a test") }
        #expect(own == expected)
      }
    }
  }

  @Test("uneven and empty shares come from and go to their owners")
  func shares() throws {
    try inGroup(3) { group in
      let bounds = [0, 4, 4, 12].map { $0 * 4 }
      let source = (0..<12).map { Float($0 + 100 * group.rank) }
      var share = [Float](repeating: 1000, count: (bounds[group.rank + 1] - bounds[group.rank]) / 4)
      try source.withUnsafeBytes { source in
        try share.withUnsafeMutableBytes {
          try group.reduceScatter(source, bounds, into: $0, goesOn: true, "a test")
        }
      }
      let first = bounds[group.rank] / 4
      #expect(share == share.indices.map { Float(1000 + 300 + 3 * (first + $0)) })
      var whole = [Float](repeating: -1, count: 12)
      for place in share.indices { whole[first + place] = share[place] }
      try whole.withUnsafeMutableBytes { try group.gather($0, bounds, "a test") }
      #expect(whole == (0..<12).map { Float(1300 + 3 * $0) })
    }
  }

  @Test("shares that are summed in pieces have the sums of their own places")
  func pieces() throws {
    try inGroup(3) { group in
      let bounds = [0, 1_200_001, 1_200_001, 1_300_000].map { $0 * 4 }
      let source = (0..<1_300_000).map { Float($0 + group.rank) }
      var share = [Float](repeating: 0, count: (bounds[group.rank + 1] - bounds[group.rank]) / 4)
      try source.withUnsafeBytes { source in
        try share.withUnsafeMutableBytes { try group.reduceScatter(source, bounds, into: $0, "a test") }
      }
      let first = bounds[group.rank] / 4
      #expect(share == share.indices.map { Float(3 * (first + $0) + 3) })
    }
  }

  @Test("broadcast, send and receive move one member's bytes")
  func movement() throws {
    try inGroup(3) { group in
      var bytes = [UInt8](repeating: UInt8(group.rank), count: 5)
      try bytes.withUnsafeMutableBytes { try group.broadcast($0, from: 2, "a test") }
      #expect(bytes == [2, 2, 2, 2, 2])
      if group.rank == 0 {
        for value: UInt8 in [7, 8] { try [value].withUnsafeBytes { try group.send($0, to: 1, "a test") } }
      } else if group.rank == 1 {
        for value: UInt8 in [7, 8] {
          var got: [UInt8] = [0]
          try got.withUnsafeMutableBytes { try group.receive($0, from: 0, "a test") }
          #expect(got == [value])
        }
      }
    }
  }

  @Test("a mesh has a group for each axis, its last axis among neighbours")
  func mesh() throws {
    try inGroup(6) { group in
      let mesh = try DeviceMesh([(.data, 3), (.tensor, 2)], world: group)
      #expect(mesh.place(along: .data) == group.rank / 2 && mesh.place(along: .tensor) == group.rank % 2)
      let sums = try [MeshAxis.data, .tensor].map { axis in
        try #require(mesh.group(along: axis)).gathered([Double(group.rank)], "a test").map { $0[0] }
      }
      let (row, column) = (Double(group.rank / 2), Double(group.rank % 2))
      #expect(sums == [[column, column + 2, column + 4], [2 * row, 2 * row + 1]])
    }
  }

  @Test("a mesh of another size than the world is refused with both numbers")
  func wrongMesh() throws {
    try inGroup(2) { group in
      let error = #expect(throws: DistributedError.self) {
        try DeviceMesh([(.data, 2), (.tensor, 2)], world: group)
      }
      #expect(error?.description.contains("2 processes were launched, but the mesh has 4 places") == true)
    }
  }

  @Test("a queue runs in order beside the caller, and what follows a failure fails too")
  func queue() throws {
    let queue = try CollectiveQueue()
    let order = Mutex<[Int]>([])
    let tickets = (0..<10).map { number in queue.start { order.withLock { $0.append(number) } } }
    for ticket in tickets { try ticket.wait() }
    #expect(order.withLock { $0 } == Array(0..<10))
    let failing = queue.start { () throws(DistributedError) in throw .closed("a test") }
    let next = queue.start {}
    for ticket in [failing, next] { #expect(throws: DistributedError.closed("a test")) { try ticket.wait() } }
  }

  @Test("a member that leaves ends the wait of the others")
  func leaving() throws {
    let members = ThreadGroup.members(2)
    let failure = Mutex<DistributedError?>(nil)
    try DedicatedThread.run(2) { rank in
      if rank == 0 { return members[0].leave("its test is over") }
      do throws(DistributedError) { try members[1].barrier("a test") } catch { failure.withLock { $0 = error } }
    }
    #expect(failure.withLock { $0 } == .closed("its test is over"))
  }

  @Test("after a member has waited in vain, a late one reads nothing and is told why")
  func late() throws {
    let members = ThreadGroup.members(2, timeout: 0)
    let first = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
    let reason = DistributedError.closed("a test: 1 of 2 members came within 0 s")
    #expect(throws: reason) { try members[0].broadcast(first, from: 0, "a test") }
    // Its memory is its own again.
    first.deallocate()
    var own: [UInt8] = [7, 7, 7, 7, 7, 7, 7, 7]
    #expect(throws: reason) { try own.withUnsafeMutableBytes { try members[1].broadcast($0, from: 0, "a test") } }
    #expect(own == [7, 7, 7, 7, 7, 7, 7, 7])
    #expect(throws: reason) { try members[0].barrier("a test") }
  }

  @Test("a group that closes while a member reads lets nobody go before it has read")
  func closingWhileReading() throws {
    let meeting = Meeting(size: 2, timeout: 30)
    let hasReturned = Atomic(false)
    try DedicatedThread.run(2) { rank in
      #expect(throws: Never.self) {
        try meeting.meet(rank, .nothing, "a test") { _ in
          guard rank == 1 else { return }
          meeting.close("a test")
          for _ in 0..<1000 { sched_yield() }
          let others = hasReturned.load(ordering: .acquiring)
          #expect(!others)
        }
      }
      hasReturned.store(true, ordering: .releasing)
    }
    #expect(throws: DistributedError.closed("a test")) { try meeting.meet(0, .nothing, "a test") { _ in } }
  }

  @Test("a group that closes while it is divided closes its parts, too")
  func closingWhileDividing() throws {
    let meeting = Meeting(size: 1, timeout: 30)
    let part = try meeting.meet(0, .nothing, "a test") { _ in
      meeting.close("a test")
      return meeting.child(color: 0, size: 1)
    }
    #expect(throws: DistributedError.closed("a test")) { try part.meet(0, .nothing, "a test") { _ in } }
  }

  @Test("a link counts what a member sends to others: of an all-reduce twice its part of the rest")
  func link() throws {
    try inGroup(4) { group in
      let link = Link(group)
      var values = [Float](repeating: 1, count: 40_000)
      try values.withUnsafeMutableBytes { try link.allReduce($0, "a test") }
      #expect(link.meter.total() == 2 * 160_000 * 3 / 4)
    }
  }

  @Test("members may change a link's pace at different collectives: sums and bytes stay as they are")
  func pace() throws {
    try inGroup(4) { group in
      let pace = Pace(bitsPerSecond: 1e12)
      let link = Link(group, pace: pace)
      for turn in 0..<4 {
        if turn == group.rank { pace.hold(to: nil) }
        var values = [Float](repeating: Float(group.rank), count: 40_000)
        try values.withUnsafeMutableBytes { try link.allReduce($0, "a test") }
        #expect(values.allSatisfy { $0 == 6 })
      }
      #expect(link.meter.total() == 4 * 2 * 160_000 * 3 / 4)
    }
  }
}

/// Runs `body` on as many threads, each a member of one group; throws what any of them threw.
func inGroup(_ size: Int, _ body: @escaping @Sendable (ThreadGroup) throws -> Void) throws {
  let members = ThreadGroup.members(size, timeout: 30)
  let failure = Mutex<(any Error)?>(nil)
  try DedicatedThread.run(size) { rank in
    do { try body(members[rank]) } catch {
      failure.withLock { if $0 == nil { $0 = error } }
      members[rank].leave("\(error)")
    }
  }
  if let error = failure.withLock({ $0 }) { throw error }
}
