public import AngelCheckpoint
public import AngelCore
import AngelNN

/// A family that can be written in both layouts: what its configuration is called in each.
///
/// Names of tensors come from its name table; tokenizer and types are alike for all families.
public protocol ConvertibleLanguageModel: LanguageModel {
  /// `config.json`; throws naming what the layout has no word for.
  static func huggingFaceFields(of configuration: Configuration) throws -> JSONObject
  /// GGUF metadata, and the tensors that hold what metadata cannot.
  static func ggufFields(of configuration: Configuration) throws -> GGUFFields
}

/// A configuration in GGUF's words.
public struct GGUFFields: Sendable {
  /// `general.architecture`, and what keys begin with.
  public var architecture: String
  /// Keys without the architecture.
  public var metadata: [(key: String, value: GGUFValue)]
  /// Small tensors of float32.
  public var tensors: [(name: String, values: [Float])] = []

  public init(architecture: String, metadata: [(key: String, value: GGUFValue)]) {
    self.architecture = architecture
    self.metadata = metadata
  }
}

extension GGUFValue {
  /// A size, as an unsigned integer.
  static func size(_ value: Int) -> GGUFValue { .unsigned(UInt64(max(0, value))) }
}

extension JSONValue {
  /// The shortest number that reads back as `value`.
  static func float(_ value: Float) -> JSONValue { .number(Double("\(value)") ?? Double(value)) }
}

/// Why a model cannot be written in a layout.
public struct ConversionError: DescribedError, Equatable {
  public let description: String

  public init(_ description: String) { self.description = description }

  /// What `thing` is cannot be said in `layout`.
  static func noWord(for thing: String, in layout: Checkpoint.Layout) -> ConversionError {
    ConversionError(
      layout == .gguf
        ? "GGUF has no word for \(thing); keep the safetensors layout"
        : "config.json has no word for \(thing); keep the GGUF file")
  }
}
