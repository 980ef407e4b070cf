public import AngelCore
public import AngelMemory
public import CAngelKernels

/// The device half of a tensor: allocate, copy, look a kernel up, launch it, synchronise.
///
/// An arithmetic backend (CPU, CUDA) owns memory and threads or streams; `ShapesBackend` runs every model without
/// arithmetic. Model code never says `try`: a failed allocation or launch is recorded on the backend, later launches are
/// skipped, and the first failure is thrown where results are read (`read`, `synchronize`).
public protocol Backend: AnyObject, Sendable {
  /// Where this backend's tensors live.
  var device: Device { get }

  /// Reserves `byteCount` bytes, aligned to 64. On failure the error is recorded and an address that no launch will
  /// touch is returned.
  func allocate(byteCount: Int, kind: MemoryKind) -> Allocation

  /// Gives an allocation back. Called exactly once for each, from any thread.
  func release(_ allocation: Allocation)

  /// Copies host bytes into an allocation at a byte offset.
  func write(_ bytes: UnsafeRawBufferPointer, to allocation: Allocation, at offset: Int)

  /// Copies bytes of an allocation to the host after all launches before it; throws the first recorded failure.
  func read(_ allocation: Allocation, at offset: Int, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError)

  /// The kernel of a family for the given dtypes, or nil: then the operation's composed form runs.
  func kernel(_ family: angel_family, _ dtypes: KernelDTypes) -> Kernel?

  /// Runs a kernel on the family's argument struct, which is copied if the launch outlives the call.
  func launch(_ kernel: Kernel, _ arguments: UnsafeRawBufferPointer, work: Work)

  /// Runs `body` and writes its launches down, so that they can run again without it; nil where the backend cannot.
  ///
  /// Memory allocated inside stays with the recorded step, so tensors made by `body` keep their addresses and hold new
  /// values after each replay; they must not outlive the step. What the host writes inside is written once; tensors from
  /// before are read anew each time. Only what the calling thread does is recorded.
  func record(_ body: () throws -> Void) throws -> (any RecordedStep)?

  /// Waits for all launches and throws the first recorded failure, which is then forgotten.
  func synchronize() throws(BackendError)

  /// Runs `body` with the numbers 0 ..< `count`, several at a time where the backend has host threads, and returns when
  /// all have run. For work on the host between launches; `body` must not launch anything itself.
  func perform(_ count: Int, _ body: @Sendable (Int) -> Void)
}

extension Backend {
  public func perform(_ count: Int, _ body: @Sendable (Int) -> Void) { for index in 0..<count { body(index) } }
}

/// Launches written down by `Backend.record` (on CUDA: a graph).
public protocol RecordedStep: AnyObject, Sendable {
  /// How many launches a replay runs.
  var launchCount: Int { get }
  /// Runs the launches again, in order.
  func replay()
}

/// Device memory handed out by a backend.
public struct Allocation {
  /// The first byte, meaningful on the backend's device only.
  public let address: UnsafeMutableRawPointer
  public let byteCount: Int
  public let kind: MemoryKind
  /// The host pages it came from, when it came from a page pool.
  public let region: MemoryRegion?
  /// Whether it was made while a step was recorded, to which the memory then belongs.
  public let isRecorded: Bool

  public init(
    address: UnsafeMutableRawPointer, byteCount: Int, kind: MemoryKind, region: MemoryRegion? = nil,
    isRecorded: Bool = false
  ) {
    self.isRecorded = isRecorded
    self.address = address
    self.byteCount = byteCount
    self.kind = kind
    self.region = region
  }

  /// One page past zero, which is never mapped.
  private static let nowhere = 4096

  /// An allocation that holds nothing, for backends without arithmetic and after a failure. Its address is never mapped.
  public static func nowhere(byteCount: Int, kind: MemoryKind, region: MemoryRegion? = nil) -> Allocation {
    guard let address = UnsafeMutableRawPointer(bitPattern: nowhere) else { preconditionFailure("nowhere is not zero") }
    return Allocation(address: address, byteCount: byteCount, kind: kind, region: region)
  }

  /// Whether there is memory at the address.
  public var hasMemory: Bool { Int(bitPattern: address) != Self.nowhere }
}

// SAFETY: an allocation is a plain address with its size; who may touch the bytes when is the backend's contract.
extension Allocation: @unchecked Sendable {}

/// A kernel found by `Backend.kernel`.
public struct Kernel: Sendable {
  public let family: angel_family
  public let function: angel_kernel

  public init(family: angel_family, function: @escaping angel_kernel) {
    self.family = family
    self.function = function
  }
}

/// The dtypes a kernel is looked up by; each family's header says what the three mean.
public struct KernelDTypes: Hashable, Sendable {
  public var first: DType
  public var second: DType?
  public var third: DType?

  public init(_ first: DType, _ second: DType? = nil, _ third: DType? = nil) {
    self.first = first
    self.second = second
    self.third = third
  }
}

/// A rough size of a launch, by which a backend decides how many parts to cut it into.
public struct Work: Sendable {
  /// Bytes read and written, plus a sixteenth of the multiply-adds: on a core both take about the same time.
  public var byteEquivalents: Int

  public init(bytes: Int, multiplyAdds: Int = 0) { byteEquivalents = bytes + multiplyAdds / 16 }
}

/// What a device could not do.
public enum BackendError: DescribedError, Equatable {
  /// Memory could not be had; the text is the memory pool's own message.
  case outOfMemory(String)
  /// The backend does no arithmetic, so there is nothing to read.
  case noArithmetic(Device)

  public var description: String {
    switch self {
    case .outOfMemory(let message): message
    case .noArithmetic(let device): "tensors on device '\(device)' have shapes but no values"
    }
  }
}

extension angel_family {
  /// The family's name, for messages.
  public var name: String { String(cString: angel_family_name(self)) }
}
