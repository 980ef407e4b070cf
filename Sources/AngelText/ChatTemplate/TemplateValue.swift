import AngelCore

/// A value while a template runs. Lists and dictionaries never change, as in Jinja2's immutable sandbox, so they are
/// plain values; only a namespace, a loop and a cycler have identity.
enum TemplateValue {
  /// A missing variable or attribute; the text says what is missing.
  case undefined(String)
  case none
  case bool(Bool)
  case integer(Int)
  case float(Double)
  case string(String)
  case list(TemplateList)
  case tuple(TemplateList)
  /// The lazy result of `map`, `select` and their kin: always true, without length or index.
  case iterator(TemplateList)
  case dictionary(TemplateDictionary)
  case namespace(TemplateNamespace)
  case loop(TemplateLoopState)
  case cycler(TemplateCycler)
  case macro(TemplateMacroValue)
  case function(TemplateFunction)
  indirect case method(TemplateValue, String)
}

/// Elements and how deep they nest; a value never nests deeper than `maximumDepth`, so that it can be freed by
/// recursion.
struct TemplateList {
  static let maximumDepth = 300
  let elements: [TemplateValue]
  let depth: Int
}

/// An ordered dictionary.
final class TemplateDictionary {
  let keys: [TemplateValue]
  let values: [TemplateValue]
  let depth: Int
  private let index: [TemplateKey: Int]

  /// `entries` with distinct keys.
  init(keys: [TemplateValue], values: [TemplateValue], index: [TemplateKey: Int], depth: Int) {
    self.keys = keys
    self.values = values
    self.index = index
    self.depth = depth
  }

  func value(at key: TemplateKey) -> TemplateValue? { index[key].map { values[$0] } }

  func value(named name: String) -> TemplateValue? { value(at: .string(name)) }
}

/// What may be a dictionary key, with Python's equalities: `1`, `1.0` and `True` are one key.
indirect enum TemplateKey: Hashable {
  case none
  case integer(Int)
  case float(Double)
  case string(String)
  case tuple([TemplateKey])

  init?(_ value: TemplateValue) {
    switch value {
    case .none: self = .none
    case .bool(let flag): self = .integer(flag ? 1 : 0)
    case .integer(let number): self = .integer(number)
    case .float(let number): self = Int(exactly: number).map { .integer($0) } ?? .float(number)
    case .string(let text): self = .string(text)
    case .tuple(let list):
      var keys: [TemplateKey] = []
      for element in list.elements {
        guard let key = TemplateKey(element) else { return nil }
        keys.append(key)
      }
      self = .tuple(keys)
    default: return nil
    }
  }
}

/// What `namespace(…)` gives: the one thing `set` can change across scopes.
final class TemplateNamespace {
  var attributes: [String: TemplateValue] = [:]
}

/// The variable `loop`.
final class TemplateLoopState {
  let items: [TemplateValue]
  let depth: Int
  var index = 0
  var lastChanged: [TemplateValue]?

  init(items: [TemplateValue], depth: Int) {
    self.items = items
    self.depth = depth
  }
}

/// What `cycler(…)` and `joiner(…)` give; a joiner is a cycler that stops at its last item.
final class TemplateCycler {
  let items: [TemplateValue]
  let isJoiner: Bool
  let depth: Int
  var position = 0

  init(items: [TemplateValue], isJoiner: Bool, depth: Int) {
    self.items = items
    self.depth = depth
    self.isJoiner = isJoiner
  }
}

/// A macro and the scope it was defined in.
final class TemplateMacroValue {
  let definition: TemplateMacro
  let scope: TemplateScope

  init(definition: TemplateMacro, scope: TemplateScope) {
    self.definition = definition
    self.scope = scope
  }
}

/// Variables of one block; a look-up goes on in the parent.
final class TemplateScope {
  var variables: [String: TemplateValue] = [:]
  let parent: TemplateScope?

  init(parent: TemplateScope?) {
    self.parent = parent
  }

  func value(of name: String) -> TemplateValue? {
    var scope: TemplateScope? = self
    while let current = scope {
      if let value = current.variables[name] { return value }
      scope = current.parent
    }
    return nil
  }
}

extension TemplateValue {
  /// Python's name of the type, as its error messages use it.
  var typeName: String {
    switch self {
    case .undefined: "undefined"
    case .none: "None"
    case .bool: "bool"
    case .integer: "int"
    case .float: "float"
    case .string: "str"
    case .list: "list"
    case .tuple: "tuple"
    case .iterator: "generator"
    case .dictionary: "dict"
    case .namespace: "namespace"
    case .loop: "loop"
    case .cycler: "cycler"
    case .macro: "macro"
    case .function: "function"
    case .method: "method"
    }
  }

  /// Jinja2 says "'dict object' has no attribute …" but "'None' has no attribute …".
  var objectName: String { if case .none = self { "None" } else { "\(typeName) object" } }

  var isUndefined: Bool { if case .undefined = self { true } else { false } }

  var depth: Int {
    switch self {
    case .list(let list), .tuple(let list), .iterator(let list): list.depth
    case .dictionary(let dictionary): dictionary.depth
    case .loop(let loop): loop.depth
    case .cycler(let cycler): cycler.depth
    case .method(let receiver, _): receiver.depth + 1
    default: 0
    }
  }

  /// Python's truth.
  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let flag): flag
    case .integer(let number): number != 0
    case .float(let number): number != 0
    case .string(let text): !text.isEmpty
    case .list(let list), .tuple(let list): !list.elements.isEmpty
    case .dictionary(let dictionary): !dictionary.keys.isEmpty
    case .loop(let loop): !loop.items.isEmpty
    case .iterator, .namespace, .cycler, .macro, .function, .method: true
    }
  }

  /// An integer or a boolean, which Python counts as one.
  var integer: Int? {
    switch self {
    case .integer(let number): number
    case .bool(let flag): flag ? 1 : 0
    default: nil
    }
  }

  /// Any number as floating point.
  var number: Double? { if case .float(let number) = self { number } else { integer.map(Double.init) } }

  var isNumber: Bool { number != nil }

  var string: String? { if case .string(let text) = self { text } else { nil } }
}
