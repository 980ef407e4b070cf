public import AngelTensor

/// The processes that share a model's layers out among themselves, as its layers see them (arXiv:1909.08053, §3).
///
/// Of R rows each process has a stretch: embedding, residual stream, most norms and the output head see those alone
/// (arXiv:2205.05198, §4.2.2). All call the same in the same order. A failure is kept for whoever ends the step; values are
/// then anything.
public protocol LayerPeers: AnyObject, Sendable {
  /// This process's place among them.
  var place: Int { get }
  /// How many they are.
  var count: Int { get }
  /// Says how many rows all of them have together in the pass that begins.
  func begin(rowCount: Int)
  /// The rows of all, given this process's [r, ...] → [R, ...].
  func gather(_ rows: Tensor) -> Tensor
  /// This process's rows of the sum of everyone's float32 tensor, by place: [R, ...] → [r, ...].
  func scatter(_ parts: Tensor) -> Tensor
  /// The sum of everyone's float32 tensor, by place.
  func sum(_ part: Tensor) -> Tensor
  /// Throws the failure that was kept.
  func check() throws
}

extension LayerPeers {
  /// This process's rows of `count`.
  public func rows(of count: Int) -> Range<Int> { (count * place / self.count)..<(count * (place + 1) / self.count) }

  /// `gather`, whose gradient is everyone's, summed.
  func gathered(_ rows: Tensor) -> Tensor {
    gather(rows.detached).recorded(from: [rows]) { _ in { [self.scatter($0.cast(to: .float32))] } }
  }

  /// `scatter`, whose gradient is that of all rows.
  func scattered(_ parts: Tensor) -> Tensor {
    scatter(parts.detached.cast(to: .float32)).cast(to: parts.dtype)
      .recorded(from: [parts]) { _ in { [self.gather($0)] } }
  }

  /// `sum`, of which each process differentiates its own part.
  public func summed(_ part: Tensor) -> Tensor {
    sum(part.detached).recorded(from: [part]) { _ in { [$0] } }
  }
}
