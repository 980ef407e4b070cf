/// How a folder's quantised weights were stored, and in which types they are held: for tables.
public struct QuantizedWeights: Sendable, Hashable {
  /// `quant_method` of config.json: gptq, awq or compressed-tensors.
  public var method: String
  /// The types that matrices are held in, most bytes first.
  public var forms: [Form]

  /// Matrices that are held in one type for one reason.
  public struct Form: Sendable, Hashable {
    /// The type's name, such as `q4_0`.
    public var type: String
    /// Why it is no block format that has the same values; nil where it is one.
    public var reason: String?
    public var tensors: Int
    /// The bytes they take in this type.
    public var bytes: Int
  }
}
