import AngelCore

/// How a file holds the values of a parameter, where it does not simply hold the parameter.
public struct StoredForm: Hashable, Sendable {
  /// Which of `shareCount` equal parts along the outputs it is, as fused projections hold query, key and value.
  public var share = 0
  public var shareCount = 1
  /// Whether the file holds [inputs, outputs], as the layers of the first GPTs do.
  public var isTransposed = false
  /// Added to every value of the file: 1 for norms that are kept less one.
  public var offset: Float = 0

  /// As the model has it.
  public static let plain = StoredForm()
  /// The transpose.
  public static let transposed = StoredForm(isTransposed: true)
  /// Less one, as norms that multiply by 1 + w are kept.
  public static let lessOne = StoredForm(offset: 1)
  /// Part `share` of `count`.
  public static func share(_ share: Int, of count: Int, isTransposed: Bool = false) -> StoredForm {
    StoredForm(share: share, shareCount: count, isTransposed: isTransposed)
  }

  /// The shape of the file's tensor for a parameter of `shape`.
  func fileShape(of shape: Shape) -> Shape {
    var sizes = shape.array
    if let first = sizes.first { sizes[0] = first * shareCount }
    return Shape(isTransposed ? sizes.reversed() : sizes)
  }
}
