import AngelCore
public import AngelNN
public import AngelTensor
import Synchronization

/// The members of a group that share a model's layers out. Used by the thread that runs passes.
public final class GroupPeers: LayerPeers {
  private struct State {
    var rowCount = 0
    var waitedSeconds = 0.0
    var failure: DistributedError?
  }

  private let group: any ProcessGroup
  private let state = Mutex(State())

  public init(_ group: any ProcessGroup) { self.group = group }

  public var place: Int { group.rank }
  public var count: Int { group.size }
  /// Seconds in which passes stood still for activations, since they were last asked for.
  public func takeWaitedSeconds() -> Double {
    state.withLock { state in
      defer { state.waitedSeconds = 0 }
      return state.waitedSeconds
    }
  }

  /// The first failure, after which nothing else is sent.
  public var failure: DistributedError? { state.withLock { $0.failure } }

  public func check() throws {
    if let failure { throw failure }
  }

  public func begin(rowCount: Int) { state.withLock { $0.rowCount = rowCount } }

  public func gather(_ rows: Tensor) -> Tensor {
    let count = state.withLock { $0.rowCount }
    precondition(rows.shape[0] == self.rows(of: count).count, "gather: \(rows.shape) of \(count) rows")
    let whole = made(rows, rows: count)
    let bounds = bounds(of: whole)
    attempt(keeping: whole, rows) { () throws(DistributedError) in
      let purpose = "all-gather of activations"
      let (all, own) = (try whole.hostBytes(purpose), try rows.hostBytes(purpose))
      UnsafeMutableRawBufferPointer(rebasing: all[bounds[place]...]).copyMemory(from: UnsafeRawBufferPointer(own))
      try group.gather(all, bounds, purpose)
    }
    return whole
  }

  public func scatter(_ parts: Tensor) -> Tensor {
    precondition(parts.dtype == .float32, "scatter: \(parts.specification)")
    let own = made(parts, rows: rows(of: parts.shape[0]).count)
    attempt(keeping: own, parts) { () throws(DistributedError) in
      let purpose = "reduce-scatter of activations"
      try group.reduceScatter(
        UnsafeRawBufferPointer(parts.hostBytes(purpose)), bounds(of: parts), into: own.hostBytes(purpose), purpose)
    }
    return own
  }

  public func sum(_ part: Tensor) -> Tensor {
    precondition(part.dtype == .float32, "sum: \(part.specification)")
    // Others may hold this memory.
    let result = part.copied()
    sum(inPlace: result, "all-reduce of losses")
    return result
  }

  /// Replaces float32 values, whose memory is nobody else's, by their sums over the members.
  package func sum(inPlace tensor: Tensor, _ purpose: String) {
    attempt(keeping: tensor) { () throws(DistributedError) in
      try group.allReduce(tensor.hostBytes(purpose), purpose)
    }
  }

  private func made(_ tensor: Tensor, rows: Int) -> Tensor {
    let shape = Shape([rows] + tensor.shape.array.dropFirst())
    return Tensor(uninitialized: TensorSpecification(shape, tensor.dtype), on: tensor.backend)
  }

  /// The bounds of everyone's rows of `whole`, in bytes.
  private func bounds(of whole: Tensor) -> [Int] {
    let rowCount = whole.shape[0]
    let width = whole.specification.byteCount / max(1, rowCount)
    return (0...count).map { rowCount * $0 / count * width }
  }

  /// Counts the time that `body` takes as waited for. After a failure nothing is attempted, and what the failed attempt held stays.
  package func attempt(keeping tensors: Tensor..., body: () throws(DistributedError) -> Void) {
    guard failure == nil else { return }
    let begin = MonotonicClock.seconds()
    do throws(DistributedError) { try body() } catch {
      for tensor in tensors { keep(afterFailure: tensor.storage) }
      state.withLock { $0.failure = error }
    }
    let end = MonotonicClock.seconds()
    state.withLock { $0.waitedSeconds += end - begin }
    withExtendedLifetime(tensors) {}
  }
}

extension Tensor {
  /// The memory of the values, on the host. Throws where there was none to be had: nothing can be sent or received then. Why
  /// that was so the backend says when it is next synchronised.
  package func hostBytes(_ purpose: String) throws(DistributedError) -> UnsafeMutableRawBufferPointer {
    guard hasMemory else { throw .refused(collective: purpose, reason: "there is no memory for it here") }
    return UnsafeMutableRawBufferPointer(start: address, count: specification.byteCount)
  }
}
