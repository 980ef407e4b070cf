import AngelCPU
import AngelCore
import AngelTensor
import Glibc

/// `angel bench kernels`: the machine's roofs, then every kernel family against them, in one run.
enum BenchKernels {
  static let quick = Option.flag("quick", help: "kernels and attention: fewer shapes and runs, for a look")
  static let options = [quick.declaration]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let backend = try context.makeBackend(arguments)
    let isQuick = arguments[quick]
    let source = try BenchMemory(on: backend)
    let target = try BenchMemory(byteCount: 256 << 20, on: backend)
    let roofs = try BenchRoofs(source, backend, quick: isQuick, context)
    let cases = makeCases(
      BenchKernelMaker(backend: backend, source: source, target: target), quick: isQuick, context)
    let display = context.progress.start("measuring kernels", total: cases.count, unit: .items("cases"))
    var measured: [(case: BenchKernelCase, result: BenchKernelCase.Measurement)] = []
    for (index, kernel) in cases.enumerated() {
      try context.interruption.check()
      measured.append((kernel, kernel.measure(roofs, samples: isQuick ? 3 : 5)))
      display.update(to: index + 1)
    }
    display.finish()
    try backend.synchronize()
    if context.printsJSON {
      try context.print(json(measured, roofs, source, backend))
    } else {
      try show(measured, roofs, source, backend, context)
    }
  }

  /// Every family on the shapes of a small and of a large model, then those of images; --quick takes the small one and fewer
  /// dtypes.
  private static func makeCases(_ maker: BenchKernelMaker, quick: Bool, _ context: CommandContext) -> [BenchKernelCase]
  {
    let shapes = quick ? [BenchShape.smolLM2] : BenchShape.allCases
    let dtypes = quick ? [DType.float32, .bfloat16, .q4_0, .q4_1, .q8_0] : BenchShape.formats
    let arithmetic = context.arithmetic
    let cacheTypes = [arithmetic.cacheDType, .q8_0, .q4_0]
    var cases: [BenchKernelCase] = []
    for shape in shapes {
      for dtype in dtypes {
        for rows in [1, 512] { cases += maker.matmuls(shape, dtype, rows: rows, arithmetic) }
      }
      for length in [512, 4096] {
        for rows in [1, 512] {
          cases += cacheTypes.compactMap { maker.attention(shape, rows: rows, length: length, $0) }
        }
      }
      for rows in [1, 512] {
        cases += maker.rowKernels(shape, rows: rows)
        cases += cacheTypes.compactMap { maker.keyValueStore(shape, rows: rows, $0) }
      }
      cases += dtypes.compactMap { maker.embedding(shape, $0, rows: 512) }
    }
    return cases + maker.imageKernels(quick: quick)
  }

  /// The largest cache in bytes, nil where the system does not say.
  private static var lastLevelCacheBytes: Int? {
    let bytes = sysconf(Int32(_SC_LEVEL3_CACHE_SIZE))
    return bytes > 0 ? bytes : nil
  }

  private static func show(
    _ rows: [(case: BenchKernelCase, result: BenchKernelCase.Measurement)], _ roofs: BenchRoofs, _ memory: BenchMemory,
    _ backend: CPUBackend, _ context: CommandContext
  ) throws {
    func giga(_ value: Double) -> String { TextFormat.fixed(value * 1e-9, digits: 1) }
    var peaks = Table([
      ("ROOF", .left), ("1 THREAD", .right), ("\(backend.threadCount) THREADS", .right), ("UNIT", .left),
    ])
    for (what, rate) in roofs.arithmetic { peaks.append([what.name, giga(rate.one), giga(rate.all), "Gop/s"]) }
    peaks.append(["memory", giga(roofs.read.one), giga(roofs.read.all), "GB/s"])
    try context.output.line(peaks.lines.joined(separator: "\n"))
    let cache = lastLevelCacheBytes.map { TextFormat.bytes($0) } ?? "an unknown size"
    try context.output.line(
      "reads of \(TextFormat.bytes(memory.byteCount)), last-level cache \(cache), kernels for "
        + backend.instructionSet + "\n")
    var table = Table([
      ("KERNEL", .left), ("DTYPE", .left), ("MODEL", .left), ("SHAPE", .left), ("TIME", .right), ("GOP/S", .right),
      ("GB/S", .right), ("ROOF", .left), ("SHARE", .right),
    ])
    for (kernel, result) in rows {
      table.append([
        kernel.kernel, kernel.dtype, kernel.model, kernel.shape,
        TextFormat.fixed(result.seconds * 1e6, digits: 1) + " µs", result.operationsPerSecond.map(giga) ?? "",
        giga(result.bytesPerSecond), result.roof, TextFormat.fixed(result.share * 100, digits: 0) + " %",
      ])
    }
    try context.output.line(table.lines.joined(separator: "\n"))
  }

  private static func json(
    _ rows: [(case: BenchKernelCase, result: BenchKernelCase.Measurement)], _ roofs: BenchRoofs, _ memory: BenchMemory,
    _ backend: CPUBackend
  ) -> JSONValue {
    func rates(_ rate: BenchRoofs.Rate, _ name: String, _ unit: String) -> [JSONValue] {
      [(1, rate.one), (backend.threadCount, rate.all)].map { threads, value in
        ["roof": .string(name), "threads": .integer(threads), unit: .number(value * 1e-9)]
      }
    }
    let peaks = roofs.arithmetic.flatMap { rates($0.rate, $0.what.name, "gflops") }
    return [
      "roofs": .array(peaks + rates(roofs.read, "memory", "gbytes_per_second")),
      "rows": .array(
        rows.map { kernel, result in
          [
            "kernel": .string(kernel.kernel), "dtype": .string(kernel.dtype), "model": .string(kernel.model),
            "shape": .string(kernel.shape), "seconds": .number(result.seconds),
            "gflops": result.operationsPerSecond.map { .number($0 * 1e-9) } ?? .null,
            "gbytes_per_second": .number(result.bytesPerSecond * 1e-9), "roof": .string(result.roof),
            "share_of_roofline": .number(result.share), "threads": .integer(backend.threadCount),
          ]
        }), "threads": .integer(backend.threadCount), "instruction_set": .string(backend.instructionSet),
      "buffer_bytes": .integer(memory.byteCount),
      "last_level_cache_bytes": lastLevelCacheBytes.map(JSONValue.integer) ?? .null,
    ]
  }
}
