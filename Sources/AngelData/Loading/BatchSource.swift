/// Where a trainer's batches come from. Any batch can be had at any time by its number: that is all there is to resuming.
public protocol BatchSource: Sendable {
  /// The most rows a batch has, for planning memory.
  var rowLimit: Int { get }
  /// Batches in one pass over the data, at least 1.
  var batchesPerEpoch: Int { get }

  /// Batch `index` of the whole run, from 0; epoch follows epoch, each in another order.
  func batch(_ index: Int) throws -> TokenBatch
}
