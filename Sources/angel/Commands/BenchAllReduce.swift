import AngelCore
import AngelDistributed

/// `angel bench distributed`, its first table: how long sums over processes take.
enum BenchAllReduce {
  /// Bytes a second of sums of buffers: each process's buffer by the time of the call. Over MPI beside the library's own sum, in
  /// turns.
  static func run(_ group: any ProcessGroup, _ kind: String, _ context: CommandContext) throws {
    let library = group as? MPIGroup
    var table = Table(
      [("all-reduce", .right), ("time", .right), ("buffer by time", .right)]
        + (library == nil ? [] : [("the library's own", .right), ("ratio", .right)]))
    for byteCount in [4 << 10, 64 << 10, 1 << 20, 4 << 20, 64 << 20] {
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
      defer { buffer.deallocate() }
      _ = buffer.initializeMemory(as: Float.self, repeating: 1)
      func seconds(_ sum: () throws -> Void) throws -> Double {
        try group.barrier("the bench")
        let begin = MonotonicClock.seconds()
        try sum()
        return MonotonicClock.seconds() - begin
      }
      var (times, theirs) = ([Double](), [Double]())
      for _ in 0..<12 {
        times.append(try seconds { try group.allReduce(buffer, "the bench") })
        if let library { theirs.append(try seconds { try library.librarySum(buffer, "the bench") }) }
      }
      let best = times.min() ?? 0
      if context.printsJSON {
        try context.print([
          "bench": "all-reduce", "processes": .integer(group.size), "kind": .string(kind), "bytes": .integer(byteCount),
          "best_seconds": .number(best), "median_seconds": .number(times.median),
          "library_best_seconds": theirs.min().map { .number($0) } ?? .null,
        ])
      }
      table.append(
        [
          TextFormat.bytes(byteCount), "\(TextFormat.fixed(best * 1e3, digits: 3)) ms",
          "\(TextFormat.fixed(Double(byteCount) / best / 1e9, digits: 2)) GB/s",
        ]
          + (theirs.min().map {
            ["\(TextFormat.fixed($0 * 1e3, digits: 3)) ms", "\(TextFormat.fixed($0 / best, digits: 2))x"]
          } ?? []))
    }
    guard !context.printsJSON else { return }
    try context.output.line("\(group.size) \(kind), sums of float32 by rank, the best of 12")
    for line in table.lines { try context.output.line(line) }
    try context.output.line()
  }
}
