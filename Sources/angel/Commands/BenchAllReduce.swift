import AngelCore
import AngelDistributed

/// `angel bench distributed`, its first table: how long sums over processes take.
enum BenchAllReduce {
  /// Bytes a second of sums of buffers: each process's buffer by the time of the call.
  static func run(_ group: any ProcessGroup, _ kind: String, _ context: CommandContext) throws {
    var table = Table([("all-reduce", .right), ("time", .right), ("buffer by time", .right)])
    for byteCount in [4 << 10, 64 << 10, 1 << 20, 4 << 20, 64 << 20] {
      var times: [Double] = []
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
      defer { buffer.deallocate() }
      _ = buffer.initializeMemory(as: Float.self, repeating: 1)
      for _ in 0..<12 {
        try group.barrier("the bench")
        let begin = MonotonicClock.seconds()
        try group.allReduce(buffer, "the bench")
        times.append(MonotonicClock.seconds() - begin)
      }
      let best = times.min() ?? 0
      if context.printsJSON {
        try context.print([
          "bench": "all-reduce", "processes": .integer(group.size), "kind": .string(kind), "bytes": .integer(byteCount),
          "best_seconds": .number(best), "median_seconds": .number(times.median),
        ])
      }
      table.append([
        TextFormat.bytes(byteCount), "\(TextFormat.fixed(best * 1e3, digits: 3)) ms",
        "\(TextFormat.fixed(Double(byteCount) / best / 1e9, digits: 2)) GB/s",
      ])
    }
    guard !context.printsJSON else { return }
    try context.output.line("\(group.size) \(kind), sums of float32 by rank, the best of 12")
    for line in table.lines { try context.output.line(line) }
    try context.output.line()
  }
}
