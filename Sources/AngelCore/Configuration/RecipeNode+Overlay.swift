extension RecipeNode {
  /// An empty recipe, to lay arguments over.
  public static var empty: RecipeNode { RecipeNode(.map([]), origin: .argument("")) }

  /// This recipe with `key.path=value` laid over it; the value is written as in a recipe.
  public func overlaid(with argument: String) throws -> RecipeNode {
    guard let sign = argument.firstIndex(of: "="), sign != argument.startIndex else {
      throw ConfigurationError("argument \(quoted(argument)): expected key.path=value")
    }
    let keys = argument[..<sign].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard keys.allSatisfy({ !$0.isEmpty }) else {
      throw ConfigurationError("argument \(quoted(argument)): a key is missing beside a dot")
    }
    let origin = RecipeOrigin.argument(argument)
    let text = Array(argument[argument.index(after: sign)...].utf8)
    let isBlank = text.allSatisfy { $0 == UInt8(ascii: " ") }
    let value =
      isBlank ? RecipeNode(.null, origin: origin) : try RecipeParser.parse(text) { _, _ in origin }
    return setting(keys[...], to: value, origin: origin)
  }

  private func setting(_ keys: ArraySlice<String>, to value: RecipeNode, origin: RecipeOrigin) -> RecipeNode {
    guard let key = keys.first else { return value }
    var entries: [Entry] = if case .map(let entries) = content { entries } else { [] }
    let position = entries.firstIndex { $0.key == key }
    let inner = position.map { entries[$0].value } ?? RecipeNode(.map([]), origin: origin)
    let entry = Entry(key: key, origin: origin, value: inner.setting(keys.dropFirst(), to: value, origin: origin))
    if let position { entries[position] = entry } else { entries.append(entry) }
    return RecipeNode(.map(entries), origin: self.origin)
  }
}
