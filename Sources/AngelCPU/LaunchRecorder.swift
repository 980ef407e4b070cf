import AngelMemory
import AngelTensor
import CAngelKernels

/// What a CPU backend writes down while a step is recorded: launches with copies of their arguments, and the memory they
/// use, which stays theirs.
struct LaunchRecorder {
  private(set) var launches: [(kernel: angel_kernel, arguments: [UInt64], parts: Int)] = []
  /// Every region the step ever took.
  private(set) var regions: [MemoryRegion] = []
  /// Offsets of those regions.
  private var owned: Set<Int> = []
  /// Regions that went out of use inside the step, by size and kind: later tensors of the same step take them again, in the
  /// same order at every replay.
  private var free: [Likeness: [MemoryRegion]] = [:]
  /// Offsets of regions the host wrote: a replay does not write them again, so nothing else may.
  private var pinned: Set<Int> = []

  /// What regions that may stand for one another have in common.
  private struct Likeness: Hashable {
    let byteCount: Int
    let kind: MemoryKind
  }

  /// A region of this step that is free again and exactly as large.
  mutating func reuse(byteCount: Int, kind: MemoryKind) -> MemoryRegion? {
    free[Likeness(byteCount: byteCount, kind: kind)]?.popLast()
  }

  mutating func took(_ region: MemoryRegion) {
    regions.append(region)
    owned.insert(region.offset)
  }

  /// Takes a region back if it is of this step and the host has not written it.
  mutating func gave(_ region: MemoryRegion) {
    guard owned.contains(region.offset), !pinned.contains(region.offset) else { return }
    free[Likeness(byteCount: region.byteCount, kind: region.kind), default: []].append(region)
  }

  mutating func wrote(_ region: MemoryRegion) { pinned.insert(region.offset) }

  mutating func launched(_ kernel: @escaping angel_kernel, _ arguments: UnsafeRawBufferPointer, parts: Int) {
    var words = [UInt64](repeating: 0, count: (arguments.count + 7) / 8)
    words.withUnsafeMutableBytes { $0.copyMemory(from: arguments) }
    launches.append((kernel, words, parts))
  }
}

/// A step written down once: kernels, addresses, parts. Replaying it costs one barrier a launch and nothing else.
final class RecordedLaunches: RecordedStep {
  // SAFETY: both buffers are written in init and only read afterwards, by one replay at a time (the pool's turn).
  private nonisolated(unsafe) let launches: UnsafeMutableBufferPointer<angel_launch>
  private nonisolated(unsafe) let arguments: UnsafeMutableBufferPointer<UInt64>
  private let regions: [MemoryRegion]
  private let pool: PagePool
  private let threads: ThreadPool

  init(_ recorder: LaunchRecorder, pool: PagePool, threads: ThreadPool) {
    let words = recorder.launches.reduce(0) { $0 + $1.arguments.count }
    launches = .allocate(capacity: recorder.launches.count)
    arguments = .allocate(capacity: words)
    var offset = 0
    for (index, launch) in recorder.launches.enumerated() {
      let start = arguments.baseAddress.map { $0 + offset }
      start?.initialize(from: launch.arguments, count: launch.arguments.count)
      (launches.baseAddress.map { $0 + index })?.initialize(
        to: angel_launch(kernel: launch.kernel, arguments: start, parts: Int32(clamping: launch.parts)))
      offset += launch.arguments.count
    }
    regions = recorder.regions
    self.pool = pool
    self.threads = threads
  }

  deinit {
    launches.deallocate()
    arguments.deallocate()
    for region in regions { pool.release(region) }
  }

  var launchCount: Int { launches.count }

  func replay() { threads.replay(UnsafeBufferPointer(launches)) }
}
