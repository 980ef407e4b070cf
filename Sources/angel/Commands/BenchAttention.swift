import AngelCPU
import AngelCore
import AngelTensor

/// `angel bench attention`: each choice of attention beside the same rows without it, in turns, in one process.
enum BenchAttention {
  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let backend = try context.makeBackend(arguments)
    let shape = arguments[BenchShape.option] ?? .smolLM2
    let maker = BenchKernelMaker(
      backend: backend, source: try BenchMemory(on: backend), target: try BenchMemory(byteCount: 64 << 20, on: backend))
    let isQuick = arguments[BenchKernels.quick]
    let pairs = BenchAttentionPair.all(SessionOptions.cacheDType(arguments, context), quick: isQuick)
    let display = context.progress.start("measuring attention", total: pairs.count, unit: .items("choices"))
    var measured: [(pair: BenchAttentionPair, result: BenchAttentionPair.Result)] = []
    for (index, pair) in pairs.enumerated() {
      try context.interruption.check()
      if let result = pair.measure(shape, maker, samples: isQuick ? 5 : 9) { measured.append((pair, result)) }
      display.update(to: index + 1)
    }
    display.finish()
    try backend.synchronize()
    if context.printsJSON { return try context.print(json(measured, shape, backend)) }
    try show(measured, shape, backend, context)
  }

  private static func show(
    _ rows: [(pair: BenchAttentionPair, result: BenchAttentionPair.Result)], _ shape: BenchShape, _ backend: CPUBackend,
    _ context: CommandContext
  ) throws {
    var table = Table([
      ("CHOICE", .left), ("ROWS", .left), ("WITH", .right), ("WITHOUT", .right), ("OTHERWISE", .left), ("GAIN", .right),
      ("", .left),
    ])
    func micro(_ seconds: Double) -> String { TextFormat.fixed(seconds * 1e6, digits: 1) + " µs" }
    for (pair, result) in rows {
      table.append([
        pair.strategy, pair.shape, micro(result.with), micro(result.without), pair.otherwise,
        TextFormat.fixed(result.gain, digits: 2), result.verdict,
      ])
    }
    try context.output.line(table.lines.joined(separator: "\n"))
    try context.output.line(
      "one layer of \(shape.rawValue), keys and values from memory, \(backend.threadCount) threads, kernels for "
        + "\(backend.instructionSet); medians of turns, gain is that of their quotients")
  }

  private static func json(
    _ rows: [(pair: BenchAttentionPair, result: BenchAttentionPair.Result)], _ shape: BenchShape, _ backend: CPUBackend
  ) -> JSONValue {
    [
      "rows": .array(
        rows.map { pair, result in
          [
            "choice": .string(pair.strategy), "rows": .string(pair.shape), "otherwise": .string(pair.otherwise),
            "seconds_with": .number(result.with), "seconds_without": .number(result.without),
            "gain": .number(result.gain), "verdict": .string(result.verdict),
          ]
        }), "shape": .string(shape.rawValue), "threads": .integer(backend.threadCount),
      "instruction_set": .string(backend.instructionSet),
    ]
  }
}
