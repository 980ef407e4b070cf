import AngelTensor

/// What layers with one input were given on a text.
struct LayerInputs {
  /// The mean of x xᵀ, [K, K].
  let moments: Tensor
  /// The mean square of each input, [K].
  let squares: [Float]
  /// Of each input the mean and the largest magnitude, [K]; nil where nobody asked.
  let magnitudes: (mean: [Float], most: [Float])?
  /// A few of the rows themselves, [R, K]; nil where nobody asked.
  let sample: Tensor?

  /// Nil where nothing was seen.
  init?(_ group: InputMoments.Group) throws {
    guard let sum = group.sum, group.rowCount > 0 else { return nil }
    let (width, count) = (group.width, Double(group.rowCount))
    moments = sum / count
    let values: [Float] = try moments.read()
    squares = (0..<width).map { values[$0 * width + $0] }
    magnitudes = try group.magnitudes.map { (try ($0.sum / count).read(), try $0.most.read()) }
    sample = group.sample
  }

  /// ‖M X‖², the mean over the inputs X seen, for a matrix M [N, K].
  func energy(of matrix: Tensor) throws -> Double { try Self.sum(matrix * DenseProduct()(matrix, moments)) }

  /// Of ‖M X‖² the share of each row of M, [N].
  func rowEnergies(of matrix: Tensor) throws -> [Float] {
    try (matrix * DenseProduct()(matrix, moments)).sum(over: 1).read()
  }

  /// The sum of all elements.
  static func sum(_ x: Tensor) throws -> Double { Double(try x.sum().read(as: Float.self)[0]) }
}
