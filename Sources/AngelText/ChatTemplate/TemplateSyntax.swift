/// The syntax tree of a template. Chains (`a + b - c`, `x.y[0]|f`) are flat lists, so a tree is only as deep as the
/// source nests and can be walked and freed by recursion.
indirect enum TemplateExpression: Sendable {
  case literal(TemplateLiteral)
  case name(String)
  case list([TemplateExpression])
  case tuple([TemplateExpression])
  case dictionary([Entry])
  case negated(TemplateExpression)
  case plus(TemplateExpression)
  case not(TemplateExpression)
  case all([TemplateExpression])
  case any([TemplateExpression])
  /// Operators of one precedence, from left to right.
  case arithmetic(TemplateExpression, [ArithmeticStep])
  case concatenation([TemplateExpression])
  case comparison(TemplateExpression, [ComparisonStep])
  case conditional(condition: TemplateExpression, then: TemplateExpression, otherwise: TemplateExpression?)
  case postfix(TemplateExpression, [PostfixStep])

  struct Entry: Sendable {
    var key: TemplateExpression
    var value: TemplateExpression
  }
  struct ArithmeticStep: Sendable {
    var operation: TemplateArithmetic
    var operand: TemplateExpression
    var line: Int
  }
  struct ComparisonStep: Sendable {
    var operation: TemplateComparison
    var operand: TemplateExpression
    var line: Int
  }
  struct PostfixStep: Sendable {
    var operation: Postfix
    var line: Int
  }
  enum Postfix: Sendable {
    case attribute(String)
    case element(TemplateExpression)
    case slice(TemplateExpression?, TemplateExpression?, TemplateExpression?)
    case call(TemplateCall)
    case filter(TemplateFilterUse)
    case test(TemplateFilterUse, isNegated: Bool)
  }
}

enum TemplateLiteral: Sendable {
  case none
  case bool(Bool)
  case integer(Int)
  case float(Double)
  case string(String)
}

enum TemplateArithmetic: String, Sendable {
  case add = "+"
  case subtract = "-"
  case multiply = "*"
  case divide = "/"
  case floorDivide = "//"
  case modulo = "%"
  case power = "**"
}

enum TemplateComparison: String, Sendable {
  case equal = "=="
  case unequal = "!="
  case less = "<"
  case lessOrEqual = "<="
  case greater = ">"
  case greaterOrEqual = ">="
  case contained = "in"
  case notContained = "not in"
}

/// The arguments of a call, before evaluation.
struct TemplateCall: Sendable {
  enum Argument: Sendable {
    case positional(TemplateExpression)
    case keyword(String, TemplateExpression)
    case unpackedList(TemplateExpression)
    case unpackedDictionary(TemplateExpression)
  }
  var arguments: [Argument] = []
}

/// A filter or test by name, with its arguments.
struct TemplateFilterUse: Sendable {
  var name: String
  var call: TemplateCall
}

/// Where `set` and `for` put a value.
indirect enum TemplateTarget: Sendable {
  case name(String)
  /// `namespace.attribute`, in `set` only.
  case attribute(namespace: String, attribute: String)
  case tuple([TemplateTarget])
}

/// A statement and the line it starts on.
struct TemplateStatement: Sendable {
  var kind: Kind
  var line: Int

  indirect enum Kind: Sendable {
    case text(String)
    case output(TemplateExpression)
    case conditional([Branch], otherwise: [TemplateStatement])
    case loop(TemplateLoop)
    case assignment(TemplateTarget, TemplateExpression)
    case blockAssignment(TemplateTarget, filters: [TemplateExpression.PostfixStep], body: [TemplateStatement])
    case macro(TemplateMacro)
    case callBlock(TemplateExpression, caller: TemplateMacro)
    case filterBlock(filters: [TemplateExpression.PostfixStep], body: [TemplateStatement])
    case scoped([Binding], body: [TemplateStatement])
    case breakLoop
    case continueLoop
  }
  struct Branch: Sendable {
    var condition: TemplateExpression
    var body: [TemplateStatement]
  }
  struct Binding: Sendable {
    var target: TemplateTarget
    var value: TemplateExpression
  }
}

struct TemplateLoop: Sendable {
  var target: TemplateTarget
  var sequence: TemplateExpression
  var filter: TemplateExpression?
  var body: [TemplateStatement]
  var otherwise: [TemplateStatement]
}

struct TemplateMacro: Sendable {
  var name: String
  var parameters: [Parameter]
  var body: [TemplateStatement]
  /// Which of the implicit names the body mentions; only then does the macro accept what they hold.
  var usesCaller: Bool
  var usesExtraPositional: Bool
  var usesExtraKeyword: Bool

  struct Parameter: Sendable {
    var name: String
    var standard: TemplateExpression?
  }
}
