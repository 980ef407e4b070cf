/// Samples put into bins of bounded size, the longest first, each where it leaves the least room (best fit decreasing).
///
/// Ties go by number, so that bins are a function of the lengths alone. Memory: four bytes a sample and a bin.
struct Bins: Sendable {
  /// The samples of all bins, one bin after the other.
  private var samples: [UInt32]
  /// Where each bin begins, and the end.
  private var starts: [UInt32]

  var count: Int { starts.count - 1 }

  subscript(bin: Int) -> ArraySlice<UInt32> { samples[Int(starts[bin])..<Int(starts[bin + 1])] }

  /// - Parameter lengths: from 1 to `limit` each.
  init(count: Int, limit: Int, length: (Int) -> Int) {
    precondition(count < UInt32.max, "\(count) samples are too many to pack")
    let order = Self.longestFirst(count: count, limit: limit, length: length)
    var bin = [UInt32](repeating: 0, count: count)
    var open = OpenBins(limit: limit)
    for sample in order { bin[Int(sample)] = open.place(length(Int(sample))) }
    starts = [UInt32](repeating: 0, count: open.count + 1)
    for place in bin { starts[Int(place) + 1] += 1 }
    for index in 1..<starts.count { starts[index] += starts[index - 1] }
    var next = starts
    samples = [UInt32](repeating: 0, count: count)
    for sample in order {
      let place = Int(bin[Int(sample)])
      samples[Int(next[place])] = sample
      next[place] += 1
    }
  }

  /// `size` samples a bin in a given order.
  init(count: Int, size: Int, order: (Int) -> Int) {
    precondition(count < UInt32.max, "\(count) samples are too many to pack")
    samples = (0..<count).map { UInt32(order($0)) }
    starts = stride(from: 0, to: count, by: size).map { UInt32($0) } + [UInt32(count)]
  }

  /// Samples by falling length, equal ones by rising number.
  private static func longestFirst(count: Int, limit: Int, length: (Int) -> Int) -> [UInt32] {
    var starts = [Int](repeating: 0, count: limit + 2)
    for sample in 0..<count {
      let length = length(sample)
      precondition(length > 0 && length <= limit, "a sample of \(length) rows for bins of \(limit)")
      starts[limit - length + 1] += 1
    }
    for index in 1..<starts.count { starts[index] += starts[index - 1] }
    var order = [UInt32](repeating: 0, count: count)
    for sample in 0..<count {
      let key = limit - length(sample)
      order[starts[key]] = UInt32(sample)
      starts[key] += 1
    }
    return order
  }
}

/// Bins by the room they have left: of equal ones the last that came to it is filled first.
private struct OpenBins {
  /// Bins made so far.
  private(set) var count = 0
  private let limit: Int
  /// The first bin for each room, and for each bin the next of the same room; `none` for nothing.
  private var first: [UInt32]
  private var next: [UInt32] = []
  /// A bit for each room that has bins, and a bit for each word of those: the least room that suffices is found in a few
  /// steps however large bins are.
  private var rooms: [UInt64]
  private var words: [UInt64]

  private static let none = UInt32.max

  init(limit: Int) {
    self.limit = limit
    first = [UInt32](repeating: Self.none, count: limit + 1)
    rooms = [UInt64](repeating: 0, count: limit / 64 + 1)
    words = [UInt64](repeating: 0, count: limit / 4096 + 1)
  }

  /// The bin for a sample of `length`, an open one or a new one.
  mutating func place(_ length: Int) -> UInt32 {
    guard let room = leastRoom(from: length) else {
      let bin = UInt32(count)
      count += 1
      next.append(Self.none)
      put(bin, room: limit - length)
      return bin
    }
    let bin = first[room]
    first[room] = next[Int(bin)]
    if first[room] == Self.none {
      rooms[room / 64] &= ~(1 << UInt64(room % 64))
      if rooms[room / 64] == 0 { words[room / 4096] &= ~(1 << UInt64(room / 64 % 64)) }
    }
    put(bin, room: room - length)
    return bin
  }

  private mutating func put(_ bin: UInt32, room: Int) {
    next[Int(bin)] = first[room]
    first[room] = bin
    rooms[room / 64] |= 1 << UInt64(room % 64)
    words[room / 4096] |= 1 << UInt64(room / 64 % 64)
  }

  private func leastRoom(from length: Int) -> Int? {
    let here = rooms[length / 64] >> UInt64(length % 64)
    if here != 0 { return length + here.trailingZeroBitCount }
    var word = length / 64 + 1
    while word < rooms.count {
      let group = words[word / 64] >> UInt64(word % 64)
      if group != 0 {
        word += group.trailingZeroBitCount
        return word * 64 + rooms[word].trailingZeroBitCount
      }
      word = (word / 64 + 1) * 64
    }
    return nil
  }
}
