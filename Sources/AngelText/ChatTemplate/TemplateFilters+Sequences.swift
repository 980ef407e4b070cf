/// Filters on sequences as a whole: size, ends, order, sums, groups of a size.
extension TemplateFilters {
  @Sendable static func length(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    switch value {
    case .undefined: return .integer(0)
    case .string(let text):
      try context.work(bytes: text.utf8.count)
      return .integer(text.unicodeScalars.count)
    case .list(let list), .tuple(let list): return .integer(list.elements.count)
    case .dictionary(let dictionary): return .integer(dictionary.keys.count)
    case .loop(let loop): return .integer(loop.items.count)
    default: throw context.failure("object of type '\(value.typeName)' has no length")
    }
  }

  @Sendable static func standard(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let bound = try arguments.bound(to: ["default_value", "boolean"], of: "the filter 'default'", context)
    let isReplaced = value.isUndefined || ((bound[1]?.isTrue ?? false) && !value.isTrue)
    return isReplaced ? bound[0] ?? .string("") : value
  }

  @Sendable static func list(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue { try context.list(try context.countedElements(of: value)) }

  @Sendable static func items(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    if value.isUndefined { return try context.iterator([]) }
    guard case .dictionary(let dictionary) = value else {
      throw context.failure("the filter 'items' needs a dict, not '\(value.typeName)'")
    }
    return try context.iterator(try context.pairs(of: dictionary))
  }

  @Sendable static func first(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    try context.countedElements(of: value).first ?? .undefined("no first item, the sequence was empty")
  }

  @Sendable static func last(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    if case .iterator = value { throw context.failure("a generator has no last item, make it a list first") }
    return try context.countedElements(of: value).last ?? .undefined("no last item, the sequence was empty")
  }

  @Sendable static func join(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let bound = try arguments.bound(to: ["d", "attribute"], of: "the filter 'join'", context)
    let separator = try context.text(bound[0] ?? .string(""))
    var result = ""
    for (position, element) in try context.countedElements(of: value).enumerated() {
      if position > 0 { result += separator }
      try context.build(bytes: separator.utf8.count)
      result += try context.text(try context.part(bound[1], of: element))
    }
    return try context.string(result)
  }

  @Sendable static func reverse(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    if case .string(let text) = value { return try context.string(PythonText.string(text.unicodeScalars.reversed())) }
    return try context.iterator(try context.countedElements(of: value).reversed())
  }

  // MARK: Order

  @Sendable static func sort(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let names = ["reverse", "case_sensitive", "attribute"]
    let bound = try arguments.bound(to: names, of: "the filter 'sort'", context)
    let elements = try context.countedElements(of: value)
    let keys = try context.sortKeys(elements, by: bound[2], isCaseSensitive: bound[1]?.isTrue ?? false)
    return try context.list(try context.sorted(elements, by: keys, descending: bound[0]?.isTrue ?? false))
  }

  @Sendable static func dictionarySort(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let bound = try arguments.bound(to: ["case_sensitive", "by", "reverse"], of: "the filter 'dictsort'", context)
    guard case .dictionary(let dictionary) = value else {
      throw context.failure("the filter 'dictsort' needs a dict, not '\(value.typeName)'")
    }
    let by = bound[1]?.string ?? "key"
    guard by == "key" || by == "value" else { throw context.failure("'dictsort' sorts by 'key' or 'value'") }
    let keys = try context.sortKeys(
      by == "key" ? dictionary.keys : dictionary.values, by: nil, isCaseSensitive: bound[0]?.isTrue ?? false)
    let pairs = try context.pairs(of: dictionary)
    return try context.list(try context.sorted(pairs, by: keys, descending: bound[2]?.isTrue ?? false))
  }

  @Sendable static func unique(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let bound = try arguments.bound(to: ["case_sensitive", "attribute"], of: "the filter 'unique'", context)
    let elements = try context.countedElements(of: value)
    let keys = try context.sortKeys(elements, by: bound[1], isCaseSensitive: bound[0]?.isTrue ?? false)
    var seen: Set<TemplateKey> = []
    var result: [TemplateValue] = []
    for (element, key) in zip(elements, keys) where seen.insert(try context.key(key)).inserted {
      result.append(element)
    }
    return try context.iterator(result)
  }

  @Sendable static func minimum(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue { try extreme(value, arguments, &context, isMaximum: false) }

  @Sendable static func maximum(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue { try extreme(value, arguments, &context, isMaximum: true) }

  private static func extreme(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator, isMaximum: Bool
  ) throws(ChatTemplateError) -> TemplateValue {
    let name = isMaximum ? "the filter 'max'" : "the filter 'min'"
    let bound = try arguments.bound(to: ["case_sensitive", "attribute"], of: name, context)
    let elements = try context.countedElements(of: value)
    let keys = try context.sortKeys(elements, by: bound[1], isCaseSensitive: bound[0]?.isTrue ?? false)
    guard !elements.isEmpty else { return .undefined("no aggregated item, the sequence was empty") }
    var best = 0
    for position in 1..<max(elements.count, 1) {
      let (a, b) = isMaximum ? (keys[best], keys[position]) : (keys[position], keys[best])
      if try context.less(a, b) { best = position }
    }
    return elements[best]
  }

  @Sendable static func sum(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let bound = try arguments.bound(to: ["attribute", "start"], of: "the filter 'sum'", context)
    var total = bound[1] ?? .integer(0)
    for element in try context.countedElements(of: value) {
      total = try context.apply(.add, total, try context.part(bound[0], of: element))
    }
    return total
  }

  // MARK: Groups

  @Sendable static func batch(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let bound = try arguments.bound(to: ["linecount", "fill_with"], required: 1, of: "the filter 'batch'", context)
    let size = try context.groupSize(bound[0], "batch")
    let elements = try context.countedElements(of: value)
    var rows: [TemplateValue] = []
    for start in stride(from: 0, to: elements.count, by: size) {
      var row = Array(elements[start..<min(elements.count, start + min(size, elements.count))])
      if row.count < size, let fill = try context.fill(bound[1]) {
        try context.build(bytes: MemoryLayout<TemplateValue>.stride, times: size - row.count)
        row += [TemplateValue](repeating: fill, count: size - row.count)
      }
      rows.append(try context.list(row))
    }
    return try context.iterator(rows)
  }

  @Sendable static func slice(
    _ value: TemplateValue, _ arguments: TemplateArguments, _ context: inout TemplateEvaluator
  ) throws(ChatTemplateError) -> TemplateValue {
    let bound = try arguments.bound(to: ["slices", "fill_with"], required: 1, of: "the filter 'slice'", context)
    let slices = try context.groupSize(bound[0], "slice")
    let elements = try context.countedElements(of: value)
    try context.build(bytes: MemoryLayout<TemplateValue>.stride, times: slices)
    let (size, extra) = elements.count.quotientAndRemainder(dividingBy: slices)
    var rows: [TemplateValue] = []
    var start = 0
    for number in 0..<slices {
      let end = start + size + (number < extra ? 1 : 0)
      var row = Array(elements[start..<end])
      if number >= extra, let fill = try context.fill(bound[1]) { row.append(fill) }
      rows.append(try context.list(row))
      start = end
    }
    return try context.iterator(rows)
  }
}

extension TemplateEvaluator {
  /// The elements of a value; the characters of a string are counted as new values.
  mutating func countedElements(of value: TemplateValue) throws(ChatTemplateError) -> [TemplateValue] {
    if case .string(let text) = value { try build(bytes: text.utf8.count * MemoryLayout<TemplateValue>.stride) }
    let elements = try elements(of: value)
    try work(bytes: elements.count * MemoryLayout<TemplateValue>.stride)
    return elements
  }

  mutating func pairs(of dictionary: TemplateDictionary) throws(ChatTemplateError) -> [TemplateValue] {
    var result: [TemplateValue] = []
    for (key, value) in zip(dictionary.keys, dictionary.values) { result.append(try tuple([key, value])) }
    return result
  }

  fileprivate func fill(_ value: TemplateValue?) throws(ChatTemplateError) -> TemplateValue? {
    if case .none? = value { nil } else { value }
  }

  fileprivate func groupSize(_ value: TemplateValue?, _ filter: String) throws(ChatTemplateError) -> Int {
    guard let size = value?.integer, size > 0 else { throw failure("the filter '\(filter)' needs a positive integer") }
    return size
  }

  /// What filters compare elements by: an attribute if asked for, in lower case unless case matters.
  mutating func sortKeys(
    _ elements: [TemplateValue], by attribute: TemplateValue?, isCaseSensitive: Bool
  ) throws(ChatTemplateError) -> [TemplateValue] {
    var keys: [TemplateValue] = []
    for element in elements {
      let key = try part(attribute, of: element)
      if !isCaseSensitive, let text = key.string {
        keys.append(try string(text.lowercased()))
      } else {
        keys.append(key)
      }
    }
    return keys
  }

  /// `elements` in the order of `keys`: a stable merge sort whose comparison may fail.
  mutating func sorted(
    _ elements: [TemplateValue], by keys: [TemplateValue], descending: Bool
  ) throws(ChatTemplateError) -> [TemplateValue] {
    var order = Array(elements.indices)
    var width = 1
    while width < order.count {
      var merged: [Int] = []
      for start in stride(from: 0, to: order.count, by: 2 * width) {
        let middle = min(start + width, order.count)
        let end = min(start + 2 * width, order.count)
        var (left, right) = (start, middle)
        while left < middle || right < end {
          var takesRight = left == middle
          if left < middle, right < end {
            let (a, b) = (keys[order[left]], keys[order[right]])
            takesRight = descending ? try less(a, b) : try less(b, a)
          }
          merged.append(order[takesRight ? right : left])
          if takesRight { right += 1 } else { left += 1 }
        }
      }
      order = merged
      width *= 2
    }
    return order.map { elements[$0] }
  }
}
