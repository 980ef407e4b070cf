public import AngelCore

/// Why a tokenizer could not be built or asked.
public enum TokenizerError: DescribedError, Equatable {
  /// A field the file must have is absent.
  case missing(field: String)
  /// A field is there and wrong.
  case invalid(field: String, reason: String)
  /// A feature this version does not have.
  case unsupported(feature: String, value: String, supported: [String])
  /// A pre-tokenizer pattern that does not compile, or gave up on a text.
  case pattern(String, reason: String)
  /// A text whose Unicode normalisation failed.
  case normalization(form: String, reason: String)
  /// A token id outside the vocabulary.
  case tokenOutOfRange(Int32, vocabularySize: Int)

  public var description: String {
    switch self {
    case .missing(let field): "the tokenizer has no \(field): is the file complete?"
    case .invalid(let field, let reason): "the tokenizer's \(field) is not valid: \(reason)"
    case .unsupported(let feature, let value, let supported):
      "tokenizer \(feature) '\(value)' is not supported; supported: \(supported.joined(separator: ", "))"
    case .pattern(let pattern, let reason): "tokenizer pattern '\(pattern)' failed: \(reason)"
    case .normalization(let form, let reason): "Unicode normalisation \(form) failed: \(reason)"
    case .tokenOutOfRange(let token, let size): "token \(token) is not in the vocabulary: ids are 0..<\(size)"
    }
  }
}
