import AngelCPU
import AngelCore
import AngelTensor
import CAngelKernels

/// One kernel on one shape, ready to run again and again.
struct BenchKernelCase {
  let kernel: String
  let dtype: String
  let model: String
  let shape: String
  /// Bytes that must come from or go to memory in one run, as they are held.
  let bytes: Int
  /// Arithmetic of one run, two operations a multiply-add, and the kind whose peak bounds it; nil where memory alone does.
  var arithmetic: (operations: Int, what: DType)?
  /// Runs it once; weights and cache move on, so that they come from memory.
  let run: () -> Void

  /// Medians of one run's time, and how that compares with the roofs.
  struct Measurement {
    let seconds: Double
    let operationsPerSecond: Double?
    let bytesPerSecond: Double
    /// The roof that is lower for this shape: "memory" or a kind of arithmetic.
    let roof: String
    let share: Double
  }

  /// Runs the case for some milliseconds, several times over.
  func measure(_ roofs: BenchRoofs, samples: Int) -> Measurement {
    let clock = ContinuousClock()
    func time(_ count: Int) -> Double {
      let begin = clock.now
      for _ in 0..<count { run() }
      return (clock.now - begin).seconds / Double(count)
    }
    _ = time(1)
    // Five milliseconds are long against the clock and against a wake-up.
    let count = max(1, min(10_000, Int(0.005 / max(time(1), 1e-9))))
    let seconds = (0..<samples).map { _ in time(count) }.median
    let memorySeconds = Double(bytes) / roofs.read.all
    let computing = arithmetic.flatMap { work in
      roofs.arithmetic(for: work.what).map {
        (seconds: Double(work.operations) / $0.operationsPerSecond, name: $0.what.name)
      }
    }
    let bound = computing.map { max($0.seconds, memorySeconds) } ?? memorySeconds
    return Measurement(
      seconds: seconds, operationsPerSecond: arithmetic.map { Double($0.operations) / seconds },
      bytesPerSecond: Double(bytes) / seconds,
      roof: computing.flatMap { $0.seconds > memorySeconds ? $0.name : nil } ?? "memory", share: bound / seconds)
  }
}

/// Makes the cases: looks kernels up and gives them memory.
struct BenchKernelMaker {
  let backend: CPUBackend
  /// What kernels read.
  let source: BenchMemory
  /// What they write; its contents are of no interest.
  let target: BenchMemory

  /// A function that launches a kernel with the arguments of the moment, or nil where the CPU has none.
  func launcher<Arguments>(_ family: angel_family, _ dtypes: KernelDTypes, _ work: Work, _ type: Arguments.Type)
    -> ((Arguments) -> Void)?
  {
    guard let kernel = backend.kernel(family, dtypes) else { return nil }
    return { [backend] arguments in withUnsafeBytes(of: arguments) { backend.launch(kernel, $0, work: work) } }
  }

  func floats(_ count: Int) -> UnsafePointer<Float> {
    UnsafePointer(source.next(4 * count).assumingMemoryBound(to: Float.self))
  }

  func output(_ count: Int) -> UnsafeMutablePointer<Float> {
    target.next(4 * count).assumingMemoryBound(to: Float.self)
  }
}
