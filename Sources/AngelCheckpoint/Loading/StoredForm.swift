import AngelCore

/// How a file holds the values of a parameter, where it does not simply hold the parameter.
public struct StoredForm: Hashable, Sendable {
  /// Which of `shareCount` equal parts along the outputs it is, as fused projections hold query, key and value.
  public var share = 0
  public var shareCount = 1
  /// Where its rows begin in a tensor of `rowTotal` rows whose parts are not equal.
  public var firstRow = 0
  /// Nil where parts are equal.
  public var rowTotal: Int?
  /// Whether the file holds [inputs, outputs], as the layers of the first GPTs do.
  public var isTransposed = false
  /// Added to every value of the file: 1 for norms that are kept less one.
  public var offset: Float = 0

  /// As the model has it.
  public static let plain = StoredForm()
  /// Less one, as norms that multiply by 1 + w are kept.
  public static let lessOne = StoredForm(offset: 1)
  /// Part `share` of `count`.
  public static func share(_ share: Int, of count: Int, isTransposed: Bool = false) -> StoredForm {
    StoredForm(share: share, shareCount: count, isTransposed: isTransposed)
  }

  /// The rows from `start` on, as many as the parameter has, of `total`.
  public static func rows(from start: Int, of total: Int) -> StoredForm { StoredForm(firstRow: start, rowTotal: total) }

  /// Where the rows of a parameter of `shape` begin.
  func firstRow(of shape: Shape) -> Int { rowTotal == nil ? share * (shape.array.first ?? 1) : firstRow }

  /// The rows of all parameters that share a tensor with one of `shape`.
  func rowCount(with shape: Shape) -> Int { rowTotal ?? (shape.array.first ?? 1) * shareCount }

  /// The shape of the file's tensor for a parameter of `shape`.
  func fileShape(of shape: Shape) -> Shape {
    var sizes = shape.array
    if !sizes.isEmpty { sizes[0] = rowCount(with: shape) }
    return Shape(isTransposed ? sizes.reversed() : sizes)
  }
}
