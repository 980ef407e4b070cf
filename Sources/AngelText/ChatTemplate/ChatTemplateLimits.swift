/// How much work one rendering may do; a template comes from a file nobody vouches for.
public struct ChatTemplateLimits: Sendable, Hashable {
  /// Expressions and statements evaluated, plus one for each 256 bytes that a filter or operator goes through.
  public var steps = 1_000_000
  /// Bytes of the rendered prompt.
  public var outputBytes = 16 << 20
  /// Bytes of all strings and lists built on the way, the dropped ones included.
  public var builtBytes = 256 << 20
  /// Nesting of statements, expressions and macro calls during evaluation.
  public var depth = 200

  public init() {}
}
