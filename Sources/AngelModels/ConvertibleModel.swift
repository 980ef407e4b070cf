public import AngelCheckpoint
public import AngelCore
public import AngelNN

/// A family that can be written in both layouts: what its configuration is called in each.
///
/// Names of tensors come from its name table; tokenizer and types are alike for all families.
public protocol ConvertibleModel: Module {
  associatedtype Configuration: TextModelConfiguration

  init(_ configuration: Configuration)
  static func configuration(of checkpoint: Checkpoint) throws -> Configuration
  static func names(for configuration: Configuration) -> NameTable

  /// `config.json`; throws naming what the layout has no word for.
  static func huggingFaceFields(of configuration: Configuration) throws -> JSONObject
  /// GGUF metadata, and the tensors that hold what metadata cannot.
  static func ggufFields(of configuration: Configuration) throws -> GGUFFields
  /// The small files of a folder beside configuration and tokenizer.
  static func documents(of checkpoint: Checkpoint) throws -> [(name: String, json: JSONValue)]
  /// What such files say, as metadata under full keys.
  static func ggufMetadata(of checkpoint: Checkpoint) throws -> [(key: String, value: GGUFValue)]
}

extension ConvertibleModel {
  public static func documents(of checkpoint: Checkpoint) -> [(name: String, json: JSONValue)] { [] }
  public static func ggufMetadata(of checkpoint: Checkpoint) -> [(key: String, value: GGUFValue)] { [] }
}

/// A language model that can be written in both layouts.
public protocol ConvertibleLanguageModel: LanguageModel, ConvertibleModel {}

/// What every model of text has.
public protocol TextModelConfiguration {
  var vocabularySize: Int { get }
  /// The longest sequence the model was made for.
  var contextLength: Int { get }
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
