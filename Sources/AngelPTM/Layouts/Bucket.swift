import AngelCore
import AngelDistributed
import AngelTensor

/// Tensors of which shares travel together: laid out by owner, so that each process gets and gives one stretch.
///
/// One tensor by itself lies that way already, since its shares follow one another; several are copied.
struct Bucket {
  /// Bounds of the shares of each tensor, in its own values.
  let shares: [[Int]]
  /// Bytes of a value.
  let width: Int
  /// Bounds of the owners' stretches, in bytes.
  let bounds: [Int]

  init(_ shares: [[Int]], width: Int) {
    self.shares = shares
    self.width = width
    var bounds = [0]
    for owner in 0..<(shares[0].count - 1) {
      bounds.append(bounds[owner] + width * shares.reduce(0) { $0 + $1[owner + 1] - $1[owner] })
    }
    self.bounds = bounds
  }

  var byteCount: Int { bounds[bounds.count - 1] }

  /// Where the share that `owner` has of each tensor begins, in bytes of the bucket, and in bytes of the tensor.
  private func places(of owner: Int) -> [(bucket: Int, tensor: Int, count: Int)] {
    var offset = bounds[owner]
    return shares.map { share in
      let count = width * (share[owner + 1] - share[owner])
      defer { offset += count }
      return (offset, width * share[owner], count)
    }
  }

  /// Copies all tensors in, or the shares of one owner.
  func pack(_ tensors: [UnsafeRawPointer], into bucket: UnsafeMutableRawPointer, of owner: Int? = nil) {
    for owner in owner.map({ $0..<($0 + 1) }) ?? 0..<(bounds.count - 1) {
      for (tensor, place) in zip(tensors, places(of: owner)) where place.count > 0 {
        (bucket + place.bucket).copyMemory(from: tensor + place.tensor, byteCount: place.count)
      }
    }
  }

  /// Copies all tensors in; throws where one of them has no memory.
  func pack(_ tensors: [Tensor], into bucket: Tensor, _ purpose: String) throws(DistributedError) {
    for tensor in tensors + [bucket] { _ = try tensor.hostBytes(purpose) }
    pack(tensors.map { UnsafeRawPointer($0.address) }, into: bucket.address)
  }

  /// Copies the shares of all owners but one out.
  func unpack(_ bucket: UnsafeRawPointer, into tensors: [UnsafeMutableRawPointer], except own: Int) {
    for owner in 0..<(bounds.count - 1) where owner != own {
      for (tensor, place) in zip(tensors, places(of: owner)) where place.count > 0 {
        (tensor + place.tensor).copyMemory(from: bucket + place.bucket, byteCount: place.count)
      }
    }
  }
}
