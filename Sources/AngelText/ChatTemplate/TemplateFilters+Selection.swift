/// Filters that go through a sequence one by one: `map`, `select`, `reject` and their forms by attribute.
extension TemplateFilters {
  @Sendable static func map(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    var result: [TemplateValue] = []
    // As in the reference, what is false has no elements: none and undefined values among them.
    guard value.isTrue else { return try context.iterator([]) }
    let elements = try context.countedElements(of: value)
    if arguments.positional.isEmpty {
      let bound = try arguments.bound(to: ["attribute", "default"], required: 1, of: "the filter 'map'", context)
      for element in elements {
        let part = try context.part(bound[0], of: element)
        result.append(part.isUndefined ? bound[1] ?? part : part)
      }
    } else {
      let (name, rest) = try context.named(arguments, "map")
      for element in elements { result.append(try context.filter(name, element, rest)) }
    }
    return try context.iterator(result)
  }

  @Sendable static func select(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    try chosen(value, arguments, &context, keeps: true, attribute: nil)
  }

  @Sendable static func reject(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    try chosen(value, arguments, &context, keeps: false, attribute: nil)
  }

  @Sendable static func selectAttribute(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue { try chosenByAttribute(value, arguments, &context, keeps: true) }

  @Sendable static func rejectAttribute(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue { try chosenByAttribute(value, arguments, &context, keeps: false) }

  private static func chosenByAttribute(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator, keeps: Bool
  ) throws(ChatTemplateError) -> TemplateValue {
    guard let attribute = arguments.positional.first else { throw context.failure("missing the name of an attribute") }
    var rest = arguments
    rest.positional.removeFirst()
    return try chosen(value, rest, &context, keeps: keeps, attribute: attribute)
  }

  private static func chosen(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator, keeps: Bool,
    attribute: TemplateValue?
  ) throws(ChatTemplateError) -> TemplateValue {
    guard value.isTrue else { return try context.iterator([]) }
    let test = arguments.positional.isEmpty ? nil : try context.named(arguments, "select")
    var result: [TemplateValue] = []
    for element in try context.countedElements(of: value) {
      let part = try context.part(attribute, of: element)
      let passes =
        try test.map { test throws(ChatTemplateError) in try context.test(test.0, part, test.1) } ?? part.isTrue
      if passes == keeps { result.append(element) }
    }
    return try context.iterator(result)
  }

  @Sendable static func attr(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let bound = try arguments.bound(to: ["name"], required: 1, of: "the filter 'attr'", context)
    let name = try context.text(bound[0] ?? .none)
    // Unlike a dot, this filter does not look at a dictionary's keys.
    if case .dictionary = value, !TemplateMethods.exists(name, on: value) {
      return .undefined("'dict object' has no attribute '\(name)'")
    }
    return try context.attribute(name, of: value)
  }

  @Sendable static func groupBy(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let names = ["attribute", "default", "case_sensitive"]
    let bound = try arguments.bound(to: names, required: 1, of: "the filter 'groupby'", context)
    let elements = try context.countedElements(of: value)
    let keys = try context.sortKeys(elements, by: bound[0], isCaseSensitive: bound[2]?.isTrue ?? false)
    let order = try context.sorted(elements.indices.map { .integer($0) }, by: keys, descending: false)
    var groups: [(key: TemplateValue, elements: [TemplateValue])] = []
    for position in order.compactMap(\.integer) {
      if let last = groups.last, try context.equal(last.key, keys[position]) {
        groups[groups.count - 1].elements.append(elements[position])
      } else {
        groups.append((keys[position], [elements[position]]))
      }
    }
    var result: [TemplateValue] = []
    for group in groups {
      let key = try context.part(bound[0], of: group.elements[0])
      result.append(try context.tuple([key, try context.list(group.elements)]))
    }
    return try context.list(result)
  }
}

extension TemplateEvaluator {
  /// The element itself, or what a dotted path such as `function.name` leads to.
  mutating func part(_ path: TemplateValue?, of value: TemplateValue) throws(ChatTemplateError) -> TemplateValue {
    guard let path else { return value }
    if case .none = path { return value }
    guard let names = path.string else { return try element(path, of: value) }
    var result = value
    for name in PythonText.split(names, separator: ".") {
      let isIndex = !name.isEmpty && name.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      let index: TemplateValue = isIndex ? Int(name).map { .integer($0) } ?? .string(name) : .string(name)
      result = try element(index, of: result)
    }
    return result
  }

  /// A filter or test named by the first argument, and the arguments left for it.
  fileprivate func named(
    _ arguments: TemplateArguments, _ filter: String
  ) throws(ChatTemplateError) -> (String, TemplateArguments) {
    var rest = arguments
    guard let name = rest.positional.removeFirst().string else {
      throw failure("the filter '\(filter)' needs the name of a filter or test as a string")
    }
    return (name, rest)
  }
}
