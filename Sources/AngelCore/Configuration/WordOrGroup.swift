/// A setting that is a word in its short form and a group of keys when it is spelled out: `tokenizer: byte`, or
/// `tokenizer: {train: byte-bpe, vocabulary_size: 4096}`.
public enum WordOrGroup<Group: Configurable & Hashable>: Sendable, Hashable {
  case word(String)
  case group(Group)

  var json: JSONValue {
    switch self {
    case .word(let word): .string(word)
    case .group(let group): group.json
    }
  }
}

extension ConfigurationField {
  /// A word or a group of keys, absent unless the recipe has it.
  public static func value<Group>(_ name: String, _ place: Place<WordOrGroup<Group>?>, _ summary: String) -> Self {
    Self(
      name: name, summary: summary, expects: "a word or a group of keys", nested: nested(Group.self),
      read: { node, path, root, problems in
        switch node.content {
        case .null: root[keyPath: place] = nil
        case .map:
          var group = Group()
          if case .group(let given)? = root[keyPath: place] { group = given }
          group.read(node, path: path + ".", into: &problems)
          root[keyPath: place] = .group(group)
        default:
          guard let word = String(recipe: node) else {
            problems.append("\(node.origin): \(path) is \(node.kind), expected a word or a group of keys")
            return
          }
          root[keyPath: place] = .word(word)
        }
      }, json: { $0[keyPath: place]?.json ?? .null })
  }
}
