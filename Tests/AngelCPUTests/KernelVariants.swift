/// Memory for a test's kernel arguments, and the check that every variant of a kernel gives the same bits.
import AngelCore
import CAngelKernels
import Testing

/// Owns what a test hands to a kernel by address, until `scope` ends.
final class TestMemory {
  private var blocks: [UnsafeMutableRawPointer] = []

  static func scope<Result>(_ body: (TestMemory) throws -> Result) rethrows -> Result {
    let memory = TestMemory()
    defer { for block in memory.blocks { block.deallocate() } }
    return try body(memory)
  }

  /// Room for `count` elements, filled with `value`.
  func room<Element: BitwiseCopyable>(_ count: Int, of value: Element) -> UnsafeMutablePointer<Element> {
    let block = UnsafeMutableRawPointer.allocate(
      byteCount: max(count, 1) * MemoryLayout<Element>.stride, alignment: 64)
    blocks.append(block)
    return block.initializeMemory(as: Element.self, repeating: value, count: max(count, 1))
  }

  func copy<Element: BitwiseCopyable>(_ values: [Element]) -> UnsafeMutablePointer<Element> {
    precondition(!values.isEmpty, "an empty array has no address")
    let pointer = room(values.count, of: values[0])
    _ = UnsafeMutableBufferPointer(start: pointer, count: values.count).update(fromContentsOf: values)
    return pointer
  }
}

func array<Element>(_ pointer: UnsafePointer<Element>, _ count: Int) -> [Element] {
  Array(UnsafeBufferPointer(start: pointer, count: count))
}

/// Bit patterns with one pattern for all NaNs: which NaN an operation passes on is no promise.
func bits(_ values: [Float]) -> [UInt32] { values.map { $0.isNaN ? Float.nan.bitPattern : $0.bitPattern } }

/// The parts a kernel's work is cut into by tests.
let testedParts: [Int32] = [1, 2, 3, 7]

/// Runs `body` with the kernel of every instruction set and in 1, 2, 3 and 7 parts; expects equal results and returns
/// them. `body` gets a function that runs the kernel on given arguments.
func everyVariant<Result: Equatable, Arguments>(
  _ family: angel_family, _ first: angel_dtype, _ second: angel_dtype = ANGEL_NO_DTYPE,
  _ third: angel_dtype = ANGEL_NO_DTYPE, tilesDiffer: Bool = false, location: SourceLocation = #_sourceLocation,
  _ body: ((Arguments) -> Void) -> Result
) -> Result {
  let used = body { launch(angel_kernel_lookup(family, first, second, third), $0) }
  // Tiles have an order of their own, in which any parts are to agree with one.
  func expected(_ set: angel_isa) -> Result {
    body { launch(angel_kernel_lookup_for(set, family, first, second, third), $0) }
  }
  let others = tilesDiffer ? expected(ANGEL_ISA_SCALAR) : used
  for set in supportedSets {
    let reference = tilesDiffer && set == ANGEL_ISA_AMX ? expected(set) : others
    let kernel = angel_kernel_lookup_for(set, family, first, second, third)
    #expect(kernel != nil, sourceLocation: location)
    for parts in testedParts {
      let result = body { launch(kernel, $0, parts: parts) }
      let name = String(cString: angel_isa_name(set))
      #expect(result == reference, "\(name) in \(parts) parts", sourceLocation: location)
    }
  }
  return used
}

extension TestRandom {
  mutating func floats(_ count: Int, scale: Float = 1) -> [Float] { (0..<count).map { _ in unitFloat() * scale } }
}

/// The greatest |actual - expected| / (|expected| + floor).
func greatestError(_ actual: [Float], _ expected: [Double], floor: Double = 1e-3) -> Double {
  zip(actual, expected).map { abs(Double($0) - $1) / (abs($1) + floor) }.max() ?? .infinity
}
